"""Games with known answers: models whose hidden units are the players."""

import itertools
import math

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.layer_types.unit_ids import kept
from keras_shapley_prune.trace.tracer import trace_channels


def exact_values(value_of, num_players):
    """Returns the Shapley values of a game by enumerating its 2^n coalitions.

    Args:
        value_of: Callable: boolean array, shape `(num_players,)` -> value.
        num_players: Integer.
    """
    worth = {
        coalition: value_of(np.array(coalition))
        for coalition in itertools.product((False, True), repeat=num_players)
    }
    values = np.zeros(num_players)
    for coalition, without in worth.items():
        for player in np.flatnonzero(np.logical_not(coalition)):
            joined = list(coalition)
            joined[player] = True
            size = sum(coalition)
            weight = math.factorial(size) * math.factorial(num_players - size - 1)
            weight /= math.factorial(num_players)
            values[player] += weight * (worth[tuple(joined)] - without)
    return values


def coalition_values(model, channel_map, group, inputs, loss):
    """Returns the `value_of` of a group: minus the mean loss of the masked model.

    It is computed with `mask_channels` alone, so without the ranker's own machinery.

    Args:
        model: A `keras.Model` of one output.
        channel_map: Its `ChannelMap`.
        group: A `ChannelGroup`.
        inputs: The inputs of all examples.
        loss: Callable: predictions -> losses of any shape.
    """
    everything = np.ones(channel_map.num_units, bool)
    masked = mask_channels(model, everything, channel_map)
    run = tf.function(lambda x: masked(x, training=False), autograph=False)
    masks = [x for x in masked.layers if type(x).__name__ == "ChannelMask"]
    sites = sorted(channel_map.sites)
    by_name = {layer.name: layer for layer in masks}
    pairs, taken = [], set()
    for index, position in sites:
        name, suffix = f"{channel_map.graph.calls[index].operation.name}_mask", 2
        while name in taken:
            name = f"{channel_map.graph.calls[index].operation.name}_mask_{suffix}"
            suffix += 1
        taken.add(name)
        pairs.append((by_name[name], channel_map.sites[index, position]))

    def value_of(coalition):
        keep = everything.copy()
        keep[group.units] = coalition
        for layer, ids in pairs:
            layer.mask.assign(kept(keep, ids).astype("float32"))
        return -float(np.mean(loss(run(inputs)), dtype=np.float64))

    return value_of


def _players(num_inputs, kernel, bias, reader, activation, read_bias=0.0):
    """Input -> the players -> one neuron that reads them (the model's output)."""
    kernel, reader = np.asarray(kernel, "float32"), np.asarray(reader, "float32")
    inputs = keras.Input((num_inputs,))
    hidden = layers.Dense(kernel.shape[1], activation=activation[0], name="players")
    reads = layers.Dense(1, activation=activation[1], name="reader")
    model = keras.Model(inputs, reads(hidden(inputs)))
    hidden.set_weights([kernel, np.asarray(bias, "float32")])
    reads.set_weights([reader[:, np.newaxis], np.array([read_bias], "float32")])
    return model


def distance_below(labels, predictions):
    """A loss that is linear in the prediction: the game adds up."""
    return labels[:, 0] - predictions[:, 0]


def additive(num_players=6, num_examples=32):
    """The loss is linear in the units: a unit's value is its mean contribution.

    Returns:
        `(model, x, y, loss, exact values)`.
    """
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, num_players))
    bias, reader = generator.normal(size=(2, num_players))
    reader[-1] = 0.0  # a null player
    model = _players(3, kernel, bias, reader, ("tanh", "linear"))
    x = generator.normal(size=(num_examples, 3)).astype("float32")
    y = generator.normal(size=(num_examples, 1)).astype("float32")
    values = np.mean(np.tanh(x @ kernel + bias) * reader, axis=0)
    return model, x, y, distance_below, values


def unanimity(num_players=5, num_examples=32):
    """Only all units together are worth something: each gets the same share.

    Returns:
        `(model, x, y, loss, exact values)`.
    """
    model = _players(
        2,
        np.zeros((2, num_players)),
        np.ones(num_players),
        np.ones(num_players),
        ("linear", "relu"),
        read_bias=1.0 - num_players,
    )
    x, y = np.zeros((num_examples, 2), "float32"), np.zeros((num_examples, 1))
    return model, x, y, distance_below, np.full(num_players, 1 / num_players)


FIGURE1_KERNEL = np.array([[-0.25, 1, 1, 1], [0.25, -1, 1, 1]])
FIGURE1_READER = np.array([2, 0.5, 0.5, 0])


def figure1_inputs(num_examples, seed=0):
    """Returns `(x, y)`: points uniform on [0, 10]² and their larger coordinate."""
    x = np.random.default_rng(seed).uniform(0, 10, size=(num_examples, 2))
    return x.astype("float32"), x.max(axis=1, keepdims=True).astype("float32")


def figure1_exact(x, y):
    """Returns the exact values on the examples, by enumeration in NumPy."""
    hidden = np.maximum(x.astype("float64") @ FIGURE1_KERNEL, 0)

    def value_of(coalition):
        return -np.mean(np.abs(y[:, 0] - (hidden * coalition) @ FIGURE1_READER))

    return exact_values(value_of, 4)


def figure1(num_examples=512, seed=0):
    """The max network of Fig. 1 of arXiv:2006.01795, under the absolute error.

    Returns:
        `(model, x, y, loss, exact values)`.
    """
    model = _players(2, FIGURE1_KERNEL, np.zeros(4), FIGURE1_READER, ("relu", "linear"))
    x, y = figure1_inputs(num_examples, seed)
    return model, x, y, "mae", figure1_exact(x, y)


def filters(num_examples=24):
    """The filters of a small random convolution: a game of no special form.

    Returns:
        `(model, x, y, loss, exact values)`.
    """
    generator = np.random.default_rng(3)
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(5, 3, activation="relu", name="players")(inputs)
    x = layers.MaxPooling2D()(x)
    x = layers.Dense(3, name="reader")(layers.Flatten()(x))
    model = keras.Model(inputs, x)
    for weight in model.weights:
        weight.assign(generator.normal(size=weight.shape))
    x = generator.normal(size=(num_examples, 6, 6, 1)).astype("float32")
    y = generator.integers(0, 3, num_examples)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    channel_map = trace_channels(model)
    value_of = coalition_values(
        model, channel_map, channel_map.groups[0], x, lambda p: _cross_entropy(y, p)
    )
    return model, x, y, loss, exact_values(value_of, 5)


def _cross_entropy(labels, logits):
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -log_probabilities[np.arange(len(labels)), labels]


GAMES = (additive, unanimity, figure1, filters)
