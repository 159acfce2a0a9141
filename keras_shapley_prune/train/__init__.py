"""Train: distillation from the original to the pruned model."""
