"""Text encoders based on language models."""
