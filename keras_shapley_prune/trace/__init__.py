"""Trace: which channels of a model go together, and which are locked and why."""
