"""A layer that returns a weight, for weights and constants that only code reads.

A class token, an embedding of positions or the scale of a layer is a weight that the
`call` of a layer made of layers reads itself. In a graph something has to return it.
"""

import keras
import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.registry import LAYER_TYPES
from keras_shapley_prune.layer_types.unit_ids import (
    count_kept,
    letter_of,
    no_units,
)


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class OwnWeight(layers.Layer):
    """Returns a weight of its own, whatever it reads.

    It is called on a tensor only to have a place in the graph. `to_functional` makes
    it; to load a file of a model with it, import `keras_shapley_prune` first.

    Args:
        shape: Tuple of integers, the shape of the weight.
        weight_dtype: String, the type of the weight.
        learned: Boolean, whether the weight is trained. A constant is not.
        regularizer: A regularizer for the weight.
        constraint: A constraint for the weight.
        **kwargs: As of a `keras.Layer`. The weight is returned in the layer's
            `compute_dtype` if it is a float.

    Input shape:
        Any.

    Output shape:
        `shape`: the weight, once for the whole batch.
    """

    def __init__(
        self,
        shape,
        weight_dtype="float32",
        learned=True,
        regularizer=None,
        constraint=None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        self.shape, self.weight_dtype = tuple(shape), weight_dtype
        self.learned = learned
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.weight = None

    def build(self, input_shape):
        if self.weight is None:
            self.weight = self.add_weight(
                shape=self.shape,
                dtype=self.weight_dtype,
                initializer="zeros",
                trainable=self.learned,
                regularizer=self.regularizer,
                constraint=self.constraint,
                name="weight",
            )

    def call(self, inputs):
        weight = keras.ops.convert_to_tensor(self.weight)
        return keras.ops.cast(weight, self._returned_dtype)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(self.shape, self._returned_dtype)

    @property
    def _returned_dtype(self):
        is_float = keras.backend.is_float_dtype(self.weight_dtype)
        return self.compute_dtype if is_float else self.weight_dtype

    def get_config(self):
        return {
            **super().get_config(),
            "shape": self.shape,
            "weight_dtype": self.weight_dtype,
            "learned": self.learned,
            "regularizer": keras.regularizers.serialize(self.regularizer),
            "constraint": keras.constraints.serialize(self.constraint),
        }


def hold_variable(variable, layer, learned, name):
    """Returns the `OwnWeight` that holds the very same variable as another layer.

    Args:
        variable: The `keras.Variable`.
        layer: The layer whose weight it is.
        learned: Boolean, whether it is among those that the layer trains.
        name: String, the name of the new layer.
    """
    held = OwnWeight(
        variable.shape,
        keras.backend.standardize_dtype(variable.dtype),
        learned,
        regularizer=variable.regularizer,
        constraint=variable.constraint,
        dtype=layer.dtype_policy,
        name=name,
    )
    # A frozen layer's variables say that they are not trained, but they may be again.
    trained = variable.trainable
    variable.trainable = learned
    held.weight = variable
    variable.trainable = trained
    held.trainable = layer.trainable
    held.built = True
    return held


def hold_constant(value):
    """Returns the `OwnWeight` of an array, which is never trained.

    Args:
        value: Array or tensor of numbers.
    """
    dtype = keras.backend.standardize_dtype(value.dtype)
    is_float = keras.backend.is_float_dtype(dtype)
    held = OwnWeight(
        tuple(value.shape),
        dtype,
        learned=False,
        dtype=dtype if is_float else None,
    )
    held.build(None)
    held.built = True
    held.weight.assign(value)
    return held


def is_array(value):
    """Returns whether a value is an array or tensor of numbers, none that may change.

    Args:
        value: Anything.
    """
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiub"
    return keras.ops.is_tensor(value) and not hasattr(value, "assign")


class OwnWeightType(LayerType):
    """An `OwnWeight`: its axes are units, if others are removed with them.

    The last one may be channels; another one, for example, the heads of an attention
    that a bias is added to.
    """

    follows = True
    ties_inputs = False  # what it reads does not matter

    def flow(self, call, channels):
        letters, shape = _letters_of(call.operation), call.operation.shape
        axes = {
            axis: channels.produce(call, letter, shape[axis])
            for axis, letter in enumerate(letters)
            if letter != "."
        }
        return axes or no_units(call.outputs[0])

    def weights(self, operation):
        return [(operation.weight, _letters_of(operation))]

    def resize(self, config, kept):
        shape = config["shape"]
        letters = _find_letters(shape, config["weight_dtype"])
        config["shape"] = tuple(
            length if letter == "." else count_kept(kept[letter])
            for length, letter in zip(shape, letters, strict=True)
        )

    def kernels(self, operation):
        return []


def _letters_of(operation):
    return _find_letters(operation.shape, operation.weight_dtype)


def _find_letters(shape, dtype):
    """Returns the letter of each axis of a weight, `"."` where no units may be."""
    rank = len(shape)
    if not keras.backend.is_float_dtype(dtype):
        return (".",) * rank
    last = rank - 1
    return tuple(
        "." if length == 1 else "o" if axis == last else letter_of("o", axis, rank)
        for axis, length in enumerate(shape)
    )


LAYER_TYPES[OwnWeight] = OwnWeightType()
