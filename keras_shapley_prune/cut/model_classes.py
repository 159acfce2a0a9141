"""Models of a class of the user's own, such as one with its own `train_step`."""

import functools
import inspect
import types
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.compiling import renew
from keras_shapley_prune.inputs.one_line import describe
from keras_shapley_prune.layer_types.trainable_flags import copy_flags
from keras_shapley_prune.trace.functional_models import functional_view, with_layers

# What a class may do in another way than Keras, and a plain model would not.
_METHODS = (
    "train_step",
    "test_step",
    "predict_step",
    "compute_loss",
    "compute_metrics",
    "make_train_function",
    "make_test_function",
    "make_predict_function",
    "train_on_batch",
    "test_on_batch",
    "predict_on_batch",
    "fit",
    "evaluate",
    "predict",
)
# What two models can share: it has no state that training changes.
_SHARED = (
    *(bool, int, float, complex, str, bytes, type(None), type, functools.partial),
    *(types.FunctionType, types.BuiltinFunctionType, keras.losses.Loss),
    *(np.ndarray, np.generic, np.ufunc, tf.Tensor),
)
_RENEWED = (keras.Metric, keras.optimizers.Optimizer)
_LEFT_BY_FIT = {"history"}  # what Keras keeps of earlier calls


def find_overrides(model):
    """Returns the methods with which a model's class trains or runs it its own way.

    Args:
        model: A `keras.Model`.

    Returns:
        List of strings, names of methods.
    """
    return [name for name in _METHODS if _is_own(type(model), name)]


def _is_own(cls, name):
    """Returns whether a class, or one that it is made of, has its own method."""
    owner = next(kind for kind in cls.__mro__ if name in vars(kind))
    return not owner.__module__.startswith("keras.src.")


def check_class(model, stacklevel=4):
    """Warns if a copy of a model will not be of its class, and that makes a difference.

    Args:
        model: A built Sequential or functional `keras.Model`.
        stacklevel: Integer, see `warnings.warn`. By default, the line that called the
            public function that calls this.
    """
    overrides = find_overrides(model)
    if not overrides:
        return
    try:
        # Nothing is called or changed: the layers get one more model around them. That
        # of a Sequential model would call them.
        sequential = isinstance(model, keras.Sequential)
        inside = ([],) if sequential else (model.input, model.output)
        _take_attributes(model, _make(model, *inside), _parts(model))
    except _ClassError as obstacle:
        plain = "Sequential" if sequential else "Model"
        warnings.warn(
            f"Class {type(model).__name__} of the model has its own "
            f"{', '.join(overrides)}. The result is a plain keras.{plain} without: "
            f"{obstacle}",
            stacklevel=stacklevel,
        )


def take_class(model, copied, copies, has_gone=False):
    """Returns a copy of a model as one of the model's own class, if that can be.

    Only a class that trains or runs its models its own way is taken over: else, a
    plain model does the same, and needs no code of the user to be loaded.

    Args:
        model: The functional `keras.Model`, or a Sequential one.
        copied: Its copy, a functional `keras.Model`, or what `new_sequential` made.
        copies: Dict: layer or nested model of `model` -> its copy.
        has_gone: Boolean, whether some layers have gone with blocks. A `UserWarning`
            tells then if an attribute of the model holds one of them.

    Returns:
        A model of the inputs and outputs of `copied`: `copied` itself if it has to be.
    """
    if not find_overrides(model):
        return copied
    try:
        made = copied
        if not isinstance(model, keras.Sequential):
            made = _make(model, copied.input, copied.output)
        if type(made) is type(model):
            _take_attributes(model, made, copies)
        return made
    except _ClassError as obstacle:
        if has_gone:  # else `check_class` has told
            warnings.warn(
                f"Class {type(model).__name__} of the model, with its own "
                f"{', '.join(find_overrides(model))}, cannot be taken over: {obstacle}",
                stacklevel=6,  # the line that called the public function
            )
        return copied


def new_sequential(model, layers, own_class):
    """Returns a Sequential model of layers, of the class of another if that can be.

    Args:
        model: The `keras.Sequential` whose class and name it is to have.
        layers: List of layers, an input first.
        own_class: Boolean, whether its class matters.
    """
    if own_class and find_overrides(model):
        try:
            _take_attributes(model, _make(model, []), _parts(model))
            return _make(model, layers)
        except _ClassError:
            pass
    return keras.Sequential(layers, name=model.name)


