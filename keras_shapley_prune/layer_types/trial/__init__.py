"""Trial: what nobody has declared is run, to see which channels each channel reads."""
