"""`to_functional`: a graph for models and layers that are code."""

import warnings

import keras

from keras_shapley_prune.inputs.arguments import check_kind, show
from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.layer_types.trainable_flags import take_own_flag
from keras_shapley_prune.layer_types.twins import kept_calls
from keras_shapley_prune.trace.expansion.equivalence import find_difference
from keras_shapley_prune.trace.expansion.expander import Expander
from keras_shapley_prune.trace.expansion.tracing import LeftWholeError
from keras_shapley_prune.trace.functional_models import (
    functional_view,
    input_structure,
    new_inputs,
    runs_its_graph,
)


@undisturbed
def to_functional(model, inputs=None):
    """Returns a functional model that computes what a subclassed model computes.

    A subclassed model, or a layer that calls other layers, is defined by its `call`
    method, so it has no graph to prune. Here `call` is run once on symbolic tensors,
    and the layers and `keras.ops` that it calls become a functional model. A layer that
    calls other layers becomes a functional model too, nested in the result under the
    layer's name, at any depth.

    Nothing is copied: the layers of the result share their weights, and all else that
    they hold, with those of `model`, which do not know of the new graph. Pruning the
    result changes neither. Weights that only the code of a layer reads, such as a class
    token, are returned by layers of their own, which hold the same variables.

    A `Lambda` that mixes channels, by a trial, is replaced by the operations that its
    function calls; any other `Lambda` is kept.

    A layer is not replaced, and one warning says why, if its `call`

    - cannot be run on symbolic tensors: it uses NumPy, or asks for values,
    - assigns to weights of the layer, or makes layers with weights,
    - reads weights of layers within it that it does not call,

    unless channels pass it as it is, by a trial. Functions of `tf` that it calls become
    operations of the graph, which channels pass where a trial shows that they are kept
    apart; to load a file with them, import `keras_shapley_prune` first. Of a layer that
    does other things in training than in inference (but for dropout), the result has
    what it does in inference, and a warning says so.

    Args:
        model: A built `keras.Model`: subclassed, or functional or Sequential with
            layers in it that are made of layers.
        inputs: The (nested) `keras.Input`s to call a subclassed model with, as its
            first argument. Not needed if it takes one float tensor, or has a graph
            beside a `call` of its own.

    Returns:
        A functional `keras.Model`, compiled like `model` if that is compiled.

    Raises:
        ValueError: If `model` is not of that form, or cannot be run on symbolic
            tensors as a whole.
        RuntimeError: If the result does not return what `model` returns, on one batch
            of random numbers.

    Example:

    ```python
    class Classifier(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(16, 3, activation="relu")
            self.pool = keras.layers.GlobalAveragePooling2D()
            self.classes = keras.layers.Dense(10)

        def call(self, inputs):
            return self.classes(self.pool(self.conv(inputs)))

    model = Classifier()
    model(np.zeros((1, 28, 28, 1)))  # after that it is trained
    functional = keras_shapley_prune.to_functional(model)
    pruned = keras_shapley_prune.prune(functional, np.random.rand(50, 28, 28, 1))
    ```
    """
    expected = "a `keras.Model` that is built, or has been called on data"
    check_kind("model", model, keras.Model, expected)
    if not model.built:
        raise ValueError(
            f"Argument `model` should be {expected}. "
            f"Received: model={model!r} (of type {type(model)})"
        )
    with kept_calls(model):
        functional, expander = _expand(model, inputs)
    take_own_flag(model, functional)
    for found, what in (
        (expander.left_whole, "kept layers as they are"),
        (expander.simplified, "took layers as they are in inference"),
    ):
        if found:
            warnings.warn(
                _describe_left(found, f"`to_functional` {what}: "), stacklevel=3
            )
    return compile_with(functional, copy_compile_config(model))


def _expand(model, inputs):
    """Returns the functional model, and the `Expander` that has made it."""
    expander = Expander()
    if runs_its_graph(model):
        if inputs is not None:
            raise ValueError(
                "Argument `inputs` should be `None` for a model that has a graph. "
                f"Received: inputs={inputs!r}"
            )
        functional = expander.run(expander.expand, functional_view(model))
        difference = find_difference(model, functional, (functional.input,), {})
        if difference:
            raise RuntimeError(
                f"Expected the functional model to return what model {model.name!r} "
                f"returns. Received: one that {difference}"
                + _describe_left(expander.left_whole, ". It kept layers as they are: ")
            )
    else:
        inputs = _inputs_of(model) if inputs is None else inputs
        flat = keras.tree.flatten(inputs)
        if not flat or not all(isinstance(x, keras.KerasTensor) for x in flat):
            raise ValueError(
                "Argument `inputs` should be the (nested) `keras.Input`s that the "
                f"model takes, or None. Received: inputs={show(inputs)}"
            )
        try:
            traced = expander.run(expander.trace, model, (inputs,), {})
        except LeftWholeError as reason:
            raise ValueError(
                f"Expected a model whose `call` can be made a graph. Received: model "
                f"{model.name!r} (of type {type(model)}), {reason}"
            ) from reason
        inputs = keras.tree.pack_sequence_as(inputs, traced.inputs)
        functional = keras.Model(inputs, traced.output, name=model.name)
    return functional, expander


def _describe_left(found, beginning):
    """Returns a sentence of layers and what is to be said of each, `""` of none."""
    reasons = [f"{layer.name!r}, {why}" for layer, why in found.items()]
    return beginning + "; ".join(reasons) if reasons else ""


def _inputs_of(model):
    """Returns the inputs of a model that has symbolic ones, or takes a float tensor."""
    if getattr(model, "inputs", None):  # it has a graph beside its own `call`
        return new_inputs(input_structure(model))
    shape = (model.get_build_config() or {}).get("input_shape")
    if not isinstance(shape, (list, tuple)) or not all(
        length is None or isinstance(length, int) for length in shape
    ):
        raise ValueError(
            "Argument `inputs` should be the `keras.Input`s that the model takes, "
            f"which model {model.name!r} does not know itself. Received: inputs=None"
        )
    return keras.Input(batch_shape=(None, *shape[1:]))
