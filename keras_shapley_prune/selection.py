"""Selection: which units leave."""

import numpy as np


def check_ratio(ratio):
    """Raises an error unless `ratio` is a number in [0, 1).

    Args:
        ratio: The argument to check.

    Raises:
        ValueError: If it is not.
    """
    number = isinstance(ratio, (int, float, np.number)) and not isinstance(ratio, bool)
    if not number or not 0 <= ratio < 1:
        raise ValueError(
            f"Argument `ratio` should be a float in [0, 1). Received: ratio={ratio!r}"
        )


def count_removed(groups, ratio):
    """Returns how many units of each group leave.

    Args:
        groups: Sequence of `ChannelGroup`.
        ratio: Float in [0, 1).

    Returns:
        Dict: group name -> integer: `ratio` of the group's units, rounded to the
        nearest number. One unit always stays.

    Raises:
        ValueError: If `ratio` is out of range.
    """
    check_ratio(ratio)
    return {
        group.name: min(int(ratio * group.num_units + 0.5), group.num_units - 1)
        for group in groups
    }


def select_units(channel_map, ranking, ratio):
    """Returns which units stay when the least valuable ones of each group leave.

    Args:
        channel_map: The `ChannelMap` of the model.
        ranking: A `Ranking`. A group that is not in it stays whole.
        ratio: Float in [0, 1). Fraction of the removable units of each group to
            remove, rounded to the nearest number of units. One unit always stays.

    Returns:
        Boolean array, shape `(num_units,)`: `True` for a unit that stays.

    Raises:
        ValueError: If `ratio` is out of range, or `ranking` is of another model.
    """
    num_removed = count_removed(channel_map.groups, ratio)
    groups = {group.name: group for group in channel_map.groups}
    keep = np.ones(channel_map.num_units, bool)
    for name, scores in ranking.items():
        if name not in groups or len(scores.values) != groups[name].num_units:
            sizes = {n: group.num_units for n, group in groups.items()}
            raise ValueError(
                "Argument `ranking` should score the groups of the model: "
                f"{sizes}. Received: {len(scores.values)} values for {name!r}"
            )
        lowest = scores.order[: num_removed[name]]
        keep[groups[name].units[lowest]] = False
    return keep
