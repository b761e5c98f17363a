"""How often the verdict is wrong, and whether its intervals cover: the parts of `benchmarks/verdict.py`."""
