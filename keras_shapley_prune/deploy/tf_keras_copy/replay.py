"""Copies a Keras 3 model to tf_keras, for the tools that know only Keras 2."""

import keras
import numpy as np

from keras_shapley_prune.deploy.tf_keras_copy.layers import (
    SPELLED_OUT,
    apply_activation,
    copy_layer,
)
from keras_shapley_prune.deploy.tf_keras_copy.operations import apply_operation
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.functional_models import input_structure
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.unique_names import UniqueNames


@undisturbed
def to_tf_keras(model):
    """Returns a copy of a Keras 3 model as a functional model of tf_keras (Keras 2).

    The TensorFlow Model Optimization toolkit (tfmot) takes no Keras 3 models. Of the
    copy it makes models for quantization-aware training, with sparse or with
    clustered weights.

    Every call of the model's graph is done again with the layer of the same type,
    name, settings and weights; initializers, which have done their work, are those of
    tf_keras. Models inside of the model are inlined, since tfmot takes none. `x + y`
    and other operations of `keras.ops` become layers (`Add`), activations that tf_keras
    does not have become several. The copy is checked against the model on random
    inputs.

    tf_keras beside Keras 3 is harmless. tfmot is not imported here; on its import it
    sets `TF_USE_LEGACY_KERAS=1` in the process, after which `tf.keras` may be tf_keras.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.

    Returns:
        A functional `tf_keras.Model`, not compiled.

    Raises:
        ValueError: If `model` has no graph, or a layer or an operation of it has no
            equal in tf_keras; the message names it.
        ImportError: If tf_keras is not installed.
        RuntimeError: If the copy does not compute what the model does.

    Example:

    ```python
    import tensorflow_model_optimization as tfmot

    copy = keras_shapley_prune.to_tf_keras(pruned)
    aware = tfmot.quantization.keras.quantize_model(copy)
    aware.compile("adam", "sparse_categorical_crossentropy")
    aware.fit(images, labels)
    ```
    """
    graph = record_graph(model, unwrap=False)
    replay = _Replay(_import_tf_keras())
    copied = replay.copy_model(graph, model.name)
    _check_equal(model, copied)
    return copied


def _import_tf_keras():
    try:
        import tf_keras
    except ImportError as error:
        raise ImportError(
            "`to_tf_keras` needs the package tf_keras. Install it, and tfmot, with: "
            "pip install tf_keras tensorflow-model-optimization"
        ) from error
    return tf_keras


