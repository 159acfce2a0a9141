"""Copies in tf_keras: equal to the model, or an error that names what is missing."""

import json
import os
import subprocess
import sys

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import prune, remove_channels, to_tf_keras, trace_channels

tf_keras = pytest.importorskip("tf_keras", reason='needs pip install ".[tfmot]"')

COPYABLE = (
    models.chain,
    models.residual,
    models.branches,
    models.depthwise,
    models.autoencoder,
    models.pointwise,
    models.two_ends,
    models.nested,
    models.recurrent,
)


def check(model, inputs=None, tolerance=1e-5):
    """Asserts that the copy computes what the model does, and returns it."""
    inputs = models.inputs_of(model) if inputs is None else inputs
    copied = to_tf_keras(model)
    assert isinstance(copied, tf_keras.Model)
    found = [x.numpy() for x in keras.tree.flatten(copied(inputs, training=False))]
    expected = models.outputs_of(model, inputs)
    assert models.relative_difference(found, expected) < tolerance
    return copied


def of_layers(*stack, shape=(8, 8, 3), dtype="float32"):
    """Returns a Sequential model with random weights."""
    inputs = keras.Input(shape, name="image", dtype=dtype)
    return models.randomize(keras.Sequential([inputs, *stack]))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", COPYABLE)
def test_equal(builder):
    check(models.build(builder))


def test_layers_keep_their_names():
    model = models.build(models.chain)
    names = [[x.name for x in m.layers[-10:]] for m in (to_tf_keras(model), model)]
    assert names[0] == names[1]


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "builder", [models.branches, models.depthwise, models.nested, models.recurrent]
)
def test_pruned_to_odd_sizes(builder):
    model = models.build(builder)
    keep = models.random_keep(trace_channels(model), 0.4)
    check(remove_channels(model, keep))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_keras_applications(name):
    shape = (32, 32, 3)
    model = getattr(keras.applications, name)(shape, weights=None, classes=5)
    copied = check(models.randomize(model), tolerance=1e-4)
    if name == "MobileNetV2":
        names = [[x.name for x in m.layers[1:]] for m in (copied, model)]
        assert names[0] == names[1]


STACKS = {
    "convolutions": [
        layers.SeparableConv2D(5, 3, activation="silu"),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same", activation="gelu"),
        layers.Conv2D(6, 3, groups=2, dilation_rate=2),
    ],
    "one dimension": [
        layers.Reshape((16, 12)),
        layers.Conv1D(5, 3, padding="causal"),
        layers.SeparableConv1D(4, 3),
        layers.MaxPooling1D(2),
        layers.GlobalAveragePooling1D(keepdims=True),
    ],
    "three dimensions": [
        layers.Reshape((8, 8, 3, 1)),
        layers.Conv3D(4, 2),
        layers.AveragePooling3D(2),
        layers.GlobalMaxPooling3D(),
    ],
    "normalizations": [
        layers.BatchNormalization(scale=False, epsilon=0.01),
        layers.LayerNormalization(axis=[1, 2]),
        layers.GroupNormalization(3),
        layers.UnitNormalization(),
        layers.Rescaling([1.0, 2.0, 3.0], 0.5),
    ],
    "activations": [
        layers.Conv2D(4, 3, activation="hard_sigmoid"),
        layers.Dense(5, activation="hard_silu"),
        layers.Dense(5, activation="relu6"),
        layers.Conv2D(4, 1, activation=layers.LeakyReLU(0.3)),
        layers.Activation("hard_silu"),
        layers.LeakyReLU(0.05),
        layers.PReLU(shared_axes=[1, 2]),
        layers.ELU(0.5),
        layers.ReLU(4.0, negative_slope=0.1, threshold=0.2),
        layers.Softmax(),
    ],
    "shapes": [
        layers.UpSampling2D(3, interpolation="bilinear"),
        layers.ZeroPadding2D(((1, 0), (2, 3))),
        layers.Cropping2D(((0, 1), (1, 2))),
        layers.Permute((3, 1, 2)),
        layers.Flatten(),
        layers.RepeatVector(3),
    ],
    "recurrent": [
        layers.TimeDistributed(layers.Flatten()),
        layers.LSTM(4, return_sequences=True),
        layers.Bidirectional(
            layers.SimpleRNN(3, return_sequences=True),
            backward_layer=layers.GRU(3, return_sequences=True, go_backwards=True),
        ),
        layers.GRU(3, reset_after=False),
    ],
    "for training only": [
        layers.GaussianNoise(0.1, seed=1),
        layers.SpatialDropout2D(0.2, seed=1),
        layers.ActivityRegularization(l1=0.1),
        layers.Dense(3, kernel_regularizer="l2", bias_constraint="non_neg"),
        layers.AlphaDropout(0.1),
    ],
}


