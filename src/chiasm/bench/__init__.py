"""Public benchmarks: items and their suites, who answers them, controls beside it, scores, and a verdict."""
