"""A fitted model as a service over HTTP: the answers of the offline prediction, for one patient or several."""
