"""One protocol for vectors from any encoder, beside the raw input, and what is seen of vectors without a target."""
