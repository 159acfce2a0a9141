"""Adam whose steps are relative to the size of what they change."""

import keras
import tensorflow as tf

_MEAN, _SQUARE, _EPSILON = 0.9, 0.999, 1e-7  # Adam's own
_FLOOR = 0.1  # a variable counts for so much of the largest one of its layer
_LEAST = 1e-3  # the size of a layer's variables that are all zero


class RelativeAdam:
    """Adam, each of whose steps is times the root mean square of its variable.

    Adam's own steps have one length for all variables: what fits kernels with entries
    of 0.1 destroys those with entries of 0.001. That steps are relative to the root
    mean square, with a floor, is from "Adafactor: Adaptive Learning Rates with
    Sublinear Memory Cost" (Shazeer and Stern, 2018,
    https://arxiv.org/abs/1804.04235). Here it is that at the start, so that what grows
    does not grow ever faster.

    Args:
        layers: List of lists of the `keras.Variable`s of a layer: one that starts at
            zero, as many a bias does, gets its size from the others of its layer.
            Layers may share a variable.

    Attributes:
        variables: List of them, each once.
    """

    def __init__(self, layers):
        self.variables = list({id(v): v for layer in layers for v in layer}.values())
        sizes = _measure_sizes(layers)
        self._sizes = [sizes[id(variable)] for variable in self.variables]
        # In half precision small squares would vanish.
        self._means, self._squares = (
            [tf.Variable(tf.zeros(v.shape, tf.float32)) for v in self.variables]
            for _ in range(2)
        )
        self._num_steps = tf.Variable(0.0)

    @property
    def slots(self):
        """List of `tf.Variable`, all that the next step depends on."""
        return [self._num_steps, *self._means, *self._squares]

    def apply(self, gradients, rate):
        """Takes one step.

        Args:
            gradients: List of float32 tensors; `None` for what changes nothing.
            rate: Scalar tensor, the length of a step as a share of a variable's size.
        """
        self._num_steps.assign_add(1.0)
        # m ← β₁ m + (1 - β₁) g and v ← β₂ v + (1 - β₂) g² start at zero, and are too
        # small at first by the factors 1 - βᵏ.
        root = tf.sqrt(1 - _SQUARE**self._num_steps)
        rate = rate * root / (1 - _MEAN**self._num_steps)
        slots = self.variables, self._sizes, self._means, self._squares
        for gradient, variable, size, mean, square in zip(
            gradients, *slots, strict=True
        ):
            if gradient is None:
                continue
            # In units of the size: the same network in another scale learns the same.
            gradient = size * gradient
            mean.assign_add((1 - _MEAN) * (gradient - mean))
            square.assign_add((1 - _SQUARE) * (gradient**2 - square))
            step = rate * size * mean / (tf.sqrt(square) + _EPSILON)
            changed = variable.value - tf.cast(step, variable.dtype)
            if variable.constraint is not None:
                changed = variable.constraint(changed)
            variable.assign(changed)


def _measure_sizes(layers):
    """Returns a dict: id of a variable -> its root mean square, with a floor."""
    sizes = {}
    for variables in layers:
        found = [_root_mean_square(variable) for variable in variables]
        floor = max([_FLOOR * size for size in found], default=0.0) or _LEAST
        for variable, size in zip(variables, found, strict=True):
            sizes[id(variable)] = max(size, floor)
    return sizes


def _root_mean_square(variable):
    value = tf.cast(keras.ops.convert_to_tensor(variable), tf.float32)
    return float(tf.sqrt(tf.reduce_mean(value**2)))