class _ClassError(Exception):
    """Says why no model of the class of another can be made."""


def _make(model, *inside):
    """Returns a model of the class of another.

    Args:
        model: The `keras.Model`.
        *inside: What it is to be made of: inputs and outputs, or a list of layers.

    Raises:
        _ClassError: If it cannot be made of that.
    """
    _check_constructor(model)
    try:
        made = type(model)(*inside, name=model.name)
    except Exception as error:  # whatever the constructor of the user's does
        raise _ClassError(f"it cannot be made anew ({describe(error, 100)})") from error
    if not isinstance(model, keras.Sequential):
        # It might build a network of its own.
        ours, wanted = (
            keras.tree.flatten(x) for x in ((made.input, made.output), inside)
        )
        if [id(x) for x in ours] != [id(x) for x in wanted]:
            raise _ClassError(
                "it cannot be made anew, as it builds a network of its own"
            )
    return made


def _check_constructor(model):
    """Raises an error unless a class may be made of inputs and outputs, or layers."""
    cls, sequential = type(model), isinstance(model, keras.Sequential)
    wanted = ["layers"] if sequential else ["inputs", "outputs"]
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    takes_all = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = {p.name for p in named if p.default is p.empty}
    first = [p.name for p in named][: len(wanted)]
    if required - set(wanted) or not (takes_all or first == wanted):
        names = ", ".join(wanted)
        raise _ClassError(f"its constructor takes other arguments than ({names})")


def _take_attributes(model, made, copies):
    """Gives a model the attributes of another of the same class, or copies of them.

    Raises:
        _ClassError: If one of them can be neither shared nor copied.
    """
    for name, value in _own_attributes(model).items():
        ours = vars(made).get(name)
        alike = type(ours) is type(value)
        if _can_be_taken(value, copies):
            # What the constructor has made is the new model's own: state starts anew.
            if not (alike and isinstance(value, _RENEWED)):
                setattr(made, name, _copy_attribute(value, copies))
        elif (
            alike and isinstance(value, keras.Layer) and _shapes(ours) == _shapes(value)
        ):
            ours.set_weights(value.get_weights())
            copy_flags([(value, ours)])
        elif alike and isinstance(value, (keras.Variable, tf.Variable)):
            ours.assign(value)
            if isinstance(value, keras.Variable):
                ours.trainable = value.trainable
        elif not alike or isinstance(value, (keras.Layer, list, tuple, dict)):
            raise _ClassError(
                f"its attribute {name!r}, of {type(value)}, cannot be taken over"
            )


def _parts(model):
    """Returns a dict: layer or model within a model -> itself, as if it were a copy."""
    inner = with_layers(model)[1:]
    # Inputs of a copy are new ones, to which nothing of the model corresponds.
    return {p: p for p in inner if not isinstance(p, keras.layers.InputLayer)}


def _own_attributes(model):
    """Returns a dict: the attributes of a model that are not Keras's own."""
    view = functional_view(model)
    view.compile("sgd", "mse")
    known = {*vars(view), *vars(keras.Sequential()), *_LEFT_BY_FIT}
    return {name: value for name, value in vars(model).items() if name not in known}


def _can_be_taken(value, copies):
    if isinstance(value, keras.Layer):
        return value in copies
    if isinstance(value, (list, tuple)):
        return all(_can_be_taken(entry, copies) for entry in value)
    if isinstance(value, dict):
        return all(_can_be_taken(entry, copies) for entry in value.values())
    return isinstance(value, (*_SHARED, *_RENEWED))


def _copy_attribute(value, copies):
    if isinstance(value, keras.Layer):
        return copies[value]
    if isinstance(value, (list, tuple)):
        entries = [_copy_attribute(entry, copies) for entry in value]
        return tuple(entries) if isinstance(value, tuple) else entries
    if isinstance(value, dict):
        return {key: _copy_attribute(entry, copies) for key, entry in value.items()}
    return renew(value) if isinstance(value, _RENEWED) else value


def _shapes(layer):
    return [tuple(weight.shape) for weight in layer.weights]
