"""What the header of a file says beside its values: labels with their texts, one file a family of formats."""
