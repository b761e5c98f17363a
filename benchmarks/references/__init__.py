"""What other libraries read of the same files, called directly: one module a family of formats."""
