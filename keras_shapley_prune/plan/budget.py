"""How much is to be removed, and where: what the user asks for."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from keras_shapley_prune.inputs.arguments import (
    check_choice,
    check_integer,
    check_kind,
    show,
    suggest_share,
)
from keras_shapley_prune.inputs.patterns import as_list, check_patterns, is_expression
from keras_shapley_prune.latency.targets import resolve_target
from keras_shapley_prune.latency.width_mixes import list_sizes
from keras_shapley_prune.plan.cost_models import QUANTITIES
from keras_shapley_prune.trace.blocks import GRANULARITIES
from keras_shapley_prune.trace.channel_map import ChannelMap

SCOPES = ("layer", "global")


@dataclasses.dataclass(frozen=True)
class PruningBudget:
    """How much of a model is to be removed, and where.

    `prune`, `plan_pruning` and `measure_frontier` take a budget wherever they take a
    ratio, `prune_until` takes one as `budget`. Their keywords of the same names are a
    shorthand: `prune(model, x, 0.5, of="flops")` makes this object.

    Args:
        ratio: Float in [0, 1), the share of a quantity to remove. Half of the units
            is about three quarters of the FLOPs, see `prune`. Or a dict: layer name,
            shell-style pattern or compiled regular expression -> the share of the units
            of these layers. The first pattern that matches counts, layers that match
            none are not pruned.
        of: String, the quantity: `"units"` (those that can be removed), `"params"`,
            `"flops"`, `"bytes"` (of the weights), or `"latency"` (the seconds of one
            inference), of the whole model.
        scope: `"layer"`: every layer loses the same share of its units. `"global"`:
            units of any layer are removed, first those whose removal costs least for
            what it saves.
        layers: `None` for all layers, or a layer name, a shell-style pattern, a
            compiled regular expression, a function of a layer, or a list of them: only
            these (and the layers tied to them) lose units. See `prune`.
        ignore: `None`, or the same of layers that lose no units.
        granularity: String, what a unit is: `"filter"`, `"block"` or `"both"`, see
            `trace_channels`.
        round_to: Integer. The number of units kept in each group is a multiple of
            it, or all of them.
        min_units: Integer, the minimum number of units kept in each group.
        target: Of `of="latency"`, on what the model is timed: `"tensorflow"`,
            `"litert"`, a `Runtime`, a function that takes a `keras.Model` and returns
            seconds, a `LatencyTable`, or the path of a table's `.json` file. `None` for
            `"tensorflow"`.

    Raises:
        ImportError: If LiteRT is asked for, and not installed.
        ValueError: If an argument is not of that form.

    Example:

    ```python
    budget = keras_shapley_prune.PruningBudget(0.5, of="flops", ignore="conv2d")
    pruned = keras_shapley_prune.prune(model, images, budget)
    plan = keras_shapley_prune.plan_pruning(model, ranking, budget)
    ```
    """

    ratio: float | Mapping = 0.5
    of: str = "units"
    scope: str = "layer"
    layers: object = None
    ignore: object = None
    granularity: str = "filter"
    round_to: int = 1
    min_units: int = 1
    target: object = None

    def __post_init__(self):
        if isinstance(self.ratio, Mapping):
            # Shares of single layers say all; a total could only contradict them.
            if (self.of, self.scope) != ("units", "layer"):
                raise ValueError(
                    "Argument `ratio` can be a dict only with of='units' and "
                    f"scope='layer'. Received: of={self.of!r}, scope={self.scope!r}"
                )
            known = [isinstance(k, str) or is_expression(k) for k in self.ratio]
            if not known or not all(known):
                raise ValueError(
                    "Argument `ratio`, where it is a dict, should give a share for "
                    "layer names, shell-style patterns or compiled regular "
                    "expressions, at least for one. "
                    f"Received: ratio={show(self.ratio)}"
                )
            for ratio in self.ratio.values():
                check_ratio(ratio)
        else:
            check_ratio(self.ratio)
        for name, choices in (("of", QUANTITIES), ("scope", SCOPES)):
            check_choice(name, getattr(self, name), choices)
        check_choice("granularity", self.granularity, GRANULARITIES)
        for name in ("layers", "ignore"):
            patterns = getattr(self, name)
            if isinstance(patterns, Iterator):  # read more than once
                object.__setattr__(self, name, list(patterns))
            check_patterns(name, getattr(self, name))
        for name in ("round_to", "min_units"):
            check_integer(name, getattr(self, name), 1)
        if self.of == "latency":
            resolve_target(self.target)  # raises what it would raise later
        elif self.target is not None:
            raise ValueError(
                "Argument `target` should be None but for of='latency'. Received: "
                f"target={show(self.target)}, of={self.of!r}"
            )

    def name_layers(self, channel_map):
        """Returns the same budget with names of layers in the place of functions.

        So a function is asked once, and what it has selected can be told, compared and
        kept.

        Args:
            channel_map: The `ChannelMap` of the model.

        Raises:
            ValueError: If a function selects no layer that can lose units, raises, or
                returns neither `True` nor `False`.
        """
        given = {"layers": self.layers, "ignore": self.ignore}
        named = {key: channel_map.name_selected(given[key], key) for key in given}
        return self if named == given else dataclasses.replace(self, **named)

    def select_groups(self, channel_map):
        """Returns the groups that may lose units, a tuple of `ChannelGroup`.

        Args:
            channel_map: The `ChannelMap` of the model.

        Raises:
            ValueError: If a pattern matches no layer that can lose units, or all
                groups are excluded.
        """
        expected = "the `ChannelMap` that `trace_channels(model)` returns"
        check_kind("channel_map", channel_map, ChannelMap, expected)
        groups = channel_map.select_groups(self.layers)
        if isinstance(self.ratio, Mapping):
            matched = channel_map.select_groups(list(self.ratio), "ratio")
            groups = tuple(group for group in groups if group in matched)
        if self.ignore is not None:
            # A pattern that names no layer is an error, whatever else it would do.
            ignored = channel_map.select_groups(self.ignore, "ignore")
            groups = tuple(
                group
                for group in groups
                if group not in ignored or self.may_remove(group).any()
            )
        if not groups:
            raise ValueError(
                "Arguments `layers`, `ignore` and `ratio` should together select a "
                f"layer that can lose units. Received: layers={self.layers!r}, "
                f"ignore={self.ignore!r}, ratio={self.ratio!r}"
            )
        return groups

    def ratio_of(self, group):
        """Returns the share of its units that a group is to lose, per layer.

        Args:
            group: A `ChannelGroup`.
        """
        if not isinstance(self.ratio, Mapping):
            return self.ratio
        for pattern, ratio in self.ratio.items():  # in the order they were written
            if group.matches(pattern):
                return ratio
        return 0.0

    def may_remove(self, group):
        """Returns which units of a group may be removed under the budget's layers.

        Of layers that are tied all or none are selected, but each block by its name.

        Args:
            group: A `ChannelGroup`.

        Returns:
            Boolean array, shape `(num_units,)`.
        """
        selected = np.ones(group.num_units, bool)
        dict_of = list(self.ratio) if isinstance(self.ratio, Mapping) else None
        for patterns in (self.layers, dict_of):
            if patterns is not None and group.kind != "channels":
                selected &= group.find_units(patterns)
        if self.ignore is not None and group.kind != "channels":
            selected &= ~group.find_units(self.ignore)
        elif self.ignore is not None:
            selected &= not any(map(group.matches, as_list(self.ignore)))
        return selected

    def sizes(self, group, step=1):
        """Returns how many units of a group may be kept, from all of them downwards.

        Args:
            group: A `ChannelGroup`.
            step: Integer, of which multiples the numbers should be, see `list_sizes`.

        Returns:
            Integer array. Large groups lose a 256th of their units at a time. Blocks
            go one by one, and all may, whatever `round_to` and `min_units` are.
        """
        if group.kind != "channels":
            least = group.num_units - np.count_nonzero(self.may_remove(group))
            return np.arange(group.num_units, least - 1, -1)
        size, multiple = group.num_units, self.round_to
        least = -(-self.min_units // multiple) * multiple  # rounded up to a multiple
        if least >= size:
            return np.array([size])
        if step > 1:
            liked = list_sizes(step, size)
            fits = (liked >= least) & ((liked % multiple == 0) | (liked == size))
            if fits.sum() > 1:
                return liked[fits]
        if multiple == 1:
            # Steps of one unit would make the walk over wide layers slow.
            fine = np.arange(size, least, -max(1, size // 256))
            return np.append(fine, least)
        start = (size - 1) // multiple * multiple
        return np.append(size, np.arange(start, least - 1, -multiple))


def check_steps(budget, groups):
    """Raises a `ValueError` unless a budget lets some group lose units.

    Args:
        budget: A `PruningBudget`.
        groups: Sequence of the `ChannelGroup`s that are to lose units.
    """
    if any(len(budget.sizes(group)) > 1 for group in groups):
        return
    largest = max(group.num_units for group in groups)
    raise ValueError(
        "Arguments `round_to` and `min_units` should let a group lose units; one unit "
        f"is always kept. Received: round_to={budget.round_to}, "
        f"min_units={budget.min_units}, and groups of at most {largest} units"
    )


def to_budget(function, ratio, keywords):
    """Returns the `PruningBudget` that a public function was asked for.

    Args:
        function: String, the name of the function, for its errors.
        ratio: What it takes as a ratio: a number, a dict, or a `PruningBudget`.
        keywords: Dict of the budget's other fields, which the function was given.

    Raises:
        TypeError: If there is no such field, as Python raises it for the function.
        ValueError: If a field is not of its form, or is given in addition to a
            `PruningBudget`, which has all of them.
    """
    fields = dataclasses.fields(PruningBudget)
    defaults = {field.name: field.default for field in fields}
    for name in keywords:
        if name not in defaults or name == "ratio":
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    if not isinstance(ratio, PruningBudget):
        return PruningBudget(ratio, **keywords)
    changed = dict(keywords)
    if function == "prune":
        # Its signature has them all: those at their defaults were not given.
        changed = {k: v for k, v in keywords.items() if not _is_same(v, defaults[k])}
    if changed:
        received = ", ".join(f"{name}={value!r}" for name, value in changed.items())
        raise ValueError(
            f"Arguments of `{function}` should not say again what a `PruningBudget` "
            f"says. Received: {received} beside {ratio!r}"
        )
    return ratio


def _is_same(value, default):
    """Whether a value is the default; an array is none, and has no truth value."""
    return type(value) is type(default) and value == default


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
            "Argument `ratio` should be a float in [0, 1). "
            f"Received: ratio={show(ratio)}{suggest_share(ratio)}"
        )
