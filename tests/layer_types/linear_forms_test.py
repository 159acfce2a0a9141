import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_shapley_prune.layer_types.registry import find_linear_form

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
LINE = [
    {"kernel_size": 3},
    {"kernel_size": 3, "padding": "same", "strides": 2},
    {"kernel_size": 2, "padding": "valid", "dilation_rate": 3},
]
OF_OTHER_RANK = [
    *[(layers.Conv1D, dict(filters=4, **case)) for case in LINE],
    (layers.Conv1D, {"filters": 4, "kernel_size": 3, "padding": "causal"}),
    (
        layers.Conv1D,
        {"filters": 6, "kernel_size": 2, "padding": "causal", "dilation_rate": 2},
    ),
    (
        layers.Conv1D,
        {"filters": 4, "kernel_size": 3, "padding": "causal", "strides": 2},
    ),
    *[(layers.Conv1DTranspose, dict(filters=4, **case)) for case in LINE[:2]],
    (layers.Conv1DTranspose, {"filters": 4, "kernel_size": 2, "strides": 3}),
    *[(layers.SeparableConv1D, dict(filters=4, **case)) for case in LINE],
    (layers.Conv3D, {"filters": 4, "kernel_size": (2, 3, 1)}),
    (layers.Conv3D, {"filters": 4, "kernel_size": 3, "padding": "same", "strides": 2}),
    (layers.Conv3DTranspose, {"filters": 4, "kernel_size": 2, "strides": 2}),
    (layers.Conv3DTranspose, {"filters": 4, "kernel_size": 3, "padding": "same"}),
    (layers.Dense, {"units": 4}),
]
IN_GROUPS = [
    (
        layers.Conv1D,
        {"filters": 6, "kernel_size": 2, "padding": "causal", "groups": 3}
        | {"dilation_rate": 2},
    ),
    (layers.Conv2D, {"filters": 6, "kernel_size": 2, "groups": 2, "strides": 2}),
    (layers.Conv2D, {"filters": 3, "kernel_size": 3, "groups": 3, "padding": "same"}),
    (layers.Conv3D, {"filters": 6, "kernel_size": 2, "groups": 3}),
]
EINSUMS = [
    ((3,), "ab,bc->ac", 4),
    ((5, 3), "abc,cd->abd", (5, 4)),
    ((5, 3), "abc,dc->abd", (5, 4)),
    ((5, 2, 3), "...x,xy->...y", 4),
    ((5, 2, 3), "abcd,cde->abe", (5, 4)),
    ((5, 2, 3), "abcd,dce->abe", (5, 4)),
    ((5, 2, 3), "abcd,de->acbe", (2, 5, 4)),
]


def _cases():
    """Yields layer classes, their arguments and the shape of what they read."""
    for kind, arguments in CASES:
        yield kind, arguments, (6, 7, 3)
    for kind, arguments in OF_OTHER_RANK:
        yield kind, arguments, (8, 3) if "1D" in kind.__name__ else (4, 5, 6, 3)
    for shape, equation, output_shape in EINSUMS:
        arguments = {"equation": equation, "output_shape": output_shape}
        yield layers.EinsumDense, arguments | {"bias_axes": equation[-1]}, shape

    for kind, arguments in IN_GROUPS:
        positions = {"1": (8,), "2": (5, 6), "3": (3, 4, 5)}[kind.__name__[4]]
        yield kind, arguments, (*positions, 6)


EACH = pytest.mark.parametrize(("kind", "arguments", "shape"), list(_cases()))


def build(kind, arguments, shape=(6, 7, 3), **more):
    keras.utils.set_random_seed(0)
    layer = kind(**arguments, **more, bias_initializer="normal")
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    try:
        return layer, layer(x), x
    except tf.errors.InvalidArgumentError as error:
        # Without oneDNN's kernels TensorFlow runs no dilated transposed convolution.
        if "dilation rates larger than 1" not in str(error):
            raise
        pytest.skip("this processor's TensorFlow cannot run the layer")


