"""Tests of loading models that Keras alone refuses."""

import json
import warnings

import h5py
import keras
import models
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.inputs.model_files import load_model


def dice_loss(y_true, y_pred):
    return 1 - keras.ops.mean(y_true * y_pred)


class OwnMetric(keras.metrics.Mean):
    """Not registered with Keras."""


class OwnOptimizer(keras.optimizers.SGD):
    """Not registered with Keras."""


def _network():
    stack = [
        keras.Input((16, 16, 3)),
        layers.Conv2D(8, 1, name="conv"),
        layers.DepthwiseConv2D(3),
        layers.SeparableConv2D(6, 3),
        layers.Conv2DTranspose(4, 3),
        layers.SpatialDropout2D(0.2),
        layers.GlobalAveragePooling2D(),
        layers.Dense(2),
    ]
    return keras.Sequential(stack)


COMPILED = {
    "loss": {"loss": dice_loss},
    "metric": {"loss": "mean_squared_error", "metrics": [dice_loss]},
    "metric class": {"loss": "mean_squared_error", "metrics": [OwnMetric()]},
    "optimizer": {"loss": "mean_squared_error", "optimizer": OwnOptimizer()},
}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("case", COMPILED)
def test_what_it_was_compiled_with_need_not_be_known(case, suffix, tmp_path):
    model = _network()
    model.compile(**{"optimizer": "adam", **COMPILED[case]})
    path = tmp_path / f"model{suffix}"
    model.save(path)
    words = "loaded without what it was compiled with.*The result is not compiled"
    with pytest.warns(UserWarning, match=words) as told:
        loaded = load_model(path)
    assert [str(warning.filename) for warning in told] == [__file__]
    assert not loaded.compiled
    x = models.images(model)
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
    pruned = keras_shapley_prune.prune(loaded, x, 0.5, ranker="l1_norm", verbose=0)
    assert not pruned.compiled


@pytest.mark.sweep(1)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_custom_objects_are_handed_on(suffix, tmp_path):
    model = _network()
    model.compile("adam", dice_loss, metrics=[dice_loss])
    path = tmp_path / f"model{suffix}"
    model.save(path)
    loaded = load_model(path, {"dice_loss": dice_loss})
    assert loaded.compiled
    data = models.images(model), np.zeros((4, 2))
    assert loaded.evaluate(*data, verbose=0)[0] == pytest.approx(
        float(dice_loss(data[1], model(data[0])))
    )


def test_the_warning_names_what_is_not_known(tmp_path):
    model = _network()
    model.compile("adam", dice_loss)
    for suffix in (".keras", ".h5"):
        model.save(tmp_path / f"model{suffix}")
        with pytest.warns(UserWarning, match="Keras says.*dice_loss"):
            load_model(tmp_path / f"model{suffix}")


def test_a_model_of_today_is_loaded_as_by_keras(tmp_path):
    model = _network()
    model.compile("adam", "mean_squared_error", metrics=["accuracy"])
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.filterwarnings("ignore", message="Skipping variable loading")
            loaded = load_model(tmp_path / name)
        assert loaded.compiled and loaded.optimizer.name == "adam"


@pytest.mark.sweep(1)
@pytest.mark.parametrize("name", ["mse", "mae", "mean_squared_error"])
def test_short_names_of_losses_in_h5_files(name, tmp_path):
    """Keras does not find `mse` there, which it has written itself."""
    model, path = _network(), tmp_path / "model.h5"
    model.compile("adam", name, metrics=[name, "accuracy"])
    model.save(path)
    loaded = load_model(path)
    assert loaded.compiled
    data = models.images(model), np.zeros((4, 2))
    found, expected = (m.evaluate(*data, verbose=0) for m in (loaded, model))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "none.h5").write_text("nothing")
    with pytest.raises(ValueError, match=r"none\.h5', of which Keras says"):
        load_model(tmp_path / "none.h5")
    with pytest.raises(ValueError, match=r"other\.keras', which does not exist"):
        load_model(tmp_path / "other.keras")


def test_an_unknown_layer_is_refused(tmp_path):
    class Own(layers.Layer):
        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((3,)), Own(), layers.Dense(2)])
    model.compile("adam", dice_loss)
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        with pytest.raises(Exception, match="Own"):
            load_model(tmp_path / name)


OLD = {"groups": 1, "kernel_initializer": None, "kernel_constraint": None}


def _age(path, optimizer=None, **changes):
    """Gives a file the settings that files of Keras 2 have."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            layer["config"].update(changes.get(layer["class_name"], {}))
        file.attrs["model_config"] = json.dumps(config)
        if optimizer is not None:
            training = json.loads(file.attrs["training_config"])
            training["optimizer_config"]["config"] = optimizer
            file.attrs["training_config"] = json.dumps(training)


def test_settings_of_keras_2_are_dropped(tmp_path):
    model, path = _network(), tmp_path / "old.h5"
    model.save(path)
    _age(
        path,
        DepthwiseConv2D={"groups": 1},
        SeparableConv2D=OLD,
        Conv2DTranspose={"groups": 1},
        SpatialDropout2D={"trainable": True, "noise_shape": None},
    )
    before = path.read_bytes()
    with pytest.raises(TypeError):
        keras.models.load_model(path)
    loaded = load_model(path)
    assert [type(x) for x in loaded.layers] == [type(x) for x in model.layers]
    x = models.images(model)
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
    assert path.read_bytes() == before


def test_settings_that_matter_are_not_dropped(tmp_path):
    model, path = _network(), tmp_path / "old.h5"
    model.save(path)
    _age(path, DepthwiseConv2D={"groups": 2})
    with pytest.raises(ValueError, match=r"Keras says.*groups"):
        load_model(path)


def test_an_optimizer_of_keras_2(tmp_path):
    """As that of MLPerf Tiny's files: `lr`, and a depthwise convolution."""
    model, path = _network(), tmp_path / "old.h5"
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.save(path)
    _age(
        path, {"name": "Adam", "lr": 0.001, "decay": 0.0}, DepthwiseConv2D={"groups": 1}
    )
    with pytest.warns(UserWarning, match="The result is not compiled.*'lr'"):
        loaded = load_model(path)
    x = models.images(model)
    np.testing.assert_allclose(loaded(x), model(x), atol=1e-6)
