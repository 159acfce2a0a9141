"""What blocks cost as they are removed in order: networks that are really repaired."""

import math

import numpy as np
import tensorflow as tf

from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.rank.blocks.block_game import squared_change
from keras_shapley_prune.rank.output_costs.output_scale import OutputScale
from keras_shapley_prune.rank.output_costs.removal_costs import (
    take_held_out,
    with_costs,
)
from keras_shapley_prune.repair.repair_channels import repair_layers
from keras_shapley_prune.trace.graph import find_ancestors

MOST_EXAMPLES = 100
_DEEPEST = 0.75  # of the blocks; those behind cost what the last ones measured do


def count_block_depths(num_blocks, num_removed):
    """Returns how many blocks are removed in the networks that are repaired.

    Args:
        num_blocks: Integer.
        num_removed: Integer, how many a budget may remove.
    """
    # A network without nearly all of its blocks costs much, and tells little.
    deepest = max(min(num_removed, math.ceil(_DEEPEST * num_blocks)), 1)
    counts = [2**power for power in range(num_blocks) if 2**power <= deepest]
    return counts if deepest < 1.5 * counts[-1] else [*counts, deepest]


def measure_block_costs(calibration, group, scores, batches, on_share, entry):
    """Returns scores with removal costs: the squared change of the outputs.

    The first blocks of the order are cut out, the rest is repaired by least squares,
    and the outputs are compared with the original's, on a fifth of the examples, which
    are not fitted. In between the costs are interpolated.

    Args:
        calibration: The `Calibration`.
        group: The `ChannelGroup` of blocks.
        scores: Its `GroupScores`.
        batches: List of lists of input tensors, one list a batch.
        on_share: Callable `fn(share)`, called with what share has been done since the
            last call.
        entry: An `Entry` that holds the costs so far.

    Returns:
        A `GroupScores`.
    """
    channel_map = calibration.channel_map
    graph, num_removed = channel_map.graph, calibration.num_removed[group.name]
    counts = count_block_depths(group.num_units, num_removed)
    held_out = take_held_out(graph, batches, True)
    fitted = take_held_out(graph, batches, True, others=True)
    if not held_out or not fitted:  # so few that all are fitted
        held_out = fitted = take_held_out(graph, batches, False)
    scale = OutputScale(graph, held_out[0])
    costs = list((entry.read() or {}).get("costs", ()))
    expected = [_run(graph, scale, inputs) for inputs in held_out]
    for count in counts[len(costs) :]:
        keep = np.ones(channel_map.num_units, bool)
        keep[group.units[scores.order[:count]]] = False
        cut = cut_out(calibration.model, keep, channel_map)
        repair_layers(cut, [(inputs,) for inputs in fitted])
        found = [_run(cut.graph, scale, inputs) for inputs in held_out]
        pairs = zip(found, expected, strict=True)
        changes = [squared_change(ours, theirs) for ours, theirs in pairs]
        costs.append(np.concatenate(changes).mean())
        entry.write({"costs": np.array(costs)})
        on_share(1 / len(counts))
    if not np.isfinite(costs).all():
        return scores
    return with_costs(scores, counts, np.array(costs))


def _run(graph, scale, inputs):
    """Returns the outputs of a network, on their scale."""
    values = graph.feed([tf.convert_to_tensor(tensor) for tensor in inputs])
    for call in find_ancestors(graph, graph.outputs):
        graph.run_between(values, call.index, call.index + 1)
    return scale(values)
