"""Removal costs in units of the outputs, which compare layers."""

import dataclasses
import warnings

import numpy as np
import scipy.interpolate
import tensorflow as tf

from keras_shapley_prune.rank.output_costs.output_pass import OutputPass
from keras_shapley_prune.rank.output_costs.output_scale import OutputScale
from keras_shapley_prune.rank.output_costs.reader_changes import (
    count_depths,
    find_changes,
)
from keras_shapley_prune.repair.taken_rows import find_held_out
from keras_shapley_prune.trace.array_store import ArrayStore
from keras_shapley_prune.trace.batches import has_fixed_batch, rebatch
from keras_shapley_prune.trace.memory import resolve_memory


def measure_removal_costs(
    moments,
    scores,
    batches,
    memory=None,
    seed=0,
    open_pass=OutputPass,
    on_share=None,
    entry=None,
):
    """Returns scores with the removal costs that the outputs would see.

    Each group alone is cut to some depths in its order and the layers that read it are
    refitted. What a cut costs is the mean squared change of the network's outputs, on
    examples that were not fitted.

    If the outputs have no derivatives, or some that are not finite, the scores are
    returned as they are, with a warning.

    Args:
        moments: `InputMoments` of the examples that are fitted.
        scores: Dict: group name -> `GroupScores`, of all groups.
        batches: List of lists of input tensors, one list a batch, of all examples.
        memory: See `resolve_memory`.
        seed: Integer.
        open_pass: The class of what measures, with the arguments and the method `run`
            of `OutputPass`.
        on_share: See `OutputPass.run`.
        entry: See `OutputPass.run`.

    Returns:
        Dict: group name -> `GroupScores`.
    """
    graph = moments.channel_map.graph
    changes, counts = _find_all_changes(moments, scores, memory)
    if not changes:  # no group has two units
        return scores
    held_out = take_held_out(graph, batches, moments.holds_out)
    scale = OutputScale(graph, held_out[0])
    costs = open_pass(graph, changes, scale, seed).run(held_out, on_share, entry)
    known = np.concatenate(list(costs.values()))
    # Few examples, which are not held out, may be fitted without an error.
    blind = moments.holds_out and not known.any()
    if blind or not np.isfinite(known).all():
        warnings.warn(
            "The outputs of the model have no derivatives by what its layers return, "
            "or some that are not finite. So the removal costs of units are those of "
            "the layers that read them, which compare layers less well.",
            stacklevel=2,
        )
        return scores
    done = {name: with_costs(scores[name], counts[name], costs[name]) for name in costs}
    return scores | done


def _find_all_changes(moments, scores, memory):
    """Returns two dicts by group name: the `ReaderChange`s, and how many units go."""
    store, changes, counts = ArrayStore(resolve_memory(memory) // 2), {}, {}
    for group in moments.channel_map.groups:
        name = group.name
        if name in scores and group.num_units > 1:
            counts[name] = count_depths(group.num_units)
            changes[name] = find_changes(
                moments, group, scores[name].order, counts[name], store
            )
    return changes, counts


def take_held_out(graph, batches, holds_out, others=False):
    """Returns the examples on which costs are measured, as lists of tensors.

    Args:
        graph: The recorded `Graph`.
        batches: List of lists of input tensors, one list a batch.
        holds_out: Boolean; if not, all examples are taken.
        others: Boolean, whether those that are fitted are taken instead.
    """
    found, first = [], 0
    for inputs in batches:
        count = int(inputs[0].shape[0])
        chosen = np.flatnonzero(find_held_out(first, count) != others)
        first += count
        if not holds_out:  # so few that all are fitted
            chosen = np.arange(count)
        if not len(chosen):
            continue
        if has_fixed_batch(graph):  # which is filled up with the same examples
            chosen = np.resize(chosen, count)
        found.append([tf.gather(tensor, chosen) for tensor in inputs])
    return rebatch(found, graph)


def with_costs(scores, counts, costs):
    """Returns `GroupScores` with the removal costs of a curve through some depths.

    Args:
        scores: The `GroupScores` of a group.
        counts: List of integers, how many units are removed at each depth.
        costs: Float array of that length, what all of them cost together.
    """
    num_units = len(scores.values)
    # Removing more never costs less; where it seems to, the difference is noise.
    known = np.maximum.accumulate(np.maximum(costs, 0.0))
    # A smooth curve: with one slope between two depths, a budget would take or leave
    # all of their units at once.
    curve = scipy.interpolate.PchipInterpolator([0, *counts], [0.0, *known])
    steps = np.maximum(np.diff(curve(np.arange(counts[-1] + 1))), 0.0)
    # The last ones cost what the deepest one that was measured does.
    steps = np.append(steps, np.full(num_units - counts[-1], steps[-1]))
    by_unit = np.empty(num_units)
    by_unit[scores.order] = steps
    return dataclasses.replace(scores, removal_costs=by_unit)