class _Replay:
    """Does the recorded calls again, with layers of tf_keras.

    Args:
        tf_keras: The module `tf_keras`.
    """

    def __init__(self, tf_keras):
        self._tf_keras = tf_keras
        self._copies = {}  # layer of Keras 3 -> what `copy_layer` returned
        self._names = UniqueNames(first=1)

    def copy_model(self, graph, name):
        inputs = [self._copy_input(tensor) for tensor in graph.inputs]
        values = graph.feed(inputs)
        self._run(graph, values)
        copied = self._tf_keras.Model(
            _fill_in(graph.input_structure, values),
            _fill_in(graph.output_structure, values),
            name=name,
        )
        for layer, (copy, _) in self._copies.items():
            _copy_weights(layer, copy)
            copy.trainable = layer.trainable
        return copied

    def _copy_input(self, tensor):
        self._names.take(tensor.name)
        return self._tf_keras.Input(
            tensor.shape[1:], tensor.shape[0], dtype=tensor.dtype, name=tensor.name
        )

    def _run(self, graph, values, training=None):
        """Does the calls of a graph; `values` gets what they return."""
        for call in _without_masks(graph):
            args, kwargs = call.fill_in([values.get(tensor) for tensor in call.inputs])
            # Masks are not computed here (see `_without_masks`), and so not passed on.
            kwargs = {key: value for key, value in kwargs.items() if value is not None}
            returned = self._do(call.operation, args, kwargs, training)
            flat = keras.tree.flatten(returned)
            values.update(zip(call.outputs, flat, strict=True))

    def _do(self, operation, args, kwargs, training):
        """Does one call of a layer, a nested model or a raw operation."""
        if isinstance(operation, keras.Model):
            return self._inline(operation, args, kwargs, training)
        if isinstance(operation, keras.Layer):
            # As in Keras, what a model is called with goes on to its layers.
            if training is not None and operation._call_has_training_arg:
                kwargs.setdefault("training", training)
            return self._call_layer(operation, args, kwargs)
        name = self._namer(operation.name)
        args = [*args, *kwargs.values()]  # `x` and `y` of an `Add`, by name
        return apply_operation(self._tf_keras, operation, args, name)

    def _inline(self, model, args, kwargs, training):
        """Does the calls of a model that is called as a layer."""
        graph = record_graph(model, unwrap=False)
        values = graph.feed(args or kwargs.pop("inputs"))
        self._run(graph, values, kwargs.get("training", training))
        return _fill_in(graph.output_structure, values)

    def _call_layer(self, layer, args, kwargs):
        # A layer that is called twice has its weights once.
        if layer not in self._copies:
            name = self._namer(layer.name)("")
            self._copies[layer] = copy_layer(self._tf_keras, layer, name)
        copied, tail = self._copies[layer]
        returned = copied(*args, **kwargs)
        if tail in SPELLED_OUT:
            name = self._namer(layer.name)
            return apply_activation(self._tf_keras, tail, returned, name)
        return returned if tail is None else self._call_layer(tail, [returned], {})

    def _namer(self, base):
        """Returns a function that makes names that are not taken."""

        def make_name(ending):
            return self._names.take(f"{base}_{ending}" if ending else base)

        return make_name


def _without_masks(graph):
    """Returns the calls of a graph but for those that only compute masks.

    Keras 3 records how masks of time steps come about (`Embedding(mask_zero=True)`)
    and passes them on as arguments; in tf_keras the layers do that by themselves.
    """
    calls, needed = [], set(graph.outputs)
    for call in reversed(graph.calls):
        if needed.isdisjoint(call.outputs):
            continue
        calls.insert(0, call)
        kwargs = {key: x for key, x in call.kwargs.items() if not key.endswith("mask")}
        read = keras.tree.flatten((call.args, kwargs))
        needed.update(x for x in read if isinstance(x, keras.KerasTensor))
    return calls


def _fill_in(structure, values):
    return keras.tree.map_structure(lambda tensor: values[tensor], structure)


def _copy_weights(layer, copy):
    weights = layer.get_weights()
    shapes = [weight.shape for weight in weights]
    expected = [tuple(weight.shape) for weight in copy.weights]
    if shapes != expected:
        raise RuntimeError(
            f"Expected layer {layer.name!r} to have the weights that it has in "
            f"tf_keras, of shapes {expected}. Received: {shapes}"
        )
    copy.set_weights(weights)
    if hasattr(copy, "finalize_state"):
        copy.finalize_state()  # `Normalization` reads its weights only then


def _check_equal(model, copied):
    """Raises an error unless two models agree on random inputs."""
    generator = np.random.default_rng(0)

    def draw(tensor):
        # Small and not negative: the inputs may be indices of an Embedding.
        shape = (tensor.shape[0] or 2, *(size or 64 for size in tensor.shape[1:]))
        return generator.uniform(0, 2, shape).astype(tensor.dtype)

    inputs = keras.tree.map_structure(draw, input_structure(model))
    # In half precision the order of the sums makes a difference.
    tolerance = 0.05 if "16" in str(model.dtype_policy.name) else 1e-4
    expected, found = model(inputs, training=False), copied(inputs, training=False)
    difference = describe_difference(expected, found, tolerance)
    if difference:
        raise RuntimeError(
            "Expected the copy in tf_keras to compute what the model does. "
            f"Received: {difference}"
        )
