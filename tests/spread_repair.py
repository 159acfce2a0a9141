"""Networks that are repaired and trained, small ones: run by `spread.py`."""

import threading

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_shapley_prune as ksp
from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.repair import fits
from keras_shapley_prune.trace import batches as batches_module
from keras_shapley_prune.trace.tracer import trace_channels


def convolutions(size=None):
    """Convolutions with a ReLU, one at the end of a residual block; dense layers."""
    inputs = keras.Input(batch_shape=(size, 6, 6, 2))
    x = stem = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.Add()([layers.BatchNormalization()(x), stem]))
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(8, activation="relu")(x)
    return _randomize(keras.Model(inputs, layers.Dense(3)(x)))


def depthwise():
    """A depthwise convolution between two others, each with a BatchNormalization."""
    inputs = x = keras.Input((6, 6, 2))
    for layer in (
        layers.Conv2D(8, 1, use_bias=False),
        layers.DepthwiseConv2D(3, use_bias=False),
        layers.Conv2D(6, 1, use_bias=False),
    ):
        x = layers.ReLU()(layers.BatchNormalization()(layer(x)))
    x = layers.Dense(3)(layers.Flatten()(x))
    return _randomize(keras.Model(inputs, x))


def dense():
    """Dense layers of ten columns."""
    inputs = keras.Input((10,))
    x = layers.Dense(10, activation="relu")(inputs)
    return _randomize(keras.Model(inputs, layers.Dense(3)(x)))


def _randomize(model):
    generator = np.random.default_rng(1)
    for variable in model.weights:
        fan = np.prod(variable.shape[: 2 if "depthwise" in variable.path else -1])
        values = generator.normal(size=variable.shape) / np.sqrt(max(fan, 30))
        is_scale = any(word in variable.path for word in ("gamma", "variance"))
        variable.assign(values + is_scale)
    return model


def images(count, seed=0):
    found = np.random.default_rng(seed).normal(size=(count, 6, 6, 2))
    return found.astype("float32")


def keep_of(model):
    """Returns which units are kept: about two of three."""
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[group.units[1::3]] = False
    return keep


def repair(model, data, method="least_squares"):
    """Returns the weights of a network that is repaired on arrays, or so many images."""
    inputs = images(data) if isinstance(data, int) else data
    batches = tf.data.Dataset.from_tensor_slices(inputs).batch(5)
    keep = keep_of(model)
    return ksp.repair_channels(model, keep, batches, method, verbose=0).get_weights()


def train(model, count, batch_size, num_steps=4):
    """Returns the weights of a network that is trained for a few steps."""
    smaller = ksp.remove_channels(model, keep_of(model))
    settings = ksp.Mimic(num_steps=num_steps, batch_size=batch_size)
    return ksp.mimic(
        smaller, model, images(count), settings, keep_of(model)
    ).get_weights()


def fit():
    """Returns whether Keras fits a network that has been pruned."""
    model = dense()
    model.compile("sgd", "mse")
    data = np.eye(12, 10, dtype="float32")
    pruned = ksp.prune(model, data, 0.3, ranker="l1_norm", verbose=0)
    before = pruned.get_weights()
    pruned.fit(data, data[:, :3], batch_size=4, verbose=0)
    after = pruned.get_weights()
    return [np.isfinite(b).all() and (a != b).any() for a, b in zip(before, after)]


def make_outside(builder):
    """Returns a model that is made outside of the scope."""
    made = []  # each thread has scopes of its own
    thread = threading.Thread(target=lambda: made.append(builder()))
    thread.start()
    thread.join()
    return made[0]


def refuse():
    """Returns why repair refuses what differs among workers."""
    try:
        repair(convolutions(), 8 + current_workers().index)
    except ValueError as error:
        return str(error)
    return ""


def main(*cases):
    """Returns the weights of each case, a dict: case and number -> array."""
    batches_module.LARGEST_BYTES = 2**11  # a few examples a batch
    found = {}
    for case in cases or CASES:
        keras.utils.set_random_seed(0)
        for place, array in enumerate(CASES[case]()):
            found[f"{case}.{place}"] = array
    found["refused"] = np.array(refuse() if not cases else "")
    return found


def _wide():
    """The wide fit, of layers with more than four columns."""
    whole, fits.MAX_COLUMNS = fits.MAX_COLUMNS, 4
    try:
        model = dense()
        data = np.random.default_rng(0).normal(size=(43, 10))
        return repair(model, data.astype("float32"))
    finally:
        fits.MAX_COLUMNS = whole


CASES = {
    "convolutions": lambda: repair(convolutions(), 43),
    "depthwise": lambda: repair(depthwise(), 43),
    "mean": lambda: repair(convolutions(), 7, "mean"),
    "batchnorm": lambda: repair(depthwise(), 7, "batchnorm"),
    "wide": _wide,
    "copies": lambda: repair(convolutions(), 7),
    "one example": lambda: repair(convolutions(), 1),
    "fixed": lambda: repair(convolutions(4), 12),
    "outside": lambda: repair(make_outside(convolutions), 7),
    "mimic": lambda: train(convolutions(), 20, 5),
    "mimic of one": lambda: train(convolutions(), 20, 1),
    "mimic fixed": lambda: train(convolutions(4), 20, 4),
    "mimic outside": lambda: train(make_outside(convolutions), 20, 5),
    "fit": fit,
}
