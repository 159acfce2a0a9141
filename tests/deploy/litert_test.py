"""LiteRT files: float ones are equal to Keras, int8 ones agree with it."""

import sys

import keras
import models
import numpy as np
import pytest
from bars import check_whole, labels_of
from keras import layers

from keras_shapley_prune import export_litert, prune

interpreter = pytest.importorskip(
    "ai_edge_litert.interpreter", reason='needs pip install ".[litert]"'
)


def needs_quantizer():
    pytest.importorskip("litert_quantizer", reason='needs pip install ".[litert]"')


def run(path, examples):
    """Runs a file on examples one by one; returns a list of arrays, one an output.

    Args:
        path: The file.
        examples: Dict: input name -> array of examples.
    """
    runner = interpreter.Interpreter(str(path)).get_signature_runner()
    takes, gives = runner.get_input_details(), runner.get_output_details()
    collected = []
    for i in range(len(next(iter(examples.values())))):
        feed = {
            name: to_integers(x[i : i + 1], takes[name]) for name, x in examples.items()
        }
        found = runner(**feed)
        collected.append(
            [to_floats(found[name], gives[name]) for name in sorted(found)]
        )
    return [np.concatenate(arrays) for arrays in zip(*collected, strict=True)]


def to_integers(values, details):
    scale, zero = details["quantization"]
    if details["dtype"] is np.float32:
        return values
    return np.clip(np.round(values / scale + zero), -128, 127).astype(np.int8)


def to_floats(values, details):
    scale, zero = details["quantization"]
    if details["dtype"] is np.float32:
        return values
    return (values.astype(np.float32) - zero) * scale


def by_name(model, inputs):
    """Returns the inputs of a model as a dict: input name -> array."""
    flat = (
        [inputs[key] for key in sorted(inputs)]
        if isinstance(inputs, dict)
        else [*keras.tree.flatten(inputs)]
    )
    return dict(zip([t.name for t in model.inputs], flat, strict=True))


# Structured ends, a nested model, loops, attention, and what has no kernel of its own.
CONVERTED = [
    models.two_ends,
    models.nested,
    models.recurrent,
    models.attentive,
    models.autoencoder,
    models.locked,
]


@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "builder",
    [
        builder
        if builder in CONVERTED
        else pytest.param(builder, marks=pytest.mark.slow)
        for builder in models.BUILDERS
    ],
)
def test_float_is_equal_to_keras(builder, tmp_path):
    model = models.build(builder)
    inputs = models.inputs_of(model, 2)
    path = export_litert(model, tmp_path / "model.tflite")
    found = run(path, by_name(model, inputs))
    assert models.relative_difference(found, models.outputs_of(model, inputs)) < 1e-5


@pytest.mark.slow
def test_a_pruned_model_of_odd_sizes(tmp_path):
    model = models.build(models.two_ends)
    inputs = models.inputs_of(model, 16)
    pruned = prune(model, inputs, 0.4, ranker="l1_norm", verbose=0)
    path = export_litert(pruned, tmp_path / "new" / "pruned.tflite")
    assert path == tmp_path / "new" / "pruned.tflite"
    found = run(path, by_name(pruned, inputs))
    assert models.relative_difference(found, models.outputs_of(pruned, inputs)) < 1e-5


def test_int8_of_two_inputs_and_two_outputs(tmp_path, capsys):
    needs_quantizer()
    model = models.build(models.two_ends)
    inputs = models.inputs_of(model, 32)
    path = export_litert(model, tmp_path / "int8.tflite", True, inputs)
    bar = capsys.readouterr().out
    check_whole(bar)
    assert labels_of(bar)[0] == "converting"
    assert "quantizing, example 32 of 32" in labels_of(bar)
    found = run(path, by_name(model, inputs))
    # Ranges that were averaged over the examples would be wrong by 0.3 and more.
    assert models.relative_difference(found, models.outputs_of(model, inputs)) < 0.03


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.chain, models.residual, models.depthwise])
def test_int8_is_near_to_keras(builder, tmp_path):
    needs_quantizer()
    model = models.build(builder)
    inputs = models.inputs_of(model, 32)
    path = export_litert(model, tmp_path / "int8.tflite", True, inputs)
    found = run(path, by_name(model, inputs))
    assert models.relative_difference(found, models.outputs_of(model, inputs)) < 0.05


@pytest.mark.slow
def test_int8_agrees_on_classes(tmp_path, capfd):
    needs_quantizer()
    model = models.classifier()
    x, y = models.labelled_images(400)
    model.fit(x, y, epochs=30, verbose=0)
    pruned = prune(model, x[:64], 0.4, verbose=0)
    capfd.readouterr()
    small = export_litert(pruned, tmp_path / "int8.tflite", True, (x[:100], y[:100]))
    assert "Calibration" not in capfd.readouterr().err
    runner = interpreter.Interpreter(str(small)).get_signature_runner()
    everything = [*runner.get_input_details().values()]
    everything += runner.get_output_details().values()
    assert {details["dtype"] for details in everything} == {np.int8}
    (found,) = run(small, {"image": x[100:]})
    (expected,) = models.outputs_of(pruned, x[100:])
    assert np.mean(expected.argmax(-1) == y[100:]) > 0.9
    assert np.mean(found.argmax(-1) == expected.argmax(-1)) > 0.97


