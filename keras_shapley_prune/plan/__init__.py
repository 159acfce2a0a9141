"""Plan: which units are removed, under a budget."""
