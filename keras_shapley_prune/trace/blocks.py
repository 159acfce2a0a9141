"""Whole blocks as units: what is added to a stream, and can be left out."""

import dataclasses
import math

import keras
import numpy as np

from keras_shapley_prune.layer_types.registry import (
    ends_time_masks,
    find_nearest_type,
    sums_inputs,
)
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.trace.channel_map import ChannelMap
from keras_shapley_prune.trace.groups import ChannelGroup
from keras_shapley_prune.trace.map_with_blocks import MapWithBlocks
from keras_shapley_prune.trace.presence import find_presence
from keras_shapley_prune.trace.time_masks import find_time_masks
from keras_shapley_prune.trace.unique_names import UniqueNames

GRANULARITIES = ("filter", "block", "both")
NAME = "blocks"  # of the group
_WHOLE_BLOCKS = "granularity='block' removes whole blocks only"
_NO_BLOCKS = ", and no addition has a branch with weights beside one that can stay"
_MOST_WAYS = 8  # in which a layer may be needed by several blocks at once


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A branch of an addition, which can be removed as a whole: the other inputs stay.

    Attributes:
        name: String, that of the addition (with a suffix if that is taken).
        unit: Integer, its unit.
        places: Tuple of `(call index, input position)`, where it is added: one for each
            call of the nested model that it is in.
        layers: Tuple of the names of the layers that go with it.
        work: Integer, about how many multiplications one example takes in it.
    """

    name: str
    unit: int
    places: tuple
    layers: tuple
    work: int


def add_blocks(channel_map, granularity):
    """Returns a `ChannelMap` that has units for whole blocks, too.

    Args:
        channel_map: The `ChannelMap` of channels alone.
        granularity: See `trace_channels`.
    """
    if granularity == "filter":
        return channel_map
    graph, locks = channel_map.graph, dict(channel_map.locks)
    groups, first = list(channel_map.groups), channel_map.num_units
    if granularity == "block":
        groups = []
    names = UniqueNames("#")
    blocks, sites, gone = [], dict(channel_map.sites), []
    for unit, (places, absent, work) in enumerate(_find_branches(graph), first):
        name = names.take(graph.calls[places[0][0]].name)
        layers = _name_layers(graph, absent)
        blocks.append(Block(name, unit, places, layers, work))
        gone.append(absent)
    if granularity == "block":
        reason = _WHOLE_BLOCKS if blocks else _WHOLE_BLOCKS + _NO_BLOCKS
        locks = dict.fromkeys(range(first), reason) | locks
    masks = find_time_masks(graph) if blocks else {}
    for block, absent in zip(blocks, gone, strict=True):
        reason = _find_obstacle(channel_map, block, masks)
        reason = reason or _find_ended_mask(graph, absent, masks)
        if reason is not None:
            locks[block.unit] = reason
    free = [block for block in blocks if block.unit not in locks]
    locks |= _find_entangled(graph, free)
    free = [block for block in free if block.unit not in locks]
    for block in free:
        for index, position in block.places:
            width = graph.calls[index].inputs[position].shape[-1]
            sites[index, position] = np.full(width, block.unit)
    if free:
        groups.append(_group(graph, free, names_of(channel_map.groups)))
    known = {
        field.name: getattr(channel_map, field.name)
        for field in dataclasses.fields(ChannelMap)
    }
    known |= {"num_units": first + len(blocks), "groups": tuple(groups)}
    known |= {"locks": locks, "sites": sites}
    return MapWithBlocks(
        **known,
        blocks=tuple(blocks),
        presence=find_presence(graph, _edges(free)),
        granularity=granularity,
    )


def names_of(groups):
    """Returns the names of groups, a list."""
    return [group.name for group in groups]


def _group(graph, blocks, taken):
    names = UniqueNames("#")
    for name in taken:
        names.take(name)
    calls = {block.name: graph.calls[block.places[0][0]] for block in blocks}
    operations = {name: innermost(call.operation) for name, call in calls.items()}
    return ChannelGroup(
        name=names.take(NAME),
        units=np.array([block.unit for block in blocks]),
        producers=tuple(block.name for block in blocks),
        consumers=(),
        operations=operations,
        kind=NAME,
    )


def _edges(blocks):
    return {place: block.unit for block in blocks for place in block.places}


def _find_branches(graph):
    """Yields what can be removed from additions, from the input to the output.

    Of the inputs of an addition the one with the least work stays: the identity, or the
    projection of a shortcut. The others can be removed if weights go with them.

    Yields:
        Tuple of the places, the indices of the calls that go, and their work.
    """
    nodes = {}  # which call of which model -> the calls of the graph
    for call in graph.calls:
        if call.node and _adds_alike(call):
            nodes.setdefault(call.node, []).append(call)
    for calls in nodes.values():
        found = []
        for position in range(len(calls[0].inputs)):
            places = tuple((call.index, position) for call in calls)
            absent = find_presence(graph, dict.fromkeys(places, 0))
            gone = [graph.calls[index] for index in sorted(absent)]
            found.append((sum(map(_work_of, gone)), places, gone))
        stays = min(range(len(found)), key=lambda position: found[position][0])
        for position, (work, places, gone) in enumerate(found):
            if position != stays and any(_weights_of(call) for call in gone):
                yield places, tuple(call.index for call in gone), work


def _adds_alike(call):
    """Returns whether a call adds tensors of one shape, each number to its like."""
    if not sums_inputs(innermost(call.operation)) or len(call.inputs) < 2:
        return False
    shape = call.outputs[0].shape
    alike = all(tensor.shape == shape for tensor in call.inputs)
    return alike and len(shape) > 1 and shape[-1] is not None


def _weights_of(call):
    return getattr(call.operation, "weights", ())


def _work_of(call):
    """Returns about how many multiplications a call takes for one example."""
    if isinstance(call.operation, keras.Model):
        return sum(math.prod(weight.shape) for weight in call.operation.weights)
    products = find_nearest_type(call.operation).products(call)
    # Where a size is not known, each entry of a kernel counts once.
    return sum(math.prod(s for s in shape if s) * (n or 1) for _, shape, n in products)


def _name_layers(graph, indices):
    operations = dict.fromkeys(graph.calls[index].operation for index in indices)
    return tuple(
        graph.name_of(operation)
        for operation in operations
        if getattr(operation, "weights", ())
    )


def _find_obstacle(channel_map, block, masks):
    """Returns why a block cannot be removed, `None` if it can."""
    for index, position in block.places:
        call = channel_map.graph.calls[index]
        output = call.outputs[0]
        others = [at for at in range(len(call.inputs)) if at != position]
        if call.operation in channel_map.obstacles:
            return channel_map.obstacles[call.operation]
        if (index, position) in channel_map.sites:
            return "the addition reads each channel by itself"
        if any(call.inputs[at].dtype != output.dtype for at in others):
            types = ", ".join(tensor.dtype for tensor in call.inputs)
            return f"adds numbers of types {types}"
        mask = masks.get((index, -1))
        if any(masks.get((index, at)) is not mask for at in others):
            return "adds tensors with different masks of time steps"
    return None


def _find_ended_mask(graph, absent, masks):
    """Returns why a block cannot be removed that takes masks off what stays, or `None`.

    Args:
        graph: A `Graph`.
        absent: Tuple of the indices of the calls that go with the block.
        masks: What `find_time_masks` returned.
    """
    made = {tensor for index in absent for tensor in graph.calls[index].outputs}
    for index in absent:
        call = graph.calls[index]
        if not ends_time_masks(call.operation):
            continue
        for position, tensor in enumerate(call.inputs):
            if tensor not in made and (index, position) in masks:
                # What comes after it would find the mask, and attend to other steps.
                return f"`{call.name}` takes the mask of time steps off what stays"
    return None


def _find_entangled(graph, blocks):
    """Returns locks of blocks that share a layer in too many ways to count them."""
    presence, locks = find_presence(graph, _edges(blocks)), {}
    by_layer = {}
    for index, clauses in presence.items():
        by_layer.setdefault(graph.calls[index].operation, set()).update(clauses)
    for operation, clauses in by_layer.items():
        several = [clause for clause in clauses if len(clause) > 1]
        if len(several) > _MOST_WAYS:
            name = graph.name_of(operation)
            reason = f"`{name}` is needed by too many blocks within blocks"
            locks |= dict.fromkeys(frozenset().union(*several), reason)
    return locks