def test_int8_is_smaller_and_replaces_what_is_there(tmp_path):
    needs_quantizer()
    model = keras.Sequential(
        [keras.Input((16,)), layers.Dense(128, "relu"), layers.Dense(128)]
    )
    path = tmp_path / "model.tflite"
    export_litert(model, str(path))
    before = path.stat().st_size
    export_litert(model, path, int8=True, dataset=np.ones((4, 16)))
    assert path.stat().st_size < before / 3


def test_data_and_int8_go_together(tmp_path):
    model, path = models.classifier(), tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="data for `int8=True`"):
        export_litert(model, path, int8=True)
    with pytest.raises(ValueError, match="`None` for `int8=False`"):
        export_litert(model, path, dataset=np.ones((1, 6, 6, 1)))
    assert not path.exists()


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match=r"'\.tflite'.*model\.keras"):
        export_litert(models.classifier(), tmp_path / "model.keras")
    with pytest.raises(ValueError, match="Argument `model`"):
        export_litert(models.Subclassed(), tmp_path / "model.tflite")
    with pytest.raises(ValueError, match="Argument `model`"):
        export_litert("model", tmp_path / "model.tflite")


@pytest.mark.slow
def test_operations_that_are_not_built_in(tmp_path):
    import tensorflow as tf

    inputs = keras.Input((3,))
    gamma = layers.Lambda(lambda x: tf.math.igamma(x, x), output_shape=(3,))
    with pytest.raises(ValueError, match=r"(?s)LiteRT has built in.*Igamma"):
        export_litert(keras.Model(inputs, gamma(inputs)), tmp_path / "model.tflite")


@pytest.mark.slow
def test_loops_cannot_be_quantized(tmp_path):
    needs_quantizer()
    model, path = models.build(models.recurrent), tmp_path / "model.tflite"
    with pytest.raises(ValueError, match="`unroll=True`"):
        export_litert(model, path, True, models.inputs_of(model, 4))
    assert not path.exists()


def test_without_the_quantizer(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "litert_quantizer.calibrator", None)
    monkeypatch.setitem(sys.modules, "litert_quantizer", None)
    with pytest.raises(ImportError, match="pip install litert-quantizer"):
        export_litert(
            models.classifier(), tmp_path / "m.tflite", True, np.ones((2, 6, 6, 1))
        )
    export_litert(models.classifier(), tmp_path / "m.tflite")


def open_size(size):
    inputs = keras.Input((size, size, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D(2)(x))
    joined = layers.Concatenate()([x, layers.UpSampling2D(2)(y)])
    return keras.Model(inputs, layers.Conv2D(4, 3, padding="same")(joined))


def test_of_any_size_one_is_exported(tmp_path):
    model = open_size(None)
    images = np.random.default_rng(0).random((2, 10, 6, 3)).astype("float32")
    path = export_litert(model, tmp_path / "a.tflite", input_shape=(10, 6, 3))
    found = run(path, {"image": images})
    assert models.relative_difference(found, models.outputs_of(model, images)) < 1e-5


def test_a_missing_size_is_named(tmp_path):
    message = r"`input_shape` should be .*'image' of shape \(None, None, 3\)"
    with pytest.raises(ValueError, match=message) as caught:
        export_litert(open_size(None), tmp_path / "a.tflite")
    assert len(str(caught.value)) < 400  # no pages of the converter's
    with pytest.raises(ValueError, match=r"`input_shape` should be the shape of one"):
        export_litert(open_size(None), tmp_path / "a.tflite", input_shape=(10, 6, 4))


@pytest.mark.slow
def test_int8_takes_the_size_of_its_data(tmp_path):
    needs_quantizer()
    model = open_size(None)
    images = np.random.default_rng(0).random((8, 10, 6, 3)).astype("float32")
    path = export_litert(model, tmp_path / "a.tflite", True, images)
    found = run(path, {"image": images})
    assert models.relative_difference(found, models.outputs_of(model, images)) < 0.03


@pytest.mark.sweep(1)
@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
def test_half_precision_is_exported_as_float32(policy, tmp_path):
    keras.utils.set_random_seed(0)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = open_size(8)
    finally:
        keras.config.set_dtype_policy(before)
    images = np.random.default_rng(0).random((2, 8, 8, 3)).astype("float32")
    with pytest.warns(UserWarning, match="float16.* a copy of it in float32"):
        path = export_litert(model, tmp_path / "a.tflite")
    expected = [keras.ops.cast(model(images), "float32")]
    assert models.relative_difference(run(path, {"image": images}), expected) < 3e-2


def test_ranges_of_data_that_is_not_finite(tmp_path):
    needs_quantizer()
    model = keras.Sequential([keras.Input((3,), name="image"), keras.layers.Dense(2)])
    data = np.ones((9, 3), "float32")
    data[7, 1] = np.inf
    with pytest.raises(ValueError, match="inf for input 'image', in example 7 "):
        export_litert(model, tmp_path / "int8.tflite", True, data)
    assert not any(tmp_path.iterdir())
