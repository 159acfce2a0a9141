"""The check that what was cut computes what was masked."""

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.cut.masking import mask_channels

TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}


def verify_removal(pruned, model, keep, channel_map, inputs):
    """Raises an error unless a pruned model computes what the masked one does.

    Both are run on one batch. The masked model is `model` at its full size, removed
    units are read as zero.

    Args:
        pruned: The `keras.Model` that was cut out of `model`.
        model: The `keras.Model` it was cut from, with the same weights.
        keep: Boolean array, shape `(num_units,)`, the units that stay.
        channel_map: The `ChannelMap` of `model`.
        inputs: List of input tensors, one batch.

    Raises:
        RuntimeError: If the outputs differ by more than rounding: a
            relative 1e-4 of the largest output in float32.
    """
    graph = channel_map.graph
    structure = keras.tree.pack_sequence_as(graph.input_structure, inputs)
    masked = mask_channels(model, keep, channel_map)
    expected = keras.tree.flatten(masked(structure, training=False))
    received = keras.tree.flatten(pruned(structure, training=False))
    tolerance = _tolerance(graph)
    for before, after in zip(expected, received, strict=True):
        before, after = (np.asarray(tf.cast(t, tf.float64)) for t in (before, after))
        if before.shape != after.shape:
            raise RuntimeError(f"{_ERROR} {after.shape} instead of {before.shape}")
        largest = np.abs(before[np.isfinite(before)]).max(initial=1e-30)
        # NaN and infinity are right where the masked model returns them.
        if not np.allclose(before, after, 0, tolerance * largest, equal_nan=True):
            raise RuntimeError(
                f"{_ERROR} outputs of up to {largest:.3g} that differ by up to "
                f"{np.abs(before - after).max():.3g}"
            )


_ERROR = (
    "Expected the pruned model to compute what the masked model computes. If a layer "
    "was registered with `register_layer`, its `flow` or `weights` may be wrong; else "
    "this is an error of keras_shapley_prune. Received from the pruned model:"
)


def _tolerance(graph):
    dtypes = {getattr(call.operation, "compute_dtype", None) for call in graph.calls}
    return max([TOLERANCES[d] for d in dtypes if d in TOLERANCES], default=1e-4)
