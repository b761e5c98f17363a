"""Metrics with intervals, paired comparison and the verdict: numbers a reviewer can trust."""
