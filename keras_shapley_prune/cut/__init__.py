"""Cut: masks, surgery, and the check that both compute the same."""
