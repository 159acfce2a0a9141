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


def select_units(channel_map, ranking, ratio):
    """Returns which units stay when the least valuable ones of each group leave.

    Args:
        channel_map: The `ChannelMap` of the model.
        ranking: A `Ranking` (or a dict of group name -> object with `values`). A
            group that is not in it stays whole.
        ratio: Float in [0, 1). Fraction of the removable units of each group to
            remove, rounded to the nearest number of units. One unit always stays.

    Returns:
        Boolean array, shape `(num_units,)`: `True` for a unit that stays.

    Raises:
        ValueError: If `ratio` is out of range, or `ranking` is of another model.
    """
    check_ratio(ratio)
    groups = {group.name: group for group in channel_map.groups}
    keep = np.ones(channel_map.num_units, bool)
    for name, scores in ranking.items():
        if name not in groups or len(scores.values) != groups[name].num_units:
            sizes = {n: group.num_units for n, group in groups.items()}
            raise ValueError(
                "Argument `ranking` should score the groups of the model: "
                f"{sizes}. Received: {len(scores.values)} values for {name!r}"
            )
        units = groups[name].units
        num_removed = min(int(ratio * len(units) + 0.5), len(units) - 1)
        lowest = np.argsort(scores.values, kind="stable")[:num_removed]
        keep[units[lowest]] = False
    return keep
