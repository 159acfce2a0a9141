"""Scores of units that come from the weights alone."""

import keras
import numpy as np

from keras_shapley_prune.layer_types.registry import GATES, find_letters
from keras_shapley_prune.layer_types.unit_ids import positions_of


def filters_of(channel_map, group):
    """Returns the weights that produce each unit, a matrix for each producer.

    Args:
        channel_map: A `ChannelMap`.
        group: One of its `ChannelGroup`s.

    Returns:
        List of float arrays, shape `(num_units, entries)`. Where a producer carries a
        unit at several positions, as before a reshape, all of them are its entries.
    """
    matrices = []
    for operation, letter in channel_map.producers_of(group):
        parts = []
        # Kernels only: a bias does not tell how much a filter does.
        for weight, axis, found in _along(operation, letter, num_axes=2):
            ids = channel_map.layer_ids[operation][found]
            # (positions on the axis, entries of each) -> (units, positions of each,
            # entries).
            by_position = np.moveaxis(weight, axis, 0).reshape(len(ids), -1)
            rows = by_position[positions_of(group.units, ids)]
            parts.append(rows.reshape(group.num_units, -1))
        if parts:  # none of a scale, which follows what it is joined with
            matrices.append(np.concatenate(parts, axis=1))
    return matrices


def batch_norm_gammas(channel_map, group):
    """Returns |gamma| of each unit, an array for each normalization on its way."""
    gammas = []
    for operation, letters in channel_map.layer_ids.items():
        gamma = getattr(operation, "gamma", None)
        # One that normalizes only a part of the group has no gamma for the others; one
        # of a user's layer may be a number for all channels.
        entries = getattr(gamma, "shape", None)
        if (
            entries != letters["i"].shape
            or not np.isin(group.units, letters["i"]).all()
        ):
            continue
        values = np.abs(keras.ops.convert_to_numpy(gamma))
        gammas.append(values[positions_of(group.units, letters["i"])].mean(axis=1))
    return gammas


def _along(operation, letter, num_axes):
    """Returns `(weight, axis, letter)` of the weights with an axis of that letter.

    In a weight of gates, this is the axis of the gates, which compute the units, and
    not the axis that reads them.
    """
    found = []
    for weight in operation.weights:
        axes = find_letters(operation, weight)
        letter_found = GATES if GATES in axes else letter
        if letter_found in axes and len(axes) >= num_axes:
            value = keras.ops.convert_to_numpy(weight)
            # Letters are aligned to the right: the taps of a kernel have none.
            axis = value.ndim - len(axes) + axes.index(letter_found)
            found.append((value, axis, letter_found))
    return found


def l1_norm(channel_map, group, generator):
    """Sum of the absolute weights, averaged over producers (Li et al. 2017)."""
    return _mean([np.abs(w).sum(axis=1) for w in filters_of(channel_map, group)])


def l2_norm(channel_map, group, generator):
    """Euclidean norm of the weights, averaged over producers."""
    return _mean([np.linalg.norm(w, axis=1) for w in filters_of(channel_map, group)])


def geometric_median(channel_map, group, generator):
    """Sum of the distances to the group's other filters (FPGM, He et al. 2019).

    Averaged over producers.
    """
    scores = []
    for filters in filters_of(channel_map, group):
        squares = (filters**2).sum(axis=1)
        # |a - b|² = |a|² + |b|² - 2 ab, which rounding may bring below zero.
        distances = squares[:, np.newaxis] + squares - 2 * filters @ filters.T
        scores.append(np.sqrt(np.maximum(distances, 0)).sum(axis=1))
    return _mean(scores)


def bn_gamma(channel_map, group, generator):
    """|gamma| of the batch normalizations (Network Slimming, Liu et al. 2017).

    Averaged over the normalizations that carry the group.
    """
    gammas = batch_norm_gammas(channel_map, group)
    if not gammas:
        raise ValueError(
            "The ranker 'bn_gamma' needs a BatchNormalization with a gamma on the way "
            f"of each group. Received: none for group {group.name!r}"
        )
    return _mean(gammas)


def random(channel_map, group, generator):
    """Uniform random numbers, drawn from the group's own stream."""
    return generator.random(group.num_units)


def _mean(arrays):
    return np.mean(arrays, axis=0)


WEIGHT_SCORES = {
    function.__name__: function
    for function in (random, l1_norm, l2_norm, bn_gamma, geometric_median)
}
