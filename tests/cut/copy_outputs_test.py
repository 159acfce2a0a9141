"""Tests of layers whose copies do not compute what they do."""

import warnings

import keras
import noisy_models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import apply_plan, plan_pruning, prune, prune_until
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker

IMAGES = np.random.default_rng(0).random((16, 8, 8, 1)).astype("float32")


class Scale(layers.Layer):
    """Multiplies by a number; Keras's config holds the one that it was made with."""

    def __init__(self, scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, inputs):
        return inputs * self.scale

    def compute_output_shape(self, shape):
        return shape


class Forgetful(Scale):
    """Has a config without its number."""

    def get_config(self):
        return {"name": self.name}


class Liar(Scale):
    """Has another number in its config."""

    def get_config(self):
        return super().get_config() | {"scale": 1.0}


class Complete(Scale):
    """Has its number in its config."""

    def get_config(self):
        return super().get_config() | {"scale": self.scale}


class Narrow(layers.Layer):
    """Has a weight whose size is not in its config."""

    def __init__(self, size=3, **kwargs):
        super().__init__(**kwargs)
        self.size = size

    def build(self, shape):
        self.bias = self.add_weight(shape=(self.size,))

    def call(self, inputs):
        return inputs + keras.ops.sum(self.bias)

    def get_config(self):
        return {"name": self.name}


class Steeper(layers.Dense):
    """A subclass of a layer that is known, with a setting of its own."""

    slope = 1.0

    def call(self, inputs):
        return self.slope * super().call(inputs)


def _set_later(kind):
    layer = kind()
    layer.scale = 2.0
    return layer


def _steeper():
    layer = Steeper(6)
    layer.slope = 3.0
    return layer


FAULTY = {
    "forgets": lambda: Forgetful(2.0),
    "lies": lambda: Liar(2.0),
    "set later": lambda: _set_later(Scale),
    "weights": lambda: Narrow(5),
    "subclass": _steeper,
}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("make", FAULTY.values(), ids=FAULTY)
def test_a_layer_whose_copy_differs_is_named_before_the_ranking(make, monkeypatch):
    layer = make()
    layer.name = "culprit"
    model = noisy_models.classifier(layer)
    ranking = BaselineRanker("l1_norm").rank(model, verbose=0)
    plan = plan_pruning(model, ranking, 0.5)
    monkeypatch.setattr(BaselineRanker, "rank", _rank)  # which is not reached
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fault = "layer 'culprit' .*whose copy .*get_config"
    options = {"ranker": BaselineRanker("l1_norm"), "verbose": 0}
    with pytest.raises(ValueError, match=fault):
        prune(model, IMAGES, 0.5, verify=False, **options)
    with pytest.raises(ValueError, match=fault):
        data = IMAGES, np.arange(16) % 5
        prune_until(model, IMAGES, 0.5, validation_data=data, **options)
    with pytest.raises(ValueError, match=fault):
        apply_plan(model, plan, IMAGES, verbose=0)


def _rank(*args, **kwargs):
    raise AssertionError


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "make",
    [
        lambda: Complete(2.0),
        lambda: Scale(2.0),
        lambda: _set_later(Complete),
        noisy_models.Noise,
        lambda: noisy_models.Noise("keras"),
        lambda: noisy_models.Noise("tensorflow"),
        noisy_models.Counter,
        lambda: layers.Lambda(lambda x: 2 * x),
        lambda: layers.Dense(6, activation=lambda x: x**2),
    ],
)
def test_others_are_not_accused(make):
    model = noisy_models.classifier(make())
    before = noisy_models.states_of(model)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Layers that draw at random")
        pruned = prune(model, IMAGES, 0.5, ranker="l1_norm", verbose=0)
    assert pruned.count_params() < model.count_params()
    after = noisy_models.states_of(model)
    keras.tree.map_structure(np.testing.assert_array_equal, before, after)


def test_a_layer_at_every_time_step():
    inputs = keras.Input((4, 8))
    x = layers.TimeDistributed(layers.Dense(6))(inputs)
    x = layers.TimeDistributed(_set_later(Scale))(x)
    model = keras.Model(inputs, layers.Dense(2)(layers.LSTM(3)(x)))
    data = np.ones((4, 4, 8), "float32")
    with pytest.raises(ValueError, match="whose copy returns outputs of up to"):
        prune(model, data, 0.5, ranker="l1_norm", verbose=0)
