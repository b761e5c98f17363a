"""Hidden states of spike trains: a Markov chain whose states each have a network of neurons."""
