"""What pruning changed, what it left alone and why."""

import dataclasses

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.costs import count_flops


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The difference between a model and its pruned copy.

    Attributes:
        units: Dict: layer name -> `(units before, units after)`, for every layer
            that produces channels.
        parameters: Tuple `(before, after)` of integers.
        flops: Tuple `(before, after)` of integers; `None` where a spatial size is
            not known.
        locks: Dict: layer name -> why its units cannot be removed.
    """

    units: dict
    parameters: tuple
    flops: tuple
    locks: dict

    def __str__(self):
        width = max([len(name) for name in [*self.units, *self.locks, "parameters"]])
        lines = [f"{'layer':{width}}  {'units':>15}"]
        for name, (before, after) in self.units.items():
            reason = f"  locked: {self.locks[name]}" if name in self.locks else ""
            lines.append(f"{name:{width}}  {before:>6} → {after:>6}{reason}")
        for name in [name for name in self.locks if name not in self.units]:
            lines.append(f"{name:{width}}  {'':>15}  locked: {self.locks[name]}")
        for name, cost in (("parameters", self.parameters), ("FLOPs", self.flops)):
            lines.append(f"{name:{width}}  {describe_cost(*cost)}")
        return "\n".join(lines)


def describe_cost(before, after):
    """Returns what has become of a quantity, which may be `None`, as a string."""
    if before is None:
        return "unknown: a spatial size is not known"
    change = f" ({after / before - 1:+.1%})" if before else ""
    return f"{before:,} → {after:,}{change}"


def compare(model, pruned):
    """Prints and returns what pruning changed.

    Args:
        model: The `keras.Model` before pruning.
        pruned: The one that `prune` or `remove_channels` made of it.

    Returns:
        A `Comparison`: units of each layer, parameters, FLOPs, and the reason for
        each layer that could not be pruned.

    Raises:
        ValueError: If `pruned` does not have the layers of `model`.
    """
    channel_map = trace_channels(model)
    before = _units_by_layer(channel_map)
    after = _units_by_layer(trace_channels(pruned))
    if before.keys() != after.keys():
        raise ValueError(
            "Arguments `model` and `pruned` should have layers of the same names. "
            "Received: layers that are only in one of them: "
            f"{sorted(before.keys() ^ after.keys())}"
        )
    comparison = Comparison(
        units={name: (before[name], after[name]) for name in before},
        parameters=(model.count_params(), pruned.count_params()),
        flops=(count_flops(model), count_flops(pruned)),
        locks=channel_map.lock_reasons(),
    )
    print(comparison)
    return comparison


def _units_by_layer(channel_map):
    return {
        channel_map.graph.name_of(operation): len(channel_map.layer_ids[operation]["o"])
        for operation in channel_map.producers
    }
