"""Federated learning without sharing patients: hospitals train adapters of one model, a coordinator aggregates them."""

import os

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")  # opt out of Flower's telemetry, which reads this at import