@pytest.mark.sweep(2)
@pytest.mark.parametrize("stack", STACKS)
def test_layers(stack):
    check(of_layers(*(type(x).from_config(x.get_config()) for x in STACKS[stack])))


def test_settings_for_training_are_kept():
    stack = [layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.02))]
    stack += [layers.Dropout(0.25), layers.Dense(2, bias_constraint="non_neg")]
    model = of_layers(*stack, shape=(4,))
    model.layers[0].trainable = False
    copied = to_tf_keras(model)
    first, drop, last = copied.layers[1:]
    assert not first.trainable and last.trainable
    assert first.kernel_regularizer.l2 == pytest.approx(0.02)
    assert drop.rate == 0.25
    assert isinstance(last.bias_constraint, tf_keras.constraints.NonNeg)


def test_operations_become_layers():
    inputs = keras.Input((6, 6, 4), name="image")
    ops = keras.ops
    x = ops.relu6(2.0 - inputs) / 3.0 + 1.0
    x = keras.activations.relu(x - 1.1, 0.1, max_value=1.2, threshold=0.1) + x
    y = ops.leaky_relu(inputs * 0.5 - 0.25, 0.3)
    x = ops.maximum(x, y) - ops.minimum(x, ops.hard_silu(y)) * ops.exp(-1.0 + y)
    x = ops.concatenate([x, ops.gelu(y, approximate=False), ops.elu(y, 0.5)], axis=-1)
    x = ops.transpose(x, (0, 3, 1, 2))
    x = ops.softmax(ops.reshape(x, (-1, 36, 12)), axis=-1)
    outputs = [ops.mean(x, axis=1), ops.max(x, axis=[1], keepdims=True)]
    copied = check(keras.Model(inputs, outputs))
    kinds = {type(layer).__name__ for layer in copied.layers}
    assert not {"TFOpLambda", "SlicingOpLambda"} & kinds


def test_shared_layers_are_shared():
    inputs = [keras.Input((4,), name=name) for name in ("left", "right")]
    shared = layers.Dense(3, activation="hard_sigmoid", name="shared")
    outputs = layers.Dot(1)([shared(x) for x in inputs])
    copied = check(models.randomize(keras.Model(inputs, outputs)))
    assert len(copied.weights) == 2


def test_a_model_that_is_called_twice_is_inlined():
    inner = models.fresh(models.chain)
    inputs = keras.Input((12, 12, 3), name="image")
    outputs = {"one": inner(inputs), "two": inner(2 * inputs, training=False)}
    copied = check(keras.Model(inputs, outputs, name="outer"))
    assert set(copied.output) == {"one", "two"}
    assert not any(isinstance(layer, tf_keras.Model) for layer in copied.layers)
    assert len(copied.weights) == len(inner.weights)


def test_training_flag_of_an_inlined_model():
    inner = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5)])
    inputs = keras.Input((4,), name="image")
    copied = to_tf_keras(keras.Model(inputs, inner(inputs, training=False)))
    x = np.ones((3, 4), "float32")
    np.testing.assert_array_equal(copied(x, training=True), x)


