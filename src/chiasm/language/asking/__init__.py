"""Questions in plain words to what is known: which of several topics a question is about, or none of them."""
