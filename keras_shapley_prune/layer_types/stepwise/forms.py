"""Linear layers at every time step: their matrix, on the rows of all steps."""

import tensorflow as tf

from keras_shapley_prune.layer_types.depthwise_forms import DepthwiseForm
from keras_shapley_prune.layer_types.linear_forms import LinearForm
from keras_shapley_prune.layer_types.stepwise.folding import count_steps, fold, unfold


def _at_each_step(function, inputs):
    """Returns what a function of single steps makes of sequences."""
    return unfold(function(fold(inputs)), count_steps(inputs))


class StepwiseForm(LinearForm):
    """The `LinearForm` of a linear layer at every time step.

    Its positions are those of one step after those of the step before.

    Args:
        operation: The `Stepwise` of the layer.
        inner: The `LinearForm` of the layer.
        step_of: Callable, which returns the call of a single step.
        fold_masks: Callable, which returns the masks of a single step.
    """

    def __init__(self, operation, inner, step_of, fold_masks):
        self._inner, self._step_of, self._fold_masks = inner, step_of, fold_masks
        self.site = inner.site
        super().__init__(operation)

    def find_channels(self):
        return self._inner.channel_of

    @property
    def has_bias(self):
        return self._inner.has_bias

    @property
    def bias(self):
        return self._inner.bias

    @property
    def blocks(self):
        return self._inner.blocks

    @property
    def matrix(self):
        return self._inner.matrix

    @property
    def kernel_weight(self):
        return self._inner.kernel_weight

    @property
    def bias_weight(self):
        return self._inner.bias_weight

    def assign(self, matrix):
        self._inner.assign(matrix)

    def assign_bias(self, bias):
        self._inner.assign_bias(bias)

    def scale(self, factors):
        self._inner.scale(factors)

    def to_matrix(self, kernel):
        return self._inner.to_matrix(kernel)

    def from_matrix(self, matrix):
        return self._inner.from_matrix(matrix)

    def read(self, call, inputs, masks):
        steps = count_steps(inputs)
        masks = self._fold_masks(masks, steps)
        read = self._inner.read(self._step_of(call), fold(inputs), masks)
        return unfold(read, steps)

    def mask(self, inputs, mask):
        steps = count_steps(inputs)
        (mask,) = self._fold_masks({0: mask}, steps).values()
        return unfold(self._inner.mask(fold(inputs), mask), steps)

    def rows(self, inputs):
        rows = _at_each_step(self._inner.rows, inputs)
        steps, positions, columns = rows.shape[1:]
        if steps is None:
            positions = -1 if positions is None else tf.shape(rows)[1] * positions
            return tf.reshape(rows, [-1, positions, columns])
        return tf.reshape(rows, [-1, steps * positions, columns])

    def apply(self, inputs):
        return _at_each_step(self._inner.apply, inputs)

    def apply_kernel(self, inputs):
        return _at_each_step(self._inner.apply_kernel, inputs)

    def activate(self, outputs):
        return _at_each_step(self._inner.activate, outputs)

    def count_positions(self, inputs):
        return inputs.shape[1] * self._inner.count_positions(fold(inputs))


class StepwiseDepthwiseForm(DepthwiseForm):
    """The `DepthwiseForm` of a layer at every time step.

    Args:
        operation: The `Stepwise` of the layer.
        inner: The `DepthwiseForm` of the layer.
    """

    def __init__(self, operation, inner):
        super().__init__(operation)
        self._inner = inner

    @property
    def bias_weight(self):
        return self._inner.bias_weight

    def apply(self, inputs):
        return _at_each_step(self._inner.apply, inputs)

    def apply_kernel(self, inputs):
        return _at_each_step(self._inner.apply_kernel, inputs)

    def count_positions(self, inputs):
        return inputs.shape[1] * self._inner.count_positions(fold(inputs))

    def scale(self, factors):
        self._inner.scale(factors)
