"""Report: what can be pruned, what pruning changed, and pictures of both."""
