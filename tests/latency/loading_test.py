"""Tests of loaded models: what is run is what was asked for."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune import export_litert
from keras_shapley_prune.latency import loading
from keras_shapley_prune.latency.example_inputs import resize
from keras_shapley_prune.latency.loading import load_litert, load_tensorflow

interpreter = pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")


@pytest.fixture
def opened(monkeypatch):
    """A list of the interpreters that are opened, and with what."""
    found = []

    class Spy(interpreter.Interpreter):
        def __init__(self, **options):
            found.append((self, options))
            super().__init__(**options)

    monkeypatch.setattr(interpreter, "Interpreter", Spy)
    return found


def outputs_of(opened):
    """Returns what the interpreter that was opened last has computed, by name."""
    runner = opened[-1][0].get_signature_runner()
    details = runner.get_output_details()
    found = []
    for name in sorted(details):
        values = opened[-1][0].get_tensor(details[name]["index"])
        scale, zero = details[name]["quantization"]
        values = values.astype("float32")
        found.append((values - zero) * scale if scale else values)
    return found


def first_rows(inputs, count):
    batch = [tf.convert_to_tensor(x) for x in keras.tree.flatten(inputs)]
    flat = [x.numpy() for x in resize(batch, count)]
    return keras.tree.pack_sequence_as(inputs, flat)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", [models.chain, models.two_ends, models.nested])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_litert_computes_what_the_model_does(builder, batch_size, opened):
    model = models.build(builder)
    inputs = models.inputs_of(model, 2)
    run = load_litert(model, batch_size, inputs)
    expected = models.outputs_of(model, first_rows(inputs, batch_size))
    run()
    assert models.relative_difference(outputs_of(opened), expected) < 1e-5


def test_int8_computes_nearly_what_the_model_does(opened):
    pytest.importorskip("litert_quantizer", reason="needs [litert]")
    model = models.build(models.two_ends)
    inputs = models.inputs_of(model, 12)
    load_litert(model, 3, inputs, int8=True)
    expected = models.outputs_of(model, first_rows(inputs, 3))
    assert models.relative_difference(outputs_of(opened), expected) < 0.05


def test_the_file_is_the_one_that_is_exported(tmp_path):
    model = models.build(models.chain)
    size = export_litert(model, tmp_path / "model.tflite").stat().st_size
    assert abs(load_litert(model, 1).file_size - size) < 64  # names of folders


@pytest.mark.slow
def test_threads_are_handed_on(opened):
    model = models.build(models.chain)
    for threads in (None, 2):
        load_litert(model, 1, threads=threads)
        assert opened[-1][1]["num_threads"] == threads


@pytest.mark.parametrize("load", [load_tensorflow, load_litert])
def test_sizes_that_a_model_leaves_open_are_those_of_the_examples(load, opened):
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    model = keras.Model(inputs, layers.Conv2D(2, 3)(x))
    with pytest.raises(ValueError, match=r"`examples` should hold .* any size"):
        load(model, 1)
    load(model, 1, np.zeros((2, 7, 5, 3), "float32"))
    if opened:
        assert [x.shape for x in outputs_of(opened)] == [(1, 5, 3, 2)]


@pytest.mark.parametrize("load", [load_tensorflow, load_litert])
def test_models_of_a_fixed_batch(load):
    inputs = keras.Input(batch_shape=(4, 6), name="row")
    model = keras.Model(inputs, layers.Dense(2)(inputs))
    with pytest.raises(ValueError, match=r"`batch_size` should be 4, .*batch_size=1"):
        load(model, 1)
    load(model, 4)
    load(model, 4, np.ones((9, 6)))


@pytest.mark.slow
@pytest.mark.parametrize("load", [load_tensorflow, load_litert])
def test_other_inputs_than_floats(load):
    tokens = keras.Input((5,), dtype="int32", name="tokens")
    model = keras.Model(tokens, layers.Embedding(3, 4)(tokens))
    load(model, 2)()
    load(model, 2, np.ones((3, 5), "int32"))()
    with pytest.raises(ValueError, match="Argument `examples` should give input"):
        load(model, 2, np.ones((3, 7), "int32"))


def test_half_precision_is_run_as_float32_by_litert(opened):
    model = keras.Sequential(
        [keras.Input((6,), name="row"), layers.Dense(4, dtype="mixed_float16")]
    )
    load_litert(model, 1)
    load_tensorflow(model, 1)
    assert outputs_of(opened)[0].shape == (1, 4)


def test_examples_that_are_not_finite_give_no_ranges():
    pytest.importorskip("litert_quantizer", reason="needs [litert]")
    model = keras.Sequential([keras.Input((3,), name="row"), layers.Dense(2)])
    with pytest.raises(ValueError, match="inf for input 'row'"):
        load_litert(model, 1, np.full((2, 3), np.inf), int8=True)


def test_an_error_of_the_runtime_names_the_model():
    class Broken(layers.Layer):
        def compute_output_shape(self, shape):
            return shape

        def call(self, x):
            raise ValueError("it does not work")

    inputs = keras.Input((3,))
    model = keras.Model(inputs, layers.Dense(2)(Broken()(inputs)), name="broken")
    with pytest.raises(ValueError, match=r"(?s)`model` .*'broken'.*does not work"):
        load_tensorflow(model, 1)


def test_the_version_of_litert():
    assert loading.litert_version().count(".") >= 1


def test_tensorflow_does_not_warn_of_retracing(caplog):
    layers = [keras.layers.Dense(2, name=f"dense{number}") for number in range(6)]
    for layer in layers:
        load_tensorflow(keras.Sequential([keras.Input((3,)), layer]), 1)
    assert "retracing" not in caplog.text
