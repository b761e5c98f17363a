"""Hospitals that share no patient: each trains an adapter of one common model, and a coordinator adds them up."""

import os

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # read when flwr is imported; we start none of it
