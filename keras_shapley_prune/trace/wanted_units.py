"""The map of a model that has the units which somebody speaks of: whole blocks, too."""

from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.trace.blocks import add_blocks, names_of
from keras_shapley_prune.trace.tracer import map_of


def map_for_units(model, channel_map=None, keep=None, remove=None, name="model"):
    """Returns the `ChannelMap` of a model that has the units somebody speaks of.

    Args:
        model: See `trace_channels`.
        channel_map: See `map_of`. If it is `None`, blocks are units if one is named, or
            if there are as many entries as that makes units.
        keep: What `resolve_keep` takes, or `None`.
        remove: What `resolve_keep` takes, or `None`.
        name: See `map_of`.
    """
    found = map_of(model, channel_map, name)
    wanted = keep if remove is None else remove
    if channel_map is not None or wanted is None:
        return found
    if isinstance(wanted, Mapping):
        return with_blocks_named(found, wanted)
    try:
        shape = np.shape(wanted)
    except ValueError:  # nested lists of different lengths
        return found
    if len(shape) != 1 or shape[0] <= found.num_units:
        return found
    more = add_blocks(found, "both")
    return more if shape[0] == more.num_units else found


def map_for_ranking(model, ranking, channel_map=None, granularity="filter"):
    """Returns the `ChannelMap` of a model that has the units which a ranking scores.

    Args:
        model: See `trace_channels`.
        ranking: A `Ranking`; what is none is left to others to refuse.
        channel_map: See `map_of`. If it is `None`, blocks are units if one is scored.
        granularity: See `map_of`.
    """
    found = map_of(model, channel_map, granularity=granularity)
    named = channel_map is None and isinstance(ranking, Mapping)
    return with_blocks_named(found, ranking) if named else found


def with_blocks_named(channel_map, names):
    """Returns a map with units for blocks if one of some names is of those.

    Args:
        channel_map: A `ChannelMap`. One that has blocks is returned itself.
        names: Iterable of names of groups, or of layers that produce units. If all are
            of blocks, nothing else can be removed.
    """
    names = {name for name in names if isinstance(name, str)}
    known = {*channel_map.count_produced(), *names_of(channel_map.groups)}
    if channel_map.granularity != "filter" or names <= known:
        return channel_map
    more = add_blocks(channel_map, "both")
    blocks = {block.name for block in more.blocks} | set(names_of(more.groups)) - known
    if names.isdisjoint(blocks):
        return channel_map
    return add_blocks(channel_map, "block") if names <= blocks - known else more
