"""A single step of a call, as the type of the operation sees it."""

import dataclasses

import keras

from keras_shapley_prune.layer_types.stepwise.folding import fold


def step_of(call):
    """Returns the call of a single step, of what a `Stepwise` does.

    Args:
        call: A recorded `Call` of a `Stepwise`.

    Returns:
        A `Call` of its operation, on new symbolic tensors without the time axis.
    """
    folded = {}

    def take_step(value):
        if not isinstance(value, keras.KerasTensor):
            return value
        return folded.setdefault(value, fold(value))

    parts = {
        name: keras.tree.map_structure(take_step, getattr(call, name))
        for name in ("args", "kwargs", "inputs", "outputs")
    }
    return dataclasses.replace(call, operation=call.operation.operation, **parts)


class OneStep:
    """A `ChannelTracer` for a flow that sees a single step of a call.

    Whatever it is asked or told of the step, and of its tensors, is meant of the call.

    Args:
        channels: The `ChannelTracer` at work.
        call: A recorded `Call` of a `Stepwise`.
        step: What `step_of` returns of it.
    """

    def __init__(self, channels, call, step):
        self._channels = channels
        pairs = zip(
            (*step.inputs, *step.outputs), (*call.inputs, *call.outputs), strict=True
        )
        self._meant = {id(ours): theirs for ours, theirs in pairs}
        self._meant |= {id(step): call, id(step.operation): call.operation}

    def across(self, tensor):
        return _without_steps(self._channels.across(self._meant[id(tensor)]))

    def axes(self, tensor):
        return _without_steps(self._channels.axes(self._meant[id(tensor)]))

    def lock_axes(self, call, axes):
        self._channels.lock_axes(self._meant[id(call)], with_steps(axes))

    def find_heads(self, call, axes):
        found = self._channels.find_heads(
            self._meant[id(call)], [axis + 1 for axis in axes]
        )
        return None if found is None else found - 1

    def __getattr__(self, name):
        method = getattr(self._channels, name)

        def translated(*args, **kwargs):
            args = [self._meant.get(id(value), value) for value in args]
            kwargs = {k: self._meant.get(id(v), v) for k, v in kwargs.items()}
            return method(*args, **kwargs)

        return translated


def _without_steps(axes):
    """Returns a dict of axes as a single step has them: the steps were axis 1."""
    return {axis - 1: ids for axis, ids in axes.items() if axis > 1}


def with_steps(flown):
    """Returns what a flow returned of a step as that of the sequence.

    Args:
        flown: See `LayerType.flow`.
    """
    if isinstance(flown, list):
        return [with_steps(ids) for ids in flown]
    if not isinstance(flown, dict):
        return flown
    return {axis + 1: ids for axis, ids in flown.items()}
