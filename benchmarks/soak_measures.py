"""What soak_case.py runs and measures of a model."""

import contextlib
import warnings

import keras
import numpy as np
import tensorflow as tf


@contextlib.contextmanager
def running(eager):
    """Runs functions eagerly, or not."""
    tf.config.run_functions_eagerly(eager)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)


def fit_one_step(model, subject):
    """Trains a model on one batch."""
    if tf.config.functions_run_eagerly():
        # `fit` builds a pipeline of data for it, which takes longer than the step.
        model.train_on_batch(subject.x, subject.y)
    else:
        batch_size = len(keras.tree.flatten(subject.x)[0])
        model.fit(subject.x, subject.y, batch_size=batch_size, verbose=0)


def can_fit(subject):
    """Whether Keras can train the original: a random crop has another size then."""
    try:
        fit_one_step(subject.model, subject)
    except Exception:  # of any kind
        return False
    return True


def has_groups(model):
    """Whether convolutions are in groups: CPUs run these in compiled functions only."""
    layers = [x for x in model._flatten_layers() if hasattr(x, "kernel_size")]
    return any(getattr(layer, "groups", 1) > 1 for layer in layers)


def runs_compiled(subject):
    """Whether `predict` can run the original: some operations run eagerly only."""
    with running(False):
        try:
            subject.model.make_predict_function(force=True)
            subject.model.predict(subject.x, verbose=0)
        except Exception:  # of any kind
            return False
    return True


def has_channels_first(model):
    """Whether `prune` converts a model before it does anything else."""
    formats = {getattr(x, "data_format", None) for x in model._flatten_layers()}
    return "channels_first" in formats


def take_state(model):
    """Returns everything of a model that no call may change, a dict."""
    layers = list(model._flatten_layers())
    variables = [*model.variables, *model.optimizer.variables]
    return {
        "variables": [np.array(keras.ops.convert_to_numpy(v)) for v in variables],
        "configuration": read_config(model),
        "flags": [layer.trainable for layer in layers],
        "nodes": [len(layer._inbound_nodes) for layer in layers],
        "readers": [len(layer._outbound_nodes) for layer in layers],
    }


def read_config(model):
    """Returns the JSON of a model, `None` where Keras has none for a layer."""
    try:
        return model.to_json()
    except NotImplementedError:
        return None


def same(a, b):
    """Whether two states are equal; NaN is NaN."""
    if isinstance(a, list) and a and isinstance(a[0], np.ndarray):
        return len(a) == len(b) and all(
            x.dtype == y.dtype and x.tobytes() == y.tobytes()
            for x, y in zip(a, b, strict=True)
        )
    return a == b


def count_bytes(model):
    """Returns how many bytes the weights of a model take."""
    arrays = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
    return sum(array.nbytes for array in arrays)


def is_finite(outputs):
    """Whether all outputs are finite."""
    return all(np.isfinite(output).all() for output in outputs)


def difference_of(received, expected):
    """Returns the largest difference of outputs, relative to the largest value."""
    largest = 0.0
    for a, b in zip(received, expected, strict=True):
        if not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return float("inf")
        with np.errstate(invalid="ignore"):
            apart = np.abs(np.where(np.isfinite(b), a.astype(float) - b, 0))
        scale = np.abs(np.where(np.isfinite(b), b, 0)).max(initial=1e-30)
        largest = max(largest, apart.max(initial=0) / scale)
    return largest


@contextlib.contextmanager
def recorded_warnings():
    """Yields a list that texts of warnings are added to."""
    texts = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    texts += [str(warning.message) for warning in caught]
