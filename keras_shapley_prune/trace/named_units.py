"""Units that are given by the name of a group or layer, as masks or positions."""

import difflib
from collections.abc import Mapping

import numpy as np

from keras_shapley_prune.inputs.arguments import blaming
from keras_shapley_prune.layer_types.unit_ids import FIXED

_MOST_NAMES = 12  # of those that a message lists


def resolve_keep(channel_map, keep=None, remove=None):
    """Returns the units to keep, from either of the two arguments that can say so.

    Args:
        channel_map: A `ChannelMap`.
        keep: What `ChannelMap.check_keep` takes, or `None`.
        remove: Dict: name -> the units to remove, see `name_units`; or `None`.

    Returns:
        Boolean array, shape `(num_units,)`.

    Raises:
        ValueError: If not exactly one is given, it is not of that form, or a locked
            unit or all units of a group are removed.
    """
    if (keep is None) == (remove is None):
        raise ValueError(
            "One of the arguments `keep` and `remove` should be given. Received: "
            f"{'neither' if keep is None else 'both'}"
        )
    if remove is None:
        return channel_map.check_keep(keep)
    if not isinstance(remove, Mapping):
        raise ValueError(
            "Argument `remove` should be a dict: name of a group or layer -> positions "
            f"to remove, as in {{'conv1': [3, 4, 7]}}. Received: {type(remove)}"
        )
    with blaming("keep", "remove"):
        return channel_map.check_keep(name_units(channel_map, remove, "remove"))


def name_units(channel_map, named, argument="keep"):
    """Returns the units to keep where some are given by name.

    Groups that are not named are kept whole.

    Args:
        channel_map: A `ChannelMap`.
        named: Dict: name of a group, or of a layer that produces units -> those that
            are kept (or removed): a boolean mask, or a list of different integers, the
            positions. Both count the units of the group, or the channels of the layer.
        argument: `"keep"` or `"remove"`, what is given.

    Returns:
        Boolean array, shape `(num_units,)`.

    Raises:
        ValueError: If there is no such name, a mask or position does not fit, a locked
            unit is removed, or two entries contradict each other.
    """
    keep, decided = np.ones(channel_map.num_units, bool), {}
    for name, choice in named.items():
        units = _find_units(channel_map, name, choice, argument)
        chosen = _read_choice(choice, len(units), name, argument)
        kept = chosen if argument == "keep" else ~chosen
        for position, (unit, is_kept) in enumerate(
            zip(units.tolist(), kept.tolist(), strict=True)
        ):
            where = f"position {position} of {name!r}"
            if not is_kept and unit in channel_map.locks:
                raise ValueError(
                    f"Argument `{argument}` should not remove locked units. Received: "
                    f"{where}, which is locked: {channel_map.locks[unit]}"
                )
            other, before = decided.setdefault(unit, (where, is_kept))
            if before != is_kept:  # which of the two is meant cannot be known
                raise ValueError(
                    f"Argument `{argument}` should keep or remove tied units together: "
                    f"all channels of a unit, or the units of "
                    f"{_group_of(channel_map, unit)}. Received: {other} and {where}, "
                    "which are tied, and one is kept"
                )
            keep[unit] = is_kept
    return keep


def _find_units(channel_map, name, choice, argument):
    """Returns the units of a group, or those of a layer's channels."""
    groups = {group.name: group.units for group in channel_map.groups}
    layers = _layers_by_name(channel_map)
    found = [units[name] for units in (groups, layers) if name in units]
    if not found:
        raise _unknown(channel_map, name, argument, {**groups, **layers})
    if len(found) == 1 or np.array_equal(*found):
        return found[-1]
    fitting = [units for units in found if np.shape(choice) == units.shape]
    if len(fitting) == 1 and np.asarray(choice).dtype == bool:
        return fitting[0]
    group, layer = map(len, found)
    if layer > group and set(found[1]) == set(found[0]):
        return found[0]  # each unit is several channels of the layer: a head, say
    # The layer has other channels, too: locked ones, or those of another group.
    raise ValueError(
        f"Argument `{argument}` should give a boolean mask for {name!r}, which names a "
        f"group of {group} units, for a mask of that length, and a layer of {layer} "
        f"channels: positions could be of either. Received: {_shorten(choice)}"
    )


def _group_of(channel_map, unit):
    """Returns words for the group of a unit, or for none."""
    names = [group.name for group in channel_map.groups if unit in group.units]
    return f"group {names[0]!r}" if names else "no group"


def _layers_by_name(channel_map):
    """Returns a dict: name of what produces units, or is one -> those units."""
    found = {}
    for (operation, letter), part in channel_map.produced.items():
        name = channel_map.graph.name_of(operation)
        ids = channel_map.layer_ids[operation][letter]
        found[name if part is None else f"{name}/{part}"] = ids
    for block in channel_map.blocks:
        found.setdefault(block.name, np.array([block.unit]))
    return found


def _read_choice(choice, size, name, argument):
    """Returns a boolean array, shape `(size,)`: what a mask or positions select."""
    try:
        values = np.asarray(choice)
    except ValueError:  # nested lists of different lengths
        values = np.array(None)
    if values.dtype == bool and values.shape == (size,):
        return values
    chosen = np.zeros(size, bool)
    if values.shape == (0,):
        return chosen
    # A mask of integers would be taken for the positions 0 and 1: it repeats them.
    if (
        values.dtype.kind in "iu"
        and values.ndim == 1
        and values.min() >= 0
        and values.max() < size
        and len(np.unique(values)) == len(values)
    ):
        chosen[values] = True
        return chosen
    verb = "kept" if argument == "keep" else "removed"
    raise ValueError(
        f"Argument `{argument}` should give, for {name!r}, a boolean mask of shape "
        f"({size},), or a list of different integers from 0 to {size - 1}, the "
        f"positions that are {verb}. Received: {_shorten(choice)} "
        f"(dtype={values.dtype}, shape={values.shape})"
    )


def _unknown(channel_map, name, argument, known):
    """Returns the error of a name that is none of a group or layer with units."""
    text = (
        f"Argument `{argument}` should name groups of units, or layers that produce "
        f"some. Received: {name!r}"
    )
    carried = _find_carried(channel_map, name)
    if carried:
        return ValueError(f"{text}, which has none of its own, but those of {carried}")
    reason = channel_map.lock_reasons().get(name)
    if reason:
        return ValueError(f"{text}, which cannot be pruned: {reason}")
    similar = [other for other in known if other.endswith(f"/{name}")]
    similar += difflib.get_close_matches(str(name), known, cutoff=0.5)
    if similar:
        return ValueError(f"{text}. Did you mean {list(dict.fromkeys(similar))}?")
    groups = [group.name for group in channel_map.groups]
    more = f" and {len(groups) - _MOST_NAMES} more" if len(groups) > _MOST_NAMES else ""
    return ValueError(f"{text}. There are {groups[:_MOST_NAMES]}{more}")


def _find_carried(channel_map, name):
    """Returns the names of the groups whose units a layer passes on."""
    graph = channel_map.graph
    units = [
        channel_map.ids[tensor]
        for call in graph.calls
        if graph.name_of(call.operation) == name
        for tensor in (*call.inputs, *call.outputs)
    ]
    units = np.unique(np.concatenate([ids.ravel() for ids in units] or [[]]))
    units = units[units != FIXED]
    return [g.name for g in channel_map.groups if np.isin(g.units, units).any()]


def _shorten(value, most=80):
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"
