"""Tests of convolutional LSTMs that lose hidden units."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import count_flops, prune
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.trace.tracer import trace_channels


def _model(*steps, shape=(3, 5, 6, 2)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    x = layers.Dense(6, activation="tanh", name="before")(inputs)
    for step in steps:
        x = step(x)
    if isinstance(x, (list, tuple)):
        x = layers.Concatenate()([y for y in x if len(y.shape) == len(x[0].shape)])
    x = layers.Dense(4, activation="relu", name="between")(layers.Flatten()(x))
    return models.randomize(keras.Model(inputs, layers.Dense(3, name="last")(x)))


def _lstm(filters=5, size=2, **options):
    return layers.ConvLSTM2D(filters, size, **options)


STEPS = [
    lambda: [_lstm(return_sequences=True), _lstm(4)],
    lambda: [_lstm(go_backwards=True, use_bias=False, strides=2)],
    lambda: [_lstm(padding="same", dilation_rate=2, activation="relu")],
    lambda: [_lstm(return_state=True, recurrent_activation="sigmoid")],
    lambda: [_lstm(dropout=0.2, recurrent_dropout=0.2), layers.BatchNormalization()],
    lambda: [layers.Bidirectional(_lstm(return_sequences=True)), _lstm(3)],
    lambda: [layers.Bidirectional(_lstm(), merge_mode="sum")],
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("make", STEPS)
def test_masked_equals_pruned_and_costs_are_those_of_the_cut_model(make):
    model = _model(*make())
    models.check_masks(model)
    channel_map = trace_channels(model)
    assert set(channel_map.lock_reasons()) == {"last"}
    keep = models.random_keep(channel_map, 0.5)
    smaller = remove_channels(model, keep, channel_map)
    for of, count in (("params", keras.Model.count_params), ("flops", count_flops)):
        assert CostModel(channel_map, of).count(keep) == count(smaller)


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [(layers.ConvLSTM1D, (3, 6, 2)), (layers.ConvLSTM3D, (3, 4, 3, 4, 2))],
)
def test_other_ranks(kind, shape):
    models.check_masks(_model(kind(5, 2), shape=shape))


def test_flops():
    inputs = keras.Input((3, 8, 9, 2))
    model = keras.Model(inputs, layers.ConvLSTM2D(5, (2, 3))(inputs))
    # At each of 3 steps and 7 * 7 positions: taps, inputs or hidden units, gates.
    assert count_flops(model) == 2 * 3 * 7 * 7 * (6 * 2 * 20 + 6 * 5 * 20)


def test_states_tie_an_encoder_to_a_decoder():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3, 5, 6, 2))
    _, *states = _lstm(padding="same", return_state=True, name="encoder")(inputs)
    x = _lstm(padding="same", name="decoder")(inputs, initial_state=states)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    (group,) = trace_channels(models.randomize(model)).groups
    assert group.producers == ("encoder", "decoder")
    models.check_masks(model)


def test_a_stateful_one_is_locked():
    inputs = keras.Input(batch_shape=(4, 3, 5, 6, 2))
    x = _lstm(stateful=True, name="lstm")(layers.Dense(3, name="before")(inputs))
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    reasons = trace_channels(model).lock_reasons()
    expected = "ConvLSTM2D is stateful, and its state would have to be cut"
    assert reasons["lstm"] == expected
    assert reasons["before"] == f"{expected} (`lstm`)"


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize("repair", ["least_squares", "mean"])
def test_the_pruned_network_is_saved_and_trained(repair, tmp_path):
    model = _model(_lstm(name="lstm"))
    model.compile("sgd", "mse")
    images = models.images(model, 16)
    pruned = prune(model, images, 0.4, repair=repair, verbose=0)
    assert pruned.get_layer("lstm").filters == 3
    pruned.fit(images, np.zeros((16, 3)), verbose=0)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    np.testing.assert_allclose(loaded(images), pruned(images), atol=1e-5)
