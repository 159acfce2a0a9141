"""Checkpoint: what a long run has done so far, in a folder that outlives it."""
