import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.layer_specs import find_linear_form

CONVOLUTIONS = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": "same"},
    {"kernel_size": (2, 3), "padding": "same", "strides": 2},
    {"kernel_size": 3, "padding": "same", "strides": (2, 1)},
    {"kernel_size": (3, 2), "padding": "same", "dilation_rate": 2},
    {"kernel_size": (4, 1), "strides": 3, "use_bias": False},
]
TRANSPOSED = [
    *CONVOLUTIONS[:4],
    {"kernel_size": 2, "strides": 2},
    {"kernel_size": 4, "strides": 2, "padding": "same"},
    {"kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 1},
    {"kernel_size": 2, "strides": 3, "padding": "same", "use_bias": False},
    {"kernel_size": 3, "padding": "valid", "dilation_rate": 2},
]
CASES = [
    *[(layers.Conv2D, dict(filters=4, **case)) for case in CONVOLUTIONS],
    *[(layers.Conv2DTranspose, dict(filters=4, **case)) for case in TRANSPOSED],
    (layers.SeparableConv2D, {"filters": 4, "kernel_size": 3, "depth_multiplier": 2}),
    (
        layers.SeparableConv2D,
        {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2},
    ),
    (layers.Dense, {"units": 4}),
]


def build(kind, arguments, shape=(6, 7, 3), **more):
    keras.utils.set_random_seed(0)
    layer = kind(**arguments, **more, bias_initializer="normal")
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    return layer, layer(x), x


@pytest.mark.parametrize("kind, arguments", CASES)
def test_rows_times_matrix_is_the_layer(kind, arguments):
    layer, outputs, x = build(kind, arguments)
    form = find_linear_form(layer)
    rows = keras.ops.convert_to_numpy(form.rows(x))
    product = rows @ form.matrix + (0 if form.bias is None else form.bias)
    np.testing.assert_allclose(product.reshape(outputs.shape), outputs, atol=1e-5)
    np.testing.assert_allclose(form.apply(x), outputs, atol=1e-5)


@pytest.mark.parametrize("kind, arguments", CASES)
def test_channel_of_names_the_input_channel(kind, arguments):
    layer, _, x = build(kind, arguments)
    form = find_linear_form(layer)
    for channel in range(3):
        alone = x * (np.arange(3) == channel)
        read = np.abs(keras.ops.convert_to_numpy(form.rows(alone))).max(axis=(0, 1))
        assert not read[form.channel_of != channel].any()
        assert read[form.channel_of == channel].all()


@pytest.mark.parametrize("kind, arguments", CASES)
def test_assign_is_the_inverse_of_matrix(kind, arguments):
    layer, _, x = build(kind, arguments)
    form = find_linear_form(layer)
    changed = np.random.default_rng(1).normal(size=form.matrix.shape)
    form.assign(changed)
    np.testing.assert_allclose(form.matrix, changed, rtol=1e-6)
    rows = keras.ops.convert_to_numpy(form.rows(x))
    product = rows @ changed + (0 if form.bias is None else form.bias)
    outputs = layer(x)
    np.testing.assert_allclose(product.reshape(outputs.shape), outputs, atol=1e-5)


def test_the_activation_is_left_out():
    layer, outputs, x = build(layers.Conv2D, {"filters": 4, "kernel_size": 3})
    layer.activation = keras.activations.relu
    np.testing.assert_allclose(find_linear_form(layer).apply(x), outputs, atol=1e-6)


def test_dense_after_flatten_has_one_row_an_example():
    layer, _, x = build(layers.Dense, {"units": 4}, shape=(5,))
    assert find_linear_form(layer).rows(x).shape == (2, 1, 5)


def test_other_layers_have_no_linear_form():
    assert find_linear_form(layers.BatchNormalization()) is None
    assert find_linear_form(keras.ops.relu) is None
