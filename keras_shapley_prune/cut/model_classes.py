"""Models of a class of the user's own, such as one with its own `train_step`."""

import inspect
import types
import warnings

import keras

from keras_shapley_prune.inputs.compiling import renew
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
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type)
_STATELESS = (types.FunctionType, types.BuiltinFunctionType, keras.losses.Loss)
_LEFT_BY_FIT = {"history"}  # what Keras keeps of earlier calls


def find_overrides(model):
    """Returns the methods with which a model's class trains or runs it its own way.

    Args:
        model: A `keras.Model`.

    Returns:
        List of strings, names of methods.
    """
    plain = keras.Sequential if isinstance(model, keras.Sequential) else keras.Model
    cls = type(model)
    return [name for name in _METHODS if getattr(cls, name) is not getattr(plain, name)]


def check_class(model, stacklevel=3):
    """Warns if a copy of a model will not be of its class, and that makes a difference.

    Args:
        model: A built Sequential or functional `keras.Model`.
        stacklevel: Integer, see `warnings.warn`. By default, the line that called the
            caller.
    """
    overrides = find_overrides(model)
    if not overrides:
        return
    obstacle = _find_obstacle(model)
    if obstacle is None and not isinstance(model, keras.Sequential):
        # Nothing is called or changed: the layers get one more view of them.
        made = _make(model, model.input, model.output)
        obstacle = None if made is not None else "it cannot be made anew from them"
    if obstacle is not None:
        plain = "Sequential" if isinstance(model, keras.Sequential) else "Model"
        warnings.warn(
            f"Class {type(model).__name__} of the model has its own "
            f"{', '.join(overrides)}. The result is a plain keras.{plain} without: "
            f"{obstacle}",
            stacklevel=stacklevel,
        )


def take_class(model, copied, copies):
    """Returns a copy of a model as one of the model's own class, if that can be.

    Only a class that trains or runs its models its own way is taken over: else, a
    plain model does the same, and needs no code of the user to be loaded.

    Args:
        model: The functional `keras.Model`, or a Sequential one.
        copied: Its copy, a functional `keras.Model`, or what `new_sequential` made.
        copies: Dict: layer or nested model of `model` -> its copy.

    Returns:
        A model of the inputs and outputs of `copied`: `copied` itself if it has to be.
    """
    if not find_overrides(model) or _find_obstacle(model) is not None:
        return copied
    made = copied
    if not isinstance(model, keras.Sequential):
        made = _make(model, copied.input, copied.output) or copied
    if type(made) is type(model):
        _take_attributes(model, made, copies)
    return made


def new_sequential(model, layers, own_class):
    """Returns a Sequential model of layers, of the class of another if that can be.

    Args:
        model: The `keras.Sequential` whose class and name it is to have.
        layers: List of layers, an input first.
        own_class: Boolean, whether its class matters.
    """
    if own_class and find_overrides(model) and _find_obstacle(model) is None:
        try:
            return type(model)(layers, name=model.name)
        except Exception:  # whatever the constructor of the user's does
            return keras.Sequential(layers, name=model.name)
    return keras.Sequential(layers, name=model.name)


def _make(model, inputs, outputs):
    """Returns a functional model of the class of another, `None` if that fails."""
    try:
        made = type(model)(inputs, outputs, name=model.name)
        ours = [*keras.tree.flatten(made.input), *keras.tree.flatten(made.output)]
    except Exception:  # whatever the constructor of the user's does
        return None
    # It might build a network of its own.
    wanted = [*keras.tree.flatten(inputs), *keras.tree.flatten(outputs)]
    same = len(ours) == len(wanted)
    same = same and all(a is b for a, b in zip(ours, wanted, strict=True))
    return made if same else None


def _find_obstacle(model):
    """Returns why no model of the class of another can be made, `None` if it may be."""
    cls = type(model)
    sequential = isinstance(model, keras.Sequential)
    plain = keras.Sequential if sequential else type(functional_view(model))
    if cls.call is not plain.call:
        return "its own `call` is not in the graph, which is what is pruned"
    wanted = ["layers"] if sequential else ["inputs", "outputs"]
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    takes_all = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = [p.name for p in named if p.default is p.empty]
    first = [p.name for p in named][: len(wanted)]
    if set(required) - set(wanted) or not (takes_all or first == wanted):
        return f"its constructor takes other arguments than ({', '.join(wanted)})"
    # An input of the copy is a new one, which nothing maps to.
    parts = {
        id(part)
        for part in with_layers(model)[1:]
        if not isinstance(part, keras.layers.InputLayer)
    }
    for name, value in _own_attributes(model).items():
        if not _can_be_taken(value, parts):
            return f"its attribute {name!r}, of {type(value)}, cannot be taken over"
    return None


def _own_attributes(model):
    """Returns a dict: the attributes of a model that are not Keras's own."""
    view = functional_view(model)
    view.compile("sgd", "mse")
    known = {*vars(view), *vars(keras.Sequential()), *_LEFT_BY_FIT}
    return {name: value for name, value in vars(model).items() if name not in known}


def _can_be_taken(value, parts):
    if isinstance(value, keras.Layer):
        return id(value) in parts
    if isinstance(value, (list, tuple)):
        return all(_can_be_taken(entry, parts) for entry in value)
    if isinstance(value, dict):
        return all(_can_be_taken(entry, parts) for entry in value.values())
    renewed = (keras.Metric, keras.optimizers.Optimizer)
    return isinstance(value, (*_PLAIN, *_STATELESS, *renewed))


def _take_attributes(model, made, copies):
    """Gives a model the attributes of another of the same class, or copies of them."""
    for name, value in _own_attributes(model).items():
        # What the constructor has made is the new model's own: state starts anew.
        stateful = isinstance(value, (keras.Metric, keras.optimizers.Optimizer))
        if not (stateful and isinstance(vars(made).get(name), type(value))):
            setattr(made, name, _copy_attribute(value, copies))


def _copy_attribute(value, copies):
    if isinstance(value, keras.Layer):
        return copies[value]
    if isinstance(value, (list, tuple)):
        entries = [_copy_attribute(entry, copies) for entry in value]
        return tuple(entries) if isinstance(value, tuple) else entries
    if isinstance(value, dict):
        return {key: _copy_attribute(entry, copies) for key, entry in value.items()}
    if isinstance(value, (keras.Metric, keras.optimizers.Optimizer)):
        return renew(value)
    return value
