"""Pretraining on records of events: a network tells what comes next in a patient's record, and when."""