@pytest.mark.sweep(8)
@EACH
def test_rows_times_matrix_is_the_layer(kind, arguments, shape):
    layer, outputs, x = build(kind, arguments, shape)
    form = find_linear_form(layer)
    rows = keras.ops.convert_to_numpy(form.rows(x))
    product = rows @ form.matrix + (0 if form.bias is None else form.bias)
    np.testing.assert_allclose(product.reshape(outputs.shape), outputs, atol=1e-5)
    np.testing.assert_allclose(form.apply(x), outputs, atol=1e-5)


@pytest.mark.sweep(8)
@EACH
def test_channel_of_names_the_input_channel(kind, arguments, shape):
    layer, _, x = build(kind, arguments, shape)
    form = find_linear_form(layer)
    for channel in range(shape[-1]):
        alone = x * (np.arange(shape[-1]) == channel)
        read = np.abs(keras.ops.convert_to_numpy(form.rows(alone))).max(axis=(0, 1))
        assert not read[form.channel_of != channel].any()
        assert read[form.channel_of == channel].all()


@pytest.mark.sweep(8)
@EACH
def test_assign_is_the_inverse_of_matrix(kind, arguments, shape):
    layer, _, x = build(kind, arguments, shape)
    form = find_linear_form(layer)
    changed = np.zeros(form.matrix.shape)
    for block in form.blocks:
        changed[np.ix_(*block)] = np.random.default_rng(1).normal(
            size=[len(axis) for axis in block]
        )
    form.assign(changed)
    np.testing.assert_allclose(form.matrix, changed, rtol=1e-6)
    rows = keras.ops.convert_to_numpy(form.rows(x))
    product = rows @ changed + (0 if form.bias is None else form.bias)
    outputs = layer(x)
    np.testing.assert_allclose(product.reshape(outputs.shape), outputs, atol=1e-5)


@pytest.mark.sweep(8)
@EACH
def test_scale_multiplies_each_output_before_its_bias(kind, arguments, shape):
    layer, outputs, x = build(kind, arguments, shape)
    form = find_linear_form(layer)
    bias = 0 if form.bias is None else form.bias
    factors = np.linspace(-1, 2, form.matrix.shape[1])
    expected = (outputs - bias) * factors + bias
    form.scale(factors)
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_the_activation_is_left_out():
    layer, outputs, x = build(layers.Conv2D, {"filters": 4, "kernel_size": 3})
    layer.activation = keras.activations.relu
    np.testing.assert_allclose(find_linear_form(layer).apply(x), outputs, atol=1e-6)


def test_dense_after_flatten_has_one_row_an_example():
    layer, _, x = build(layers.Dense, {"units": 4}, shape=(5,))
    assert find_linear_form(layer).rows(x).shape == (2, 1, 5)


def test_a_grouped_convolution_has_a_block_for_each_group():
    arguments = {"filters": 6, "kernel_size": 2, "groups": 3}
    layer, _, _ = build(layers.Conv2D, arguments, (6, 7, 6))
    form = find_linear_form(layer)
    inside = np.zeros(form.matrix.shape, bool)
    for columns, outputs in form.blocks:
        assert (len(columns), len(outputs)) == (8, 2)
        inside[np.ix_(columns, outputs)] = True
    assert (form.matrix[inside] != 0).all()
    assert not form.matrix[~inside].any()


@pytest.mark.parametrize(
    ("equation", "shape", "output_shape", "bias_axes"),
    [
        ("abc,cde->abde", (5, 3), (5, 2, 4), None),  # two output axes
        ("abc,bcd->abd", (5, 3), (5, 4), None),  # a kernel for each position
        ("abc,cd->abd", (5, 3), (5, 4), "bd"),  # a bias for each position
    ],
)
def test_einsums_that_are_no_single_matrix(equation, shape, output_shape, bias_axes):
    arguments = {"equation": equation, "output_shape": output_shape}
    layer, *_ = build(layers.EinsumDense, arguments | {"bias_axes": bias_axes}, shape)
    assert find_linear_form(layer) is None


def test_other_layers_have_no_linear_form():
    assert find_linear_form(layers.BatchNormalization()) is None
    depthwise, *_ = build(layers.Conv2D, {"filters": 6, "kernel_size": 2, "groups": 3})
    assert find_linear_form(depthwise) is None
    assert find_linear_form(keras.ops.relu) is None