def test_embedding_with_a_mask():
    stack = [layers.Embedding(9, 4, mask_zero=True), layers.LSTM(3)]
    model = of_layers(*stack, shape=(5,), dtype="int32")
    check(model, np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 7]], "int32"))


def test_mixed_precision():
    model = of_layers(layers.Dense(4, dtype="mixed_bfloat16"))
    copied = to_tf_keras(model)
    assert copied.layers[1].dtype_policy.name == "mixed_bfloat16"


@pytest.mark.eager
def test_the_copy_is_fitted():
    x, y = models.labelled_images(64)
    pruned = prune(models.classifier(), x[:32], 0.4, ranker="l1_norm", verbose=0)
    copied = check(pruned, x)
    before = models.outputs_of(pruned, x)
    copied.compile("adam", "sparse_categorical_crossentropy")
    copied.fit(x, y, verbose=0)
    assert models.relative_difference([copied(x).numpy()], before) > 0
    np.testing.assert_array_equal(models.outputs_of(pruned, x), before)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.RMSNormalization(name="odd"), "'odd'.*RMSNormalization.*its type"),
        (layers.Lambda(lambda x: x, name="odd"), "'odd'.*Lambda.*function"),
        (layers.Dense(2, activation="celu", name="odd"), "'odd'.*'celu'"),
        (layers.Dense(2, activation=lambda x: 2 * x, name="odd"), "'odd'.*activation"),
        (layers.Dense(2, lora_rank=1, name="odd"), "'odd'.*lora_rank=1"),
    ],
)
def test_layers_without_an_equal(layer, message):
    with pytest.raises(ValueError, match=message):
        to_tf_keras(of_layers(layer))


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda x: x[:, 1:], "GetItem"),
        (lambda x: keras.ops.maximum(x, 0.1), "Maximum.*form"),
        (lambda x: keras.ops.mean(x, axis=2), "Mean.*form"),
        (lambda x: keras.ops.gelu(x), "Gelu"),
    ],
)
def test_operations_without_an_equal(operation, message):
    inputs = keras.Input((4, 4, 2), name="image")
    with pytest.raises(ValueError, match=message):
        to_tf_keras(keras.Model(inputs, operation(inputs)))


def test_hard_sigmoid_of_a_recurrent_layer():
    with pytest.raises(ValueError, match="hard_sigmoid"):
        layer = layers.LSTM(2, recurrent_activation="hard_sigmoid")
        to_tf_keras(of_layers(layer, shape=(3, 2)))


def test_subclassed_models_have_no_graph():
    with pytest.raises(ValueError, match="graph of layers"):
        to_tf_keras(models.Subclassed())


def test_a_copy_that_differs_is_not_returned(monkeypatch):
    model = models.classifier()
    monkeypatch.setattr(tf_keras.layers.ReLU, "call", lambda self, x: 2 * x)
    relu = of_layers(layers.ReLU())
    with pytest.raises(RuntimeError, match=r"outputs of up to .* that differ by"):
        to_tf_keras(relu)
    to_tf_keras(model)


def test_without_tf_keras(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(ImportError, match="pip install tf_keras"):
        to_tf_keras(models.classifier())


@pytest.mark.slow
def test_a_process_with_a_copy_keeps_its_keras():
    code = """
import json, os, sys
os.environ.pop("TF_USE_LEGACY_KERAS", None)
import keras, keras_shapley_prune, tensorflow as tf
environment = dict(os.environ)
modules = [m for m in ("tf_keras", "tensorflow_model_optimization") if m in sys.modules]
inputs = keras.Input((3,))
model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
copied = keras_shapley_prune.to_tf_keras(model)
print(json.dumps({
    "before": modules,
    "tfmot": "tensorflow_model_optimization" in sys.modules,
    "environment": environment == dict(os.environ),
    "tf.keras": tf.keras.Model is keras.Model,
    "copy": type(copied).__module__.split(".")[0],
}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "before": [],
        "tfmot": False,
        "environment": True,
        "tf.keras": True,
        "copy": "tf_keras",
    }
