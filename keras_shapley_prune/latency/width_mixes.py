"""At which widths, and without which blocks, a network is timed."""

import dataclasses

import numpy as np

STEPS = (16, 8, 4, 1)  # of which multiples a runtime may like the numbers of filters
NUM_MIXES = 6  # networks of multiples of 16 that are timed
# Which shares of the groups are kept: in networks near the smallest and near the whole,
# so that all others lie between them.
_RANGES = ((0.05, 0.3), (0.3, 1.0), (0.1, 0.6))
_PROBED = (0.2, 1.0)


@dataclasses.dataclass(frozen=True)
class WidthMix:
    """What of a network is there when it is timed.

    Attributes:
        kept: Dict: name of a group -> how many of its units are kept.
        step: Integer, of which multiples these numbers are, as far as groups are large.
        removed: Tuple of the names of blocks that are not there.
    """

    kept: dict
    step: int
    removed: tuple = ()

    def keep(self, channel_map):
        """Returns the `keep` of it, a boolean array, shape `(num_units,)`.

        Args:
            channel_map: The `ChannelMap` of the model.
        """
        keep = np.ones(channel_map.num_units, bool)
        for group in channel_map.groups:
            # Which units they are makes no difference to a clock.
            keep[group.units[self.kept.get(group.name, group.num_units) :]] = False
        for block in channel_map.blocks:
            if block.name in self.removed:
                keep[block.unit] = False
        return keep


def count_units(channel_map):
    """Returns a dict: name of a group of channels -> how many units it has."""
    return {g.name: g.num_units for g in channel_map.groups if g.kind == "channels"}


def draw_mixes(channel_map, num_mixes=NUM_MIXES, seed=0):
    """Draws what is timed.

    Numbers of units are multiples of 16, as far as groups are large enough. But in
    three networks they are odd multiples of 8, of 4, and odd: what these take more than
    the others tells the step of the runtime. If the model has blocks, the last networks
    are without some.

    Args:
        channel_map: The `ChannelMap` of the model.
        num_mixes: Integer, how many of the first kind.
        seed: Integer.

    Returns:
        Tuple of `WidthMix`. The first is the whole network.
    """
    generator = np.random.default_rng(seed)
    whole = count_units(channel_map)
    drawn = [WidthMix(whole, STEPS[0])]
    for number in range(num_mixes if whole else 0):
        shares = generator.uniform(*_RANGES[number % len(_RANGES)], len(whole))
        drawn.append(WidthMix(_choose(whole, shares, STEPS[0]), STEPS[0]))
    for step in STEPS[1:] if whole else ():
        shares = generator.uniform(*_PROBED, len(whole))
        drawn.append(WidthMix(_choose_odd(whole, shares, step), step))
    free = [b.name for b in channel_map.blocks if b.unit not in channel_map.locks]
    # Without widths there is nothing else to tell what a call takes from the rest.
    widths = [whole, drawn[1].kept] if len(drawn) > 1 else [whole] * 4
    for kept in widths if free else ():
        removed = generator.permutation(free)[: (len(free) + 1) // 2].tolist()
        drawn.append(WidthMix(kept, STEPS[0], tuple(sorted(removed))))
    return tuple(drawn)


def list_sizes(step, size):
    """Lists how many units a group may keep where a runtime likes multiples of a step.

    Args:
        step: Integer, a power of two. It is less for a group that has not two of it.
        size: Integer, the number of units of the group.

    Returns:
        Integer array, from all units downwards: multiples of the step, and half of it.
    """
    step = _fit_step(step, size)
    multiples = np.arange((size - 1) // step * step, 0, -step)
    return np.concatenate([[size], multiples, [step // 2] if step > 1 else []]).astype(
        int
    )


def _fit_step(step, size):
    """Returns the step of a group: less than the runtime's if it has not two of it."""
    while step > 1 and 2 * step > size:
        step //= 2
    return step


def _choose(whole, shares, step):
    kept = {}
    for (name, size), share in zip(whole.items(), shares, strict=True):
        sizes = list_sizes(step, size)
        kept[name] = int(sizes[np.abs(sizes - share * size).argmin()])
    return kept


def _choose_odd(whole, shares, step):
    """Chooses odd multiples of a step, as far as groups are large enough."""
    kept = {}
    for (name, size), share in zip(whole.items(), shares, strict=True):
        own = _fit_step(step, size)
        count = max(1, round(share * size / own))
        kept[name] = min(size, own * (count - (count % 2 == 0)))
    return kept
