"""What can be pruned in a model: its groups and its locks, as text."""

import dataclasses

from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.trace.channel_map import ChannelMap
from keras_shapley_prune.trace.lock_text import group_locks
from keras_shapley_prune.trace.tracer import map_of


@dataclasses.dataclass(frozen=True, eq=False)
class Inspection:
    """The groups and the locks of a model; it prints as text.

    In the text each reason stands once, with the first layers that are locked for it.

    Attributes:
        name: String, the name of the model.
        channel_map: The `ChannelMap` of the model.
        locked: Dict: layer name -> dict: reason -> number of the units that are locked
            for it. The number is 0 for a layer that has no units of its own but could
            not be cut.
        found_by_trial: Dict: what nobody has declared, but what has been run on random
            numbers and found to keep channels apart, such as `"activation mish"` or the
            class of a layer -> list of the names of the layers.
    """

    name: str
    channel_map: ChannelMap
    locked: dict
    found_by_trial: dict

    @property
    def num_locked(self):
        """Integer, how many units cannot be removed."""
        return len(self.channel_map.locks)

    def __str__(self):
        groups = self.channel_map.groups
        removable = sum(group.num_units for group in groups)
        lines = [
            f"{self.name}: {removable:,} removable units in {len(groups)} groups, "
            f"{self.num_locked:,} locked"
        ]
        for group in groups:
            if group.kind != "channels":
                lines += self._describe_blocks(group)
                continue
            lines += [
                f"{group.name}: {group.num_units:,} units",
                f"    from {', '.join(group.producers)}",
                f"    to   {', '.join(group.consumers) or 'nothing'}",
            ]
        if self.locked:
            lines.append("locked")
        for group in group_locks(self.locked):
            units = f" ({group.num_units:,} units)" if group.num_units else ""
            lines.append(f"    {group.names}{units}: {group.reason}")
        if self.found_by_trial:
            lines.append("found by trial to keep channels apart")
        for what, names in self.found_by_trial.items():
            lines.append(f"    {what}: {', '.join(names)}")
        return "\n".join(lines)

    def _describe_blocks(self, group):
        """Returns lines: the name of each block, and the layers that go with it."""
        known = {block.unit: block for block in self.channel_map.blocks}
        blocks = [known[unit] for unit in group.units.tolist()]
        lines = [f"    {block.name}: {', '.join(block.layers)}" for block in blocks]
        return [f"{group.name}: {group.num_units:,} blocks", *lines]


@undisturbed
def inspect(model, channel_map=None):
    """Returns what can be pruned in a model, what cannot, and why.

    Args:
        model: A built Sequential or functional `keras.Model`.
        channel_map: The `ChannelMap` of `model`, if it has been traced already. That of
            `trace_channels(model, granularity="both")` has whole blocks, too.

    Returns:
        A `Inspection`: print it.

    Raises:
        ValueError: If `model` is not built or has no graph of layers.

    Example:

    ```python
    print(keras_shapley_prune.inspect(model))
    ```
    """
    channel_map = map_of(model, channel_map)
    locked = {}
    for operation, letter in channel_map.produced:
        name = channel_map.graph.name_of(operation)
        for unit in channel_map.layer_ids[operation][letter].tolist():
            if unit in channel_map.locks:
                reasons = locked.setdefault(name, {})
                reason = channel_map.locks[unit]
                reasons[reason] = reasons.get(reason, 0) + 1
    # Layers that cannot be cut but have no units of their own are locked too.
    for name, reason in channel_map.lock_reasons().items():
        locked.setdefault(name, {reason: 0})
    tried = {}
    for operation, found in channel_map.trials.items():
        for what in found:
            tried.setdefault(what, []).append(channel_map.graph.name_of(operation))
    return Inspection(model.name, channel_map, locked, tried)
