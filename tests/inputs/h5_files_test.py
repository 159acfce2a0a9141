"""Tests of `.h5` files that Keras 2 has written: the models return what they did."""

import json

import h5py
import keras
import numpy as np
import pytest

import keras_shapley_prune
from keras_shapley_prune.inputs.h5_files import in_todays_form, read_settings
from keras_shapley_prune.inputs.model_files import load_model

tf_keras = pytest.importorskip("tf_keras")
layers = tf_keras.layers
IMAGES, SEQUENCES = (16, 16, 3), (7, 5)


def _backbone(name="backbone"):
    inputs = tf_keras.Input(IMAGES)
    x = layers.Conv2D(6, 3, name=f"{name}_conv")(inputs)
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(3)(x))
    return tf_keras.Model(inputs, layers.GlobalAveragePooling2D()(x), name=name)


def old_convolutions():
    stack = [
        tf_keras.Input(IMAGES),
        layers.RandomFlip(),
        layers.Conv2D(8, 1),
        layers.DepthwiseConv2D(3),
        layers.BatchNormalization(),
        layers.SeparableConv2D(6, 3),
        layers.Conv2DTranspose(4, 3),
        layers.SpatialDropout2D(0.2),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ]
    return tf_keras.Sequential(stack)


def old_recurrent():
    inputs = tf_keras.Input(SEQUENCES)
    x = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(inputs)
    x = layers.Attention()([x, x])
    return tf_keras.Model(inputs, layers.Dense(3)(layers.GRU(6)(x)))


def old_wrapper():
    inputs = tf_keras.Input((4, 8, 8, 3))
    x = layers.TimeDistributed(layers.DepthwiseConv2D(3))(inputs)
    x = layers.ConvLSTM2D(3, 3, recurrent_activation="sigmoid")(x)
    return tf_keras.Model(inputs, layers.Flatten()(x))


def old_nested():
    inputs = tf_keras.Input(IMAGES)
    x = layers.Dropout(0.2)(_backbone()(inputs))
    return tf_keras.Model(inputs, layers.Dense(2)(x))


def old_nested_twice():
    inputs = tf_keras.Input(IMAGES)
    middle = tf_keras.Model(inputs, layers.Dense(3)(_backbone()(inputs)), name="middle")
    outer = tf_keras.Input(IMAGES)
    shared = middle(outer), middle(layers.Rescaling(2.0)(outer))
    return tf_keras.Model(outer, layers.Add()(shared))


def old_nested_at_the_end():
    inputs = tf_keras.Input(IMAGES)
    return tf_keras.Model(inputs, _backbone()(layers.Conv2D(3, 1)(inputs)))


def old_sequential_at_the_end():
    inputs = tf_keras.Input(IMAGES)
    stack = [layers.DepthwiseConv2D(3), layers.Flatten(), layers.Dense(2)]
    return tf_keras.Model(inputs, tf_keras.Sequential(stack)(inputs))


def old_transfer_learning():
    return tf_keras.Sequential([_backbone(), layers.Dropout(0.2), layers.Dense(2)])


BUILDERS = [
    old_convolutions,
    old_recurrent,
    old_wrapper,
    old_nested,
    old_nested_twice,
    old_nested_at_the_end,
    old_sequential_at_the_end,
    old_transfer_learning,
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", BUILDERS)
def test_it_returns_what_it_did(build, tmp_path):
    old, path = build(), tmp_path / "old.h5"
    old.compile("adam", "mse")
    old.save(path)
    x = np.random.default_rng(0).normal(size=(3, *old.input_shape[1:]))
    x = x.astype("float32")
    with pytest.raises((TypeError, ValueError)):
        keras.models.load_model(path, compile=False)
    loaded = load_model(path)
    returned = loaded(keras.ops.convert_to_tensor(x), training=False)
    np.testing.assert_allclose(returned, old(x, training=False), atol=1e-5)
    plain = [type(layer) for layer in loaded.layers if not hasattr(layer, "layers")]
    assert all(cls.__module__.startswith("keras.src") for cls in plain)
    assert loaded.compiled


def test_it_is_pruned(tmp_path):
    old, path = old_transfer_learning(), tmp_path / "old.h5"
    old.save(path)
    x = np.random.default_rng(0).normal(size=(8, *IMAGES)).astype("float32")
    pruned = keras_shapley_prune.prune(load_model(path), x, 0.5, verbose=0)
    assert pruned.get_layer("backbone").get_layer("backbone_conv").filters == 3


def test_another_function_of_that_name_is_told(tmp_path):
    stack = [tf_keras.Input((3,)), layers.Dense(2, activation="hard_sigmoid")]
    path = tmp_path / "old.h5"
    tf_keras.Sequential(stack).save(path)
    with pytest.warns(UserWarning, match="`hard_sigmoid`.*will differ") as told:
        load_model(path)
    assert told[0].filename == __file__


def test_a_file_of_today_is_given_as_it_is(tmp_path):
    stack = [keras.Input(IMAGES), keras.layers.DepthwiseConv2D(3)]
    inner = keras.Sequential(stack)
    inputs = keras.Input(IMAGES)
    model = keras.Model(inputs, keras.layers.Flatten()(inner(inputs)))
    for name in ("model.h5", "model.keras"):
        model.save(tmp_path / name)
        with in_todays_form(tmp_path / name) as path:
            assert path == tmp_path / name
        assert load_model(tmp_path / name).get_layer(inner.name).layers
    assert read_settings(tmp_path / "model.keras", "model_config") is None


def test_the_file_is_not_changed(tmp_path):
    path = tmp_path / "old.h5"
    old_convolutions().save(path)
    before = path.read_bytes()
    with in_todays_form(path) as copy:
        assert copy != path
        with h5py.File(copy) as file:
            assert '"groups": 1' not in json.loads(file.attrs["model_config"])
    assert path.read_bytes() == before


def test_a_setting_that_matters_is_not_dropped(tmp_path):
    path = tmp_path / "old.h5"
    stack = [tf_keras.Input(SEQUENCES), layers.LSTM(3, time_major=True)]
    tf_keras.Sequential(stack).save(path)
    with pytest.raises(ValueError, match="time_major"):
        load_model(path)
