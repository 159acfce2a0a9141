"""What is known of an operation at every time step: what is known of it at one."""

import keras

from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.stepwise.folding import count_steps, fold
from keras_shapley_prune.layer_types.stepwise.forms import (
    StepwiseDepthwiseForm,
    StepwiseForm,
)
from keras_shapley_prune.layer_types.stepwise.masks import fold_masks
from keras_shapley_prune.layer_types.stepwise.one_step import (
    OneStep,
    step_of,
    with_steps,
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
        return with_steps(self._inner.flow(step, OneStep(channels, call, step)))

    def flow_across(self, call, channels):
        step = step_of(call)
        found = self._inner.flow_across(step, OneStep(channels, call, step))
        return with_steps(found)

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


def _times(count, call):
    """Returns how often something is done that is done so often at each step."""
    steps = call.inputs[0].shape[1]
    return None if count is None or steps is None else count * steps
