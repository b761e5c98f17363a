"""What moves in time: hidden states of recordings, simulators of patients and their controllers."""
