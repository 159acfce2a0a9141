"""What is known of an operation at every time step: what is known of it at one."""

import dataclasses

import keras
import tensorflow as tf

from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.stepwise import count_steps, fold, unfold
from keras_shapley_prune.layer_types.stepwise_forms import (
    StepwiseDepthwiseForm,
    StepwiseForm,
)


class StepwiseType(LayerType):
    """The type of a `Stepwise`: each question goes to the type of its operation.

    That one sees the call of a single step, without the time axis.

    Args:
        inner: The `LayerType` of the operation.
    """

    def __init__(self, inner):
        self._inner = inner

    def flow(self, call, channels):
        self._lock_steps(call, channels)
        step = step_of(call)
        return _with_steps(self._inner.flow(step, _OneStep(channels, call, step)))

    def flow_across(self, call, channels):
        step = step_of(call)
        found = self._inner.flow_across(step, _OneStep(channels, call, step))
        return _with_steps(found)

    def _lock_steps(self, call, channels):
        for tensor in call.inputs:
            along = channels.across(tensor).get(1)
            if along is not None:
                reason = f"{channels.quote(call)} takes each channel for a time step"
                channels.lock(along, reason)

    def is_for_all(self, call, read):
        return self._inner.is_for_all(step_of(call), read)

    def letters(self, call, ids):
        return self._inner.letters(step_of(call), ids)

    def weights(self, operation):
        return self._inner.weights(operation.operation)

    def axes_of(self, operation, weight):
        return self._inner.axes_of(operation.operation, weight)

    def kernels(self, operation):
        return self._inner.kernels(operation.operation)

    def resize(self, config, kept):
        self._inner.resize(config, kept)

    def resize_call(self, args, kwargs, kept):
        # Back by identity: whatever is not changed is the same tensor again.
        flat = keras.tree.flatten((args, kwargs))
        folded = fold(flat)
        inner = keras.tree.pack_sequence_as((args, kwargs), folded)
        sequences = {id(a): b for a, b in zip(folded, flat, strict=True)}
        resized = self._inner.resize_call(*inner, kept)
        return keras.tree.map_structure(lambda x: sequences.get(id(x), x), resized)

    def unfit(self, call):
        return self._inner.unfit(step_of(call))

    def masked(self, operation, masks, *args, training=None, **kwargs):
        if training is not None:
            kwargs["training"] = training
        by_step = fold_masks(masks, count_steps((args, kwargs)))
        if not operation.folds:
            by_step = masks

        def run(*args, **kwargs):
            return self._inner.masked(operation.operation, by_step, *args, **kwargs)

        return operation.run(run, args, kwargs)

    def positions(self, call):
        return _times(self._inner.positions(step_of(call)), call)

    def products(self, call):
        return [
            (letters, shape, _times(uses, call))
            for letters, shape, uses in self._inner.products(step_of(call))
        ]

    def linear_form(self, operation):
        form = self._inner.linear_form(operation.operation)
        return form and StepwiseForm(operation, form, step_of, fold_masks)

    def depthwise_form(self, operation):
        form = self._inner.depthwise_form(operation.operation)
        return form and StepwiseDepthwiseForm(operation, form)

    def projection(self, call, position):
        return self._inner.projection(step_of(call), position)

    def normalizes_channels(self, call):
        return self._inner.normalizes_channels(step_of(call))

    def is_elementwise(self, operation):
        return self._inner.is_elementwise(operation.operation)

    def relu_ceiling(self, operation):
        return self._inner.relu_ceiling(operation.operation)

    def output_activation(self, operation):
        return self._inner.output_activation(operation.operation)

    @property
    def follows(self):
        return self._inner.follows

    @property
    def ties_inputs(self):
        return self._inner.ties_inputs

    @property
    def sums_inputs(self):
        return self._inner.sums_inputs

    @property
    def has_masked_form(self):
        return self._inner.has_masked_form

    @property
    def has_size(self):
        return self._inner.has_size


class _OneStep:
    """A `ChannelTracer` for a flow that sees a single step of a call.

    Whatever it is asked or told of the step, and of its tensors, is meant of the call.
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
        self._channels.lock_axes(self._meant[id(call)], _with_steps(axes))

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


def _with_steps(flown):
    """Returns what a flow returned of a step as that of the sequence."""
    if isinstance(flown, list):
        return [_with_steps(ids) for ids in flown]
    if not isinstance(flown, dict):
        return flown
    return {axis + 1: ids for axis, ids in flown.items()}


class _StepMask:
    """A `Mask` for what has been folded: of examples and their steps."""

    def __init__(self, mask, steps):
        self._mask, self._steps = mask, steps

    @property
    def values(self):
        """Tensor, shape `(channels,)`, or `(batch * steps, channels)`."""
        return self._repeat(self._mask.values, rank=2)

    def along(self, inputs):
        """Returns the mask as a factor for the last axis of a tensor."""
        factor = self._mask.along(unfold(inputs, self._steps))
        if len(factor.shape) < 2:
            return factor
        # (batch, 1, ..., channels): the first of these is that of the steps.
        return self._repeat(tf.squeeze(factor, axis=1), rank=2)

    def __call__(self, inputs):
        # Sequences again, as who watches it knows of no steps.
        return fold(self._mask(unfold(inputs, self._steps)))

    def _repeat(self, values, rank):
        of_examples = len(values.shape) >= rank
        return tf.repeat(values, self._steps, axis=0) if of_examples else values


def fold_masks(masks, steps):
    """Returns masks of sequences as masks of what `fold` makes of these.

    Args:
        masks: Dict: input position, or `INSIDE` -> `Mask`.
        steps: Integer or tensor, the length of the time axis.
    """
    return {place: _StepMask(mask, steps) for place, mask in masks.items()}


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


def _times(count, call):
    """Returns how often something is done that is done so often at each step."""
    steps = call.inputs[0].shape[1]
    return None if count is None or steps is None else count * steps
