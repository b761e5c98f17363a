"""Who may be asked: a function, a causal model on this machine, a server; what it cost, and what was said before."""
