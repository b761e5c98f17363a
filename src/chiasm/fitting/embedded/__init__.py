"""What is learned on vectors of patients from any encoder: neighbours and linear probes, and where vectors come from."""
