"""Units: integers that travel with the tensors and say what can be removed."""

import numpy as np

from keras_shapley_prune.inputs.arguments import check_choice, check_kind
from keras_shapley_prune.inputs.models import check_model
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.stepwise.layer import innermost
from keras_shapley_prune.layer_types.unit_ids import FIXED, INSIDE
from keras_shapley_prune.trace.blocks import GRANULARITIES, add_blocks
from keras_shapley_prune.trace.channel_map import ChannelMap
from keras_shapley_prune.trace.channel_tracer import ChannelTracer
from keras_shapley_prune.trace.groups import fix_followers, group_units, number_units
from keras_shapley_prune.trace.recording import record_graph


@undisturbed
def trace_channels(model, granularity="filter"):
    """Finds out which channels of a model can be removed, and together with which.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        granularity: String, what a unit is. `"filter"`: a filter, neuron or head.
            `"block"`: a whole block of layers whose result is added to a stream that
            goes on without it, such as a residual block. `"both"`: either. All blocks
            form one group, `"blocks"`, of units that have the name of the addition.

    Returns:
        A `ChannelMap`.

    Raises:
        ValueError: If `model` is not built or has no graph of layers, or `granularity`
            is none of these.

    Example:

    ```python
    channel_map = keras_shapley_prune.trace_channels(model)
    for group in channel_map.groups:
        print(group.name, group.num_units, group.consumers)
    print(channel_map.lock_reasons())
    ```
    """
    check_choice("granularity", granularity, GRANULARITIES)
    graph = record_graph(model)
    tracer = _MapMaker(graph)
    for call in graph.calls:
        tracer.trace(call)
    return add_blocks(tracer.finish(), granularity)


def map_of(model, channel_map=None, name="model", granularity="filter"):
    """Returns the `ChannelMap` of a model: the one that is given, if it is its own.

    Args:
        model: See `trace_channels`.
        channel_map: What a caller has given, or `None` to trace the model.
        name: String, the argument that `model` is given for.
        granularity: See `trace_channels`, for a model that is traced here.

    Raises:
        ValueError: If the model has no graph of layers, or the map is that of another
            model, or none.
    """
    check_model(model, name)
    if channel_map is None:
        return trace_channels(model, granularity)
    expected = f"`trace_channels({name})` of this very model, or None"
    check_kind("channel_map", channel_map, ChannelMap, expected)
    # Two models of one architecture have maps that look alike, of other layers.
    own = {id(weight) for weight in model.weights}
    for call in channel_map.graph.calls:
        weights = getattr(call.operation, "weights", ())
        if any(id(weight) not in own for weight in weights):
            raise ValueError(
                f"Argument `channel_map` should be {expected}, {model.name!r}. "
                f"Received: that of another one, of whose layers {call.name!r} is none "
                "of this model's"
            )
    return channel_map


