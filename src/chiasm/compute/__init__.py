"""Execution of work: process pools, clusters, caching of fitted parts, and isolation of seeds and threads."""
