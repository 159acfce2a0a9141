"""Which blocks a pruned model has lost, from the names of its layers."""

from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.trace.blocks import add_blocks
from keras_shapley_prune.trace.wanted_units import with_blocks_named


def with_lost_blocks(channel_map, pruned_map, ranking=None):
    """Returns the map of an original, with units for blocks if some have been removed.

    Args:
        channel_map: The `ChannelMap` of the original, of channels alone.
        pruned_map: That of the pruned model.
        ranking: The `Ranking` of the original, or `None`. If it ranks blocks, there are
            units for them.
    """
    lost = _names(channel_map.graph) - _names(pruned_map.graph)
    named = isinstance(ranking, Mapping) and bool(
        with_blocks_named(channel_map, ranking).blocks
    )
    if not lost and not named:
        return channel_map
    more = add_blocks(channel_map, "both")
    return more if named or not find_kept(more, pruned_map).all() else channel_map


def count_blocks(channel_map, pruned_map):
    """Returns a dict: name of the group of blocks -> their number, before and after.

    Args:
        channel_map: What `with_lost_blocks` returned.
        pruned_map: The `ChannelMap` of the pruned model.
    """
    kept = find_kept(channel_map, pruned_map)
    return {
        group.name: (group.num_units, int(kept[group.units].sum()))
        for group in channel_map.groups
        if group.kind != "channels"
    }


def find_kept(channel_map, pruned_map):
    """Returns which blocks are still there.

    Args:
        channel_map: What `with_lost_blocks` returned.
        pruned_map: The `ChannelMap` of the pruned model.

    Returns:
        Boolean array, shape `(num_units,)`: false for the units of blocks that are
        gone, and true for all others.
    """
    keep, graph = np.ones(channel_map.num_units, bool), channel_map.graph
    there = _names(pruned_map.graph)
    for block in channel_map.blocks:
        names = {graph.calls[index].name for index, _ in block.places}
        if not there.issuperset(block.layers) or there.isdisjoint(names):
            keep[block.unit] = False
    keep[list(channel_map.locks)] = True
    return keep


def names_of_gone(channel_map, keep):
    """Returns the names of the layers that go with blocks, a set.

    Args:
        channel_map: What `with_lost_blocks` returned.
        keep: What `find_kept` returned.
    """
    absent, graph = channel_map.absent_calls(keep), channel_map.graph
    operations = {graph.calls[index].operation for index in absent}
    return {
        graph.name_of(operation)
        for operation in operations
        if all(call.index in absent for call in graph.calls_of(operation))
    }


def _names(graph):
    return {call.name for call in graph.calls}
