"""What a model achieves on labelled data: the metrics it is compiled with."""

import collections

import keras
import tensorflow as tf

from keras_shapley_prune.inputs import limits
from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.inputs.data import CalibrationData, find_fixed_size
from keras_shapley_prune.inputs.forms import find_arrays, open_batches, unpack
from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.inputs.undisturbed import kept_seeds


def resolve_metric(metric, model, data):
    """Returns how a model is measured.

    Args:
        metric: String, an entry of what `model.evaluate(..., return_dict=True)`
            returns, or a callable `fn(model)` that returns a number.
        model: The `keras.Model` whose compiled metrics can be measured.
        data: What `evaluate` takes.

    Returns:
        Callable: model -> float.

    Raises:
        ValueError: If `model` cannot be measured by `metric`; a name that does not
            exist is noticed at the first call.
    """
    if callable(metric):
        return lambda candidate: _ask(metric, candidate)
    if not model.compiled:
        raise ValueError(
            f"Argument `model` should be compiled with metric {metric!r}, or `metric` "
            "be a callable `fn(model)`. Received: a model that is not compiled"
        )

    def measure(candidate):
        found = evaluate(candidate, data, model)
        if metric not in found:
            raise ValueError(
                f"Argument `metric` should be one of {list(found)}, or a callable "
                f"`fn(model)`. Received: metric={metric!r}"
            )
        return float(found[metric])

    return measure


def _ask(metric, model):
    """Returns what a user's function says of a model, a float."""
    answer = metric(model)
    try:
        return float(answer)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Argument `metric` should be a callable `fn(model)` that returns a number. "
            f"Received: one that returns {show(answer)}"
        ) from error


def check_labels(data, graph):
    """Raises an error unless data holds labels, and inputs that fit.

    All of it is read if it holds sample weights, which must not all be 0.

    Args:
        data: What `prune` takes.
        graph: The recorded `Graph` of the model.

    Raises:
        ValueError: If the first batch does not, or the weights of one do not fit.
    """
    batches = iter(CalibrationData(data, graph.input_structure))
    _, _, weights = next(batches)
    if any(weight is not None for weight in keras.tree.flatten(weights)):
        collections.deque(batches, maxlen=0)


@kept_seeds()  # so that models that are compared draw the same
def evaluate(model, data, original=None):
    """Returns a dict: name -> value, of a compiled model's loss and metrics.

    Args:
        model: A compiled `keras.Model`.
        data: Labelled data: what `CalibrationData` takes.
        original: The `keras.Model` that says what inputs there are, if `model` is of a
            class that does not.

    Raises:
        ValueError: If the data does not fit the model, or does not end.
    """
    try:
        return _evaluate(model, data, original or model)
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
        raise ValueError(
            "Argument `dataset` should hold labels that the loss and the metrics of "
            f"the model take. Received: data of which TensorFlow says: "
            f"{first_line(error)}"
        ) from error


def _evaluate(model, data, original):
    """Returns what `evaluate` returns, or raises what TensorFlow raises."""
    inputs = original.inputs
    names = [tensor.name for tensor in inputs]
    options = {"verbose": 0, "return_dict": True}
    # Keras takes strings as tensors only, not in arrays of NumPy.
    strings = any(tensor.dtype == "string" for tensor in inputs)
    # A model of a fixed batch size needs batches of that size, whoever makes them.
    if find_fixed_size(inputs) is None:
        known = tf.data.Dataset if strings else (tf.data.Dataset, keras.utils.PyDataset)
        if isinstance(data, known):
            limit = _Limit(data, names)
            return model.evaluate(data, callbacks=[limit], **options)
        arrays = None if strings else find_arrays(data, names)
        if arrays is not None:
            x, y, weight = unpack(arrays, names)
            return model.evaluate(x, y, sample_weight=weight, **options)
    return model.evaluate(_to_tf_data(_read_batches(data, original)), **options)


def _read_batches(data, model):
    """Returns the list of the batches `(x, y)` or `(x, y, sample_weight)` of data.

    Args:
        data: What `CalibrationData` takes.
        model: The `keras.Model` that they are for.
    """
    sequential = isinstance(model, keras.Sequential)
    structure = model.inputs[0] if sequential else model.input
    batches = []
    for inputs, y, weight in CalibrationData(data, structure):
        x = keras.tree.pack_sequence_as(structure, inputs)
        batch = (x, y, weight) if keras.tree.flatten(weight) else (x, y)
        # A list would be taken for one tensor.
        batches.append(keras.tree.lists_to_tuples(batch))
    return batches


def _to_tf_data(batches):
    """Returns a `tf.data.Dataset` of batches, of which each may have its own sizes.

    Keras takes a list for the arrays of several inputs. It takes a generator, but reads
    the first batches of it twice.
    """

    def specify(*tensors):
        shapes = [tensor.shape for tensor in tensors]
        sizes = [
            size.pop() if len(size) == 1 else None
            for size in map(set, zip(*shapes, strict=True))
        ]
        return tf.TensorSpec(sizes, tensors[0].dtype)

    signature = keras.tree.map_structure(specify, *batches)
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=signature
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches)))


class _Limit(keras.callbacks.Callback):
    """Ends an evaluation on data that may have no end.

    Args:
        data: A `tf.data.Dataset` or a `keras.utils.PyDataset`.
        names: List of strings, the names of the model's inputs.

    Raises:
        ValueError: If the data is known to have no end.
    """

    def __init__(self, data, names):
        super().__init__()
        self._num_batches = None
        batches = open_batches(data, names, batch_size=1)
        is_dataset = isinstance(data, tf.data.Dataset)
        if is_dataset and int(data.cardinality()) == tf.data.UNKNOWN_CARDINALITY:
            # Nothing is held here: only the number of examples counts, by the first
            # batch.
            first = keras.tree.flatten(next(batches(), ()))
            size = max(len(first[0]), 1) if first else 1
            self._num_batches = limits.MAX_EXAMPLES // size

    def on_test_batch_begin(self, batch, logs=None):
        if self._num_batches is not None and batch > self._num_batches:
            raise limits.endless("a tf.data.Dataset of unknown length that goes on")
