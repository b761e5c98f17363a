"""Where work is done: processes, clusters, memory of parts, seeds and threads kept to themselves."""