class _MapMaker(ChannelTracer):
    """Makes the map of what it has traced."""

    def _close_nested_models(self):
        """Lets a nested model have inputs of one size.

        In all its calls it reads the same channels.
        """
        # A nested model has the same `Input`s in all of its calls: they can shrink only
        # if all calls read the same units.
        first_calls = {}
        for call in self._graph.nested:
            first = first_calls.setdefault(call.model, call)
            for ours, theirs in zip(first.inputs, call.inputs, strict=True):
                if first is not call:
                    letters = self._letters_of("i", ours)
                    self._tie_axes(theirs, letters, "i", call.model)
                    ids = self.ids(ours), self.ids(theirs)
                    self._tie_shared("model", call.model, *ids)

    def _lock_outputs(self):
        for tensor in self._graph.outputs:
            for ids in self.axes(tensor).values():
                for unit in ids[ids != FIXED]:
                    self._locks[int(unit)] = "model output"  # whatever else locks it

    def finish(self):
        """Returns the `ChannelMap`, its units numbered without gaps.

        All ids so far are of units as they were produced; a tie is a pair of them. Only
        now is it known which are one unit, and everything is renumbered.
        """
        self._lock_outputs()
        # This may tie and lock units, so it comes before they are numbered.
        self._close_nested_models()
        follows = {key: find_layer_type(key[0]).follows for key in self._parts}
        compact = fix_followers(
            number_units(self._num_units, self._ties),
            [(units, follows[key]) for key, units in self._produced.items()],
        )
        numbering = np.append(compact, FIXED)  # FIXED is -1: the last entry is its own

        # By indexing, so ids of any shape, and FIXED among them, are renumbered at
        # once.
        def renumber(ids):
            return numbering[ids]

        sites = {site: renumber(ids) for site, ids in self._sites.items()}
        sites = {site: ids for site, ids in sites.items() if (ids != FIXED).any()}
        passing = frozenset(self._passing.intersection(sites))
        units = {key: renumber(ids) for key, ids in self._produced.items()}
        # A group has the name of the first layer that makes it, not of a follower.
        parts = {
            key: self._parts[key]
            for key in sorted(self._parts, key=follows.get)
            if (units[key] != FIXED).any()
        }
        carried, locks = (
            self._renumber_carried(renumber),
            self._renumber_locks(renumber),
        )
        locks = self._lock_fed_back(sites, passing) | locks
        # Without any units the maximum is FIXED, and their number 0.
        num_units = int(compact.max(initial=FIXED)) + 1
        produced, read = self._name_produced(parts, units), self._name_read(sites)
        operations = {self._graph.name_of(op): innermost(op) for op, _ in parts}
        return ChannelMap(
            graph=self._graph,
            num_units=num_units,
            groups=group_units(
                num_units, produced, read, carried.values(), locks, operations
            ),
            locks=locks,
            ids=carried,
            layer_ids={
                operation: {letter: renumber(ids) for letter, ids in letters.items()}
                for operation, letters in self._layer_ids.items()
            },
            sites=sites,
            # Also marked where nothing but fixed channels is read, which is no site.
            passing=passing,
            produced=parts,
            obstacles=self._obstacles,
        )

    def _renumber_carried(self, renumber):
        """Returns a dict: tensor, or tensor and another axis than the last -> units."""
        carried = {tensor: renumber(ids) for tensor, ids in self._ids.items()}
        return carried | {
            (tensor, axis): renumber(ids)
            for tensor, axes in self._across.items()
            for axis, ids in axes.items()
        }

    def _renumber_locks(self, renumber):
        """Returns a dict: unit -> reason; of tied units, the one that came first."""
        locks = {}
        for unit, reason in self._locks.items():
            locks.setdefault(int(renumber(unit)), reason)
        locks.pop(FIXED, None)
        return locks

    def _lock_fed_back(self, sites, passing):
        """Returns locks of hidden units that only their own layer reads, step by step.

        They matter to the other ones, but no layer tells how much.
        """
        ends = [ids for site, ids in sites.items() if site not in passing]
        read, locks = np.concatenate([[FIXED], *ends]), {}
        for index, position in passing:
            if position != INSIDE:
                continue
            name = self._graph.name_of(self._graph.calls[index].operation)
            reason = f"read again by `{name}` in the next step, but by no other layer"
            for unit in np.setdiff1d(sites[index, position], read).tolist():
                locks[unit] = reason
        return locks

    def _name_produced(self, parts, units):
        """Returns tuples: name of a layer, what its units are, and the units."""
        return [
            (self._graph.name_of(key[0]), part, units[key][units[key] != FIXED])
            for key, part in parts.items()
        ]

    def _name_read(self, sites):
        """Returns pairs: name of a layer, and the units that it reads at a site."""
        calls, name_of = self._graph.calls, self._graph.name_of
        return [
            (name_of(calls[index].operation), ids) for (index, _), ids in sites.items()
        ]
