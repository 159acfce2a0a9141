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
    """Convolutions with a ReLU, one at the end of a residual block."""
    inputs = keras.Input(batch_shape=(size, 6, 6, 2))
    x = stem = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.Add()([layers.BatchNormalization()(x), stem]))
    x = layers.GlobalAveragePooling2D()(x)
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


def dense(size=None):
    """Dense layers of ten columns."""
    inputs = keras.Input(batch_shape=(size, 10))
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


def examples(model, count):
    """Returns an array, always the same."""
    shape = count, *model.input_shape[1:]
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def keep_of(model):
    """Returns which units are kept: about two of three."""
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[group.units[1::3]] = False
    return keep


def repair(model, count, method="least_squares"):
    """Returns the weights of a network that is repaired on so many examples."""
    inputs = examples(model, count)
    batches = tf.data.Dataset.from_tensor_slices(inputs).batch(5)
    keep = keep_of(model)
    return ksp.repair_channels(model, keep, batches, method, verbose=0).get_weights()


def train(model, count, batch_size, num_steps=4):
    """Returns the weights of a network that is trained for a few steps."""
    keep, data = keep_of(model), examples(model, count)
    smaller = ksp.remove_channels(model, keep)
    settings = ksp.Mimic(num_steps=num_steps, batch_size=batch_size)
    return ksp.mimic(smaller, model, data, settings, keep).get_weights()


def fit():
    """Returns whether Keras fits each weight of a network that has been pruned."""
    if current_workers().count > 1:  # where Keras fits no network
        return []
    model = dense()
    model.compile("sgd", "mse")
    data = examples(model, 12)
    pruned = ksp.prune(model, data, 0.3, ranker="l1_norm", verbose=0)
    before = pruned.get_weights()
    pruned.fit(data, data[:, :3], batch_size=4, verbose=0)
    after = pruned.get_weights()
    pairs = zip(before, after, strict=True)
    return [np.isfinite(new).all() and (new != old).any() for old, new in pairs]


def make_outside(builder):
    """Returns a model that is made outside of the scope."""
    made = []  # each thread has scopes of its own
    thread = threading.Thread(target=lambda: made.append(builder()))
    thread.start()
    thread.join()
    return made[0]


def refuse():
    """Returns why repair refuses what differs among workers, "" of a single one."""
    try:
        repair(dense(), 8 + current_workers().index)
    except ValueError as error:
        return str(error)
    return ""


def main(*cases):
    """Returns the weights of cases, or of all: a dict, case and number -> array."""
    batches_module.LARGEST_BYTES = 2**11  # a few examples a batch
    found = {}
    for case in cases or CASES:
        keras.utils.set_random_seed(0)
        for place, array in enumerate(CASES[case]()):
            found[f"{case}.{place}"] = array
    found["refused"] = np.array(refuse())
    return found


def _wide():
    """The wide fit, of layers with more than four columns."""
    whole, fits.MAX_COLUMNS = fits.MAX_COLUMNS, 4
    try:
        return repair(dense(), 43)
    finally:
        fits.MAX_COLUMNS = whole


CASES = {
    "convolutions": lambda: repair(convolutions(), 43),
    "dense": lambda: repair(dense(), 43),
    "depthwise": lambda: repair(depthwise(), 43),
    "mean": lambda: repair(convolutions(), 7, "mean"),
    "batchnorm": lambda: repair(depthwise(), 7, "batchnorm"),
    "wide": _wide,
    "copies": lambda: repair(convolutions(), 7),
    "one example": lambda: repair(convolutions(), 1),
    "fixed": lambda: repair(convolutions(4), 12),
    "outside": lambda: repair(make_outside(dense), 7),
    "mimic": lambda: train(convolutions(), 20, 5),
    "mimic of one": lambda: train(dense(), 60, 1),
    "mimic fixed": lambda: train(dense(4), 60, 4),
    "mimic outside": lambda: train(make_outside(dense), 60, 5),
    "fit": fit,
}
