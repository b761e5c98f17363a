"""A causal language model learns what a scorer prefers: candidates, pairs, losses, training, and what length did."""
