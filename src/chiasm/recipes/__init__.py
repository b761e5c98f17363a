"""One file per published system: parts wired together, the paper cited; `registry` finds them by name."""
