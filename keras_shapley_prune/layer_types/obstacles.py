"""Why a call cannot be pruned, and what of it only a trial has shown."""

import weakref

import keras

from keras_shapley_prune.layer_types.declared_type import DeclaredType
from keras_shapley_prune.layer_types.elementwise_activations import (
    activations_of,
    describe_mixing,
    is_declared,
    name_of,
)
from keras_shapley_prune.layer_types.flows import keep
from keras_shapley_prune.layer_types.own_state import describe_own_state
from keras_shapley_prune.layer_types.registry import (
    LAYER_TYPES,
    TRIED,
    find_data_format,
    find_layer_type,
    find_letters,
)
from keras_shapley_prune.layer_types.stepwise.layer import Stepwise
from keras_shapley_prune.layer_types.stepwise.one_step import step_of
from keras_shapley_prune.layer_types.stock.recreation import (
    calls_a_function,
    find_applied_function,
    find_lost_setting,
)
from keras_shapley_prune.layer_types.trial.layers import try_call
from keras_shapley_prune.layer_types.trial.trial_type import TrialType

KEPT_WHOLE = weakref.WeakSet()  # layers that `to_functional` could not take apart


def find_obstacle(call, may_try=True):
    """Returns why a call cannot be pruned exactly, or `None` if it can.

    Args:
        call: The recorded `Call`.
        may_try: Boolean, whether a layer that is not registered may be run on random
            numbers, to see whether it keeps its channels apart.
    """
    if isinstance(call.operation, Stepwise):
        return find_obstacle(step_of(call), may_try)
    operation = call.operation
    kind = type(operation).__name__
    known = find_layer_type(operation)
    if known is None or isinstance(known, TrialType):
        # A model within is no single layer: `to_functional` tells what it is made of.
        if not may_try or isinstance(operation, keras.Model):
            return _describe_unknown(operation)
        fault = _try(call)
        if fault is not None:
            return _describe_unknown(operation, f", nor elementwise by trial: {fault}")
    if find_data_format(operation) == "channels_first":
        return _describe_channels_first(kind)
    weights = getattr(operation, "weights", ())
    # A weight whose axes are not known cannot be cut.
    unknown = {v.name for v in weights if find_letters(operation, v) is None}
    if unknown:
        return f"{kind} has unknown weights {sorted(unknown)}, which nothing would cut"
    layer_type = find_layer_type(operation)
    unfit = layer_type.unfit(call) or describe_own_state(operation)
    if unfit is None and _is_like_its_parent(operation, layer_type):
        unfit = find_lost_setting(operation, layer_type)
    return unfit and f"{kind} {unfit}"


def _try(call):
    """Returns what a trial has against a call, unless all it does is registered."""
    function = find_applied_function(call.operation)
    if function is None or not is_declared(function):
        return try_call(call)
    TRIED[call.operation] = DeclaredType(keep)
    return None


def _is_like_its_parent(operation, layer_type):
    """Returns whether a layer is known as its parent, but made by its own class."""
    known = type(operation) in LAYER_TYPES or isinstance(layer_type, TrialType)
    return isinstance(operation, keras.Layer) and not known


def find_mixing_activation(call):
    """Returns why the activation of a layer is not elementwise, or `None`.

    Args:
        call: A recorded `Call` without an obstacle.

    Returns:
        String, see `describe_mixing`, or `None`.
    """
    if isinstance(call.operation, Stepwise):
        return find_mixing_activation(step_of(call))
    # Of what has been tried as a whole, the activation has been tried too.
    if isinstance(find_layer_type(call.operation), TrialType):
        return None
    return describe_mixing(call.operation, call.outputs[0].shape)


def describe_trials(call):
    """Returns what of a call only a trial has shown to keep channels apart.

    Args:
        call: A recorded `Call` without an obstacle.

    Returns:
        Tuple of strings, such as `"activation mish"` or the class of the layer.
    """
    if isinstance(call.operation, Stepwise):
        return describe_trials(step_of(call))
    operation = call.operation
    if isinstance(find_layer_type(operation), TrialType):
        return (type(operation).__name__,)
    if find_mixing_activation(call) is not None:
        return ()
    tried = [f for f in activations_of(operation) if not is_declared(f)]
    return tuple(f"activation {name_of(function)}" for function in tried)


def _describe_unknown(operation, fault=""):
    """Returns that a layer or raw operation is not known, and what can be done."""
    kind = type(operation).__name__
    if not isinstance(operation, keras.Layer):  # there is no registering it
        return f"{kind} is not a known operation{fault}"
    own = type(operation).__module__.startswith("keras.src.")
    ways = []
    if operation not in KEPT_WHOLE and (calls_a_function(operation) or not own):
        ways.append("to_functional")
    if find_applied_function(operation) is not None:
        ways.append("register_elementwise")
    elif not own:
        ways.append("register_layer")
    advice = f"; see keras_shapley_prune.{' and '.join(ways)}" if ways else ""
    return f"{kind} is not a registered layer{fault}{advice}"


def _describe_channels_first(kind):
    # Which may be by Keras's setting: where it is not, that is no help to know.
    by_default = keras.config.image_data_format() == "channels_first"
    setting = ", as keras.config.image_data_format() is" if by_default else ""
    return (
        f"{kind} has data_format='channels_first'{setting}; channels are followed on "
        "the last axis: use keras_shapley_prune.to_channels_last(model)"
    )
