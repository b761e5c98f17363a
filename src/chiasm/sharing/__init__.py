"""Trials and models kept elsewhere: MLflow's tracking and registry, and the Hugging Face Hub."""
