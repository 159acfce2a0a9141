"""Tests of trainable flags: of layers in layers, and of single variables."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune as package

# A step or two of training each.
pytestmark = pytest.mark.eager
X = np.random.default_rng(0).random((6, 5, 4)).astype("float32")
Y = np.zeros((6, 2), "float32")


@keras.saving.register_keras_serializable(package="trainable_flags_test")
class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.scale = layers.Dense(4, name="scale")
        self.shift = layers.Dense(4, name="shift")

    def build(self, input_shape):
        self.scale.build(input_shape)
        self.shift.build(input_shape)

    def call(self, inputs):
        return self.shift(keras.ops.tanh(self.scale(inputs)))


def _model():
    """Flags that are off: of a block's layer, a projection, a nested layer, a bias."""
    inputs = keras.Input((5, 4))
    x = Block(name="block")(inputs)
    x = layers.MultiHeadAttention(2, 3, name="mha")(x, x)
    inner = [keras.Input((5, 4)), layers.Dense(6, "relu", name="one"), layers.Dense(4)]
    x = keras.Sequential(inner, name="inner")(x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Dense(8, activation="relu", name="units")(x)
    outputs = layers.Dense(2, name="out")(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, outputs)
    model.get_layer("block").scale.trainable = False
    model.get_layer("mha").key_dense.trainable = False
    model.get_layer("inner").get_layer("one").trainable = False
    model.get_layer("units").bias.trainable = False
    model.get_layer("norm").trainable = False
    model.get_layer("norm").gamma.trainable = True  # not what its layer says
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    return model


RESULTS = {
    "prune": lambda m: package.prune(m, X, 0.4, ranker="l1_norm", verbose=0),
    "prune, keeping the optimizer": lambda m: package.prune(
        m, X, 0.4, ranker="l1_norm", keep_optimizer=True, verbose=0
    ),
    "mimic": lambda m: package.prune(
        m,
        X,
        0.4,
        ranker="l1_norm",
        repair=package.Mimic(num_steps=1, learning_rate=1e-6),
        verbose=0,
    ),
    "remove_channels": lambda m: package.remove_channels(m, remove={"units": [1]}),
    "mask_channels": lambda m: package.mask_channels(m, remove={"units": [1]}),
    "to_channels_last": package.to_channels_last,
}


def _shapes_of(model):
    return sorted(len(v.shape) for v in model.trainable_variables)


@pytest.mark.filterwarnings("ignore:Expected training to bring")
@pytest.mark.parametrize("name", RESULTS)
def test_flags_of_layers_within_and_of_variables(name):
    model = _model()
    expected = _shapes_of(model)
    result = RESULTS[name](model)
    assert _shapes_of(result) == expected
    assert _shapes_of(model) == expected
    assert not result.get_layer("units").bias.trainable
    assert not result.get_layer("block").scale.trainable
    if name != "mask_channels":  # there these two are within others
        norm = result.get_layer("norm")
        assert (norm.trainable, norm.gamma.trainable) == (False, True)
        assert not result.get_layer("mha").key_dense.trainable
    if name.startswith("prune"):  # what is frozen stays as it is, the rest is trained
        before = result.get_layer("units").bias.numpy()
        result.fit(X, Y, verbose=0)
        np.testing.assert_array_equal(result.get_layer("units").bias, before)


def test_flags_of_a_model_that_is_taken_apart():
    model = _model()
    functional = package.to_functional(model)
    block = functional.get_layer("block")
    assert isinstance(block, keras.Model)
    assert not block.get_layer("scale").trainable
    assert _shapes_of(functional) == _shapes_of(model)
    pruned = package.prune(functional, X, 0.4, ranker="l1_norm", verbose=0)
    assert _shapes_of(pruned) == _shapes_of(model)
    model.trainable = False
    model.get_layer("out").trainable = True
    for copied in (package.to_functional(model), package.mask_channels(model, keep={})):
        assert not copied.trainable and not copied.trainable_variables
        assert copied.get_layer("out").trainable and not model.trainable


def test_flags_after_saving_are_those_that_keras_saves(tmp_path):
    model = _model()
    pruned = RESULTS["prune"](model)
    counts = []
    for number, one in enumerate((model, pruned)):
        one.save(tmp_path / f"{number}.keras")
        loaded = keras.models.load_model(tmp_path / f"{number}.keras")
        counts.append(len(loaded.trainable_variables))
    assert counts[0] == counts[1]


def test_flags_in_another_order_of_axes():
    """Of a model that is frozen, with one in it, and a layer in that, which are not."""
    first = {"data_format": "channels_first"}
    inner = keras.Sequential(
        [keras.Input((4, 6, 6)), layers.Conv2D(4, 1, name="conv", **first)],
        name="inner",
    )
    x = inputs = keras.Input((3, 6, 6))
    for layer in (layers.Conv2D(4, 1, **first), inner):
        x = layer(x)
    outer = keras.Model(inputs, x, name="outer")
    inputs = keras.Input((3, 6, 6))
    x = layers.GlobalAveragePooling2D(**first)(outer(inputs))
    model = keras.Model(inputs, layers.Dense(2, name="out")(x))
    outer.trainable, inner.trainable = False, True
    inner.get_layer("conv").bias.trainable = False
    vars(model)["_trainable"] = False
    converted = package.to_channels_last(model)
    again = converted.get_layer("outer")
    assert not converted.trainable and not again.trainable
    assert again.get_layer("inner").trainable
    vars(converted)["_trainable"] = vars(model)["_trainable"] = True
    assert len(converted.trainable_variables) == len(model.trainable_variables) == 3
