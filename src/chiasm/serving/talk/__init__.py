"""A synthetic patient to talk with over HTTP: a page with push to talk and captions, and what it asks."""
