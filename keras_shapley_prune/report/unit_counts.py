"""How many units each layer and each group had, and has."""

import numpy as np

from keras_shapley_prune.report.group_comparison import GroupComparison
from keras_shapley_prune.report.removed_blocks import find_kept, names_of_gone


def count_units(channel_map, pruned_map):
    """Returns a dict: name of what produces units -> their number, before and after.

    In the pruned model it need not produce any: a grouped convolution may have become
    one of a channel a group. Or others produce some there: one that has kept a single
    group is a plain convolution.

    Args:
        channel_map: What `with_lost_blocks` returned.
        pruned_map: The `ChannelMap` of the pruned model.

    Raises:
        ValueError: If the models do not have layers of the same names.
    """
    before, after = channel_map.count_produced(), {}
    ours = {channel_map.graph.name_of(operation) for operation in channel_map.layer_ids}
    # By name, as the layers of the pruned model are other objects.
    others = {pruned_map.graph.name_of(other): other for other in pruned_map.layer_ids}
    for name, (operation, letter) in zip(before, channel_map.produced, strict=True):
        other = others.get(channel_map.graph.name_of(operation))
        letters = pruned_map.layer_ids.get(other, {})
        if letter in letters:
            after[name] = len(letters[letter])
    gone = names_of_gone(channel_map, find_kept(channel_map, pruned_map))
    for name, (operation, _) in zip(before, channel_map.produced, strict=True):
        if channel_map.graph.name_of(operation) in gone:  # with its block
            after[name] = 0
    after = {name: after[name] for name in before if name in after}
    made_by = {pruned_map.graph.name_of(maker) for maker, _ in pruned_map.produced}
    added = made_by - ours
    if before.keys() != after.keys() or added:
        raise ValueError(
            "Arguments `original` and `pruned` should have layers of the same names. "
            "Received: layers that are only in one of them: "
            f"{sorted(before.keys() - after.keys() | added)}"
        )
    return {name: (before[name], after[name]) for name in before}


def compare_groups(channel_map, pruned_map, units, ranking, blocks):
    """Returns a `GroupComparison` for each group of the original, a tuple.

    Args:
        channel_map: What `with_lost_blocks` returned.
        pruned_map: The `ChannelMap` of the pruned model.
        units: What `count_units` returned.
        ranking: The `Ranking`, or an empty dict.
        blocks: What `count_blocks` returned.
    """
    kept = {group.name: group for group in pruned_map.groups}
    compared = []
    for group in channel_map.groups:
        after = _count_kept(channel_map, group, units)
        if group.name in blocks:
            _, after = blocks[group.name]
        if after is None:  # then only a group of the same name can tell
            after = kept[group.name].num_units if group.name in kept else 0
        compared.append(
            GroupComparison(
                name=group.name,
                units=(group.num_units, after),
                producers=group.producers,
                consumers=group.consumers,
                scores=ranking.get(group.name),
            )
        )
    return tuple(compared)


def _count_kept(channel_map, group, units):
    """Counts the units that were kept of a group, by a layer that produces no other.

    That layer may have several channels of each unit. `None` if there is none.
    """
    for (operation, letter), (before, after) in zip(
        channel_map.produced, units.values(), strict=True
    ):
        # If all that the layer can lose is of this group, so is all that it has lost.
        ids = channel_map.layer_ids[operation][letter]
        inside = np.isin(ids, group.units)
        others = set(ids[~inside].tolist()) - channel_map.locks.keys()
        if inside.any() and not others:
            times = inside.sum() // group.num_units
            return group.num_units - (before - after) // int(times)
    return None
