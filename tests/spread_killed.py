"""A network that is repaired and trained, with a checkpoint: run by `spread.py`."""

import spread_repair

import keras_shapley_prune as ksp
from keras_shapley_prune.checkpoint import checkpoint


def main(folder, num_steps):
    """Returns the weights, a dict: number -> array."""
    checkpoint.SECONDS = 0.0
    model = spread_repair.convolutions()
    data = spread_repair.examples(model, 24)
    repair = ksp.Mimic(num_steps=int(num_steps), batch_size=4)
    arguments = {"ranker": "l1_norm", "repair": repair, "checkpoint": folder}
    pruned = ksp.prune(model, data, 0.4, verbose=0, **arguments)
    return {str(place): array for place, array in enumerate(pruned.get_weights())}
