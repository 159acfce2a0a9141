"""The registry: which `LayerType` a layer or raw operation has."""

import weakref

import keras

from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.stepwise.layer import Stepwise
from keras_shapley_prune.layer_types.stepwise.stepwise_type import StepwiseType
from keras_shapley_prune.layer_types.subclasses import find_unchanged_parent

GATES = "g"  # the letter of the gates of hidden units

LAYER_TYPES = {}  # layer class -> LayerType
OPERATION_TYPES = {}  # name of one of Keras's own raw operations -> LayerType
TRIED = weakref.WeakKeyDictionary()  # layer or operation -> LayerType found by trial
_UNKNOWN = LayerType()


def find_layer_type(operation):
    """Returns the `LayerType` of a layer or raw operation, or `None`.

    That of its class; of a parent of which its class changes nothing; or what a trial
    of this very layer has found.

    Args:
        operation: The layer or raw operation.
    """
    if isinstance(operation, Stepwise):
        found = find_layer_type(operation.operation)
        return None if found is None else StepwiseType(found)
    kind = type(operation)
    if _is_raw(kind):
        found = OPERATION_TYPES.get(kind.__name__)
    elif kind in LAYER_TYPES:
        found = LAYER_TYPES[kind]
    else:
        found = LAYER_TYPES.get(find_unchanged_parent(operation, LAYER_TYPES))
    return TRIED.get(operation) if found is None else found


def find_nearest_type(operation):
    """Returns the `LayerType` of an operation, or of what it is a subclass of.

    For questions that do not decide what is removed: an unknown layer is locked, but
    its FLOPs count.

    Args:
        operation: The layer or raw operation.

    Returns:
        A `LayerType`, one that knows nothing if there is no other.
    """
    found = find_layer_type(operation)
    if found is not None:
        return found
    if isinstance(operation, Stepwise):
        return StepwiseType(find_nearest_type(operation.operation))
    kinds = (kind for kind in type(operation).__mro__ if kind in LAYER_TYPES)
    return LAYER_TYPES.get(next(kinds, None), _UNKNOWN)


def find_letters(operation, weight):
    """Returns the letters of a weight's axes, or `None` if it is not known."""
    layer_type = find_layer_type(operation)
    return None if layer_type is None else layer_type.axes_of(operation, weight)


def find_linear_form(operation):
    """Returns the `LinearForm` of a layer that mixes channels, or `None`."""
    layer_type = find_layer_type(operation)
    if layer_type is None or find_data_format(operation) == "channels_first":
        return None
    return layer_type.linear_form(operation)


def find_depthwise_form(operation):
    """Returns the `DepthwiseForm` of a layer that keeps channels apart, or `None`."""
    layer_type = find_layer_type(operation)
    if layer_type is None or find_data_format(operation) == "channels_first":
        return None
    return layer_type.depthwise_form(operation)


def find_form(operation):
    """Returns the `LinearForm` or `DepthwiseForm` of a layer, or `None`."""
    return find_linear_form(operation) or find_depthwise_form(operation)


def sums_inputs(operation):
    """Returns whether an operation returns the sum of what it reads."""
    layer_type = find_layer_type(operation)
    return layer_type is not None and layer_type.sums_inputs


def ends_time_masks(operation):
    """Returns whether a layer takes masks of time steps off what it reads."""
    return find_nearest_type(operation).ends_time_masks


def _is_raw(kind):
    """Whether a class is one of Keras's own raw operations, not a user's."""
    return kind.__module__.startswith(("keras.src.ops.", "keras.src.activations."))


def find_data_format(operation):
    """Returns the data format; raw operations may leave it to Keras's setting.

    That of a wrapper is that of the layer in it.
    """
    inner = find_nearest_type(operation).wrapped(operation)
    if inner is not None:
        return find_data_format(inner)
    data_format = getattr(operation, "data_format", "channels_last")
    return data_format or keras.config.image_data_format()
