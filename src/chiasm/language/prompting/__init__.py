"""Ways to put questions to whoever speaks: neighbours as examples, reasons that were right, shuffled options, votes."""
