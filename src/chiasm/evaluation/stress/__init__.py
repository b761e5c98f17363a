"""What becomes of a recipe where patients or their files are not as in training: drift, loss, mix-ups, wrong labels."""
