"""The part of the network after a group's masks, and how to get to it."""

import dataclasses

import tensorflow as tf

from keras_shapley_prune.graph import run_calls
from keras_shapley_prune.masking import GroupMasker


@dataclasses.dataclass(frozen=True, eq=False)
class Suffix:
    """What depends on the masks of one group, and what has to be known before.

    Attributes:
        masker: The `GroupMasker` of the group.
        prefix: Tuple of the calls to run, once a batch, after those of the suffixes
            before this one.
        cut: Tuple of the symbolic tensors that enter the suffix. Where a skip
            connection crosses the cut there are several.
        calls: Tuple of the calls that depend on the masks.
        outputs: Tuple of the symbolic outputs of the model.
        release: Tuple of the tensors that no later suffix needs.
    """

    masker: GroupMasker
    prefix: tuple
    cut: tuple
    calls: tuple
    outputs: tuple
    release: tuple

    def advance(self, values):
        """Runs the prefix: `values` comes to hold what enters the suffix.

        Args:
            values: Dict: symbolic tensor -> value. It is changed.

        Returns:
            List of the values of `cut`.
        """
        run_calls(self.prefix, values)
        return [values[tensor] for tensor in self.cut]

    @property
    def num_units(self):
        """Integer, the number of units that are masked."""
        return self.masker.num_units

    def run(self, cut_values, coalitions, watch=None):
        """Returns the model's outputs under one coalition an example.

        Args:
            cut_values: List of the values of `cut`.
            coalitions: Float tensor, shape `(batch, num_units)`.
            watch: Optional callable, see `GroupMasker.edit`.
        """
        values = dict(zip(self.cut, cut_values, strict=True))
        run_calls(self.calls, values, self.masker.edit(coalitions, watch))
        return [values[tensor] for tensor in self.outputs]

    def cut_specs(self, cut_values):
        """Returns `tf.TensorSpec`s of the cut for a batch of any size."""
        return [
            tf.TensorSpec((None, *tensor.shape[1:]), value.dtype)
            for tensor, value in zip(self.cut, cut_values, strict=True)
        ]


def plan_suffixes(channel_map, groups):
    """Cuts the graph before each group, from the input to the output.

    Args:
        channel_map: A `ChannelMap`.
        groups: Sequence of `ChannelGroup`.

    Returns:
        List of `(group, Suffix)` in the order in which a batch should pass them: then
        every call of the prefix runs once a batch.
    """
    graph = channel_map.graph
    maskers = [(group, GroupMasker(channel_map, group)) for group in groups]
    maskers.sort(key=lambda entry: min(entry[1].sites))
    producer = {t: call for call in graph.calls for t in call.outputs}
    done, cuts = set(), []
    for group, masker in maskers:
        calls, cut = _split(graph, masker)
        prefix = _missing_ancestors(cut, producer, done)
        done.update(prefix)
        cuts.append((group, masker, prefix, cut, calls))
    last_use = {}
    for position, (_, _, prefix, cut, _) in enumerate(cuts):
        for tensor in [*cut, *(t for c in prefix for t in (*c.inputs, *c.outputs))]:
            last_use[tensor] = position
    return [
        (
            group,
            Suffix(
                masker=masker,
                prefix=prefix,
                cut=cut,
                calls=calls,
                outputs=graph.outputs,
                release=tuple(t for t, last in last_use.items() if last == position),
            ),
        )
        for position, (group, masker, prefix, cut, calls) in enumerate(cuts)
    ]


def _split(graph, masker):
    """Returns the calls that depend on the masks, and the tensors they start from."""
    site_calls = {index for index, _ in masker.sites}
    masked, calls = set(), []
    for call in graph.calls:
        if call.index in site_calls or masked.intersection(call.inputs):
            masked.update(call.outputs)
            calls.append(call)
    read = [*(tensor for call in calls for tensor in call.inputs), *graph.outputs]
    return tuple(calls), tuple(dict.fromkeys(t for t in read if t not in masked))


def _missing_ancestors(tensors, producer, done):
    """Returns the calls that lead to `tensors` and are not in `done`, in order."""
    missing, pending = set(), list(tensors)
    while pending:
        call = producer.get(pending.pop())
        if call is not None and call not in done and call not in missing:
            missing.add(call)
            pending.extend(call.inputs)
    return tuple(sorted(missing, key=lambda call: call.index))
