"""A small use of every entry of the registry: between a producer and a consumer.

`LAYERS` and `OPERATIONS` hold, for each name, functions of two tensors of eight
channels, with values between 0 and 1, that use the entry at least once. `LOCKED` holds
those under which the producers are locked.
"""

import inspect

import keras
import numpy as np
from keras import activations, layers, ops
from keras.src import ops as source_of_ops
from keras.src.activations import activations as source_of_activations
from keras.src.applications import convnext
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

from keras_shapley_prune.layer_types import registry

SHAPES = {1: (7, 3), 2: (6, 6, 3), 3: (4, 4, 4, 3), 0: (3,)}  # by number of positions
CONSTANTS = np.linspace(0.5, 1.5, 8).tolist()
ALPHA = {"alpha_initializer": "normal"}


def unary(function):
    """A use that reads one of the tensors."""
    return lambda a, b: function(a)


def several(*functions):
    """A use whose results have different sizes: a consumer for each."""
    return lambda a, b: [function(a) for function in functions]


def of_layer(name, *arguments, **options):
    """A use of a layer."""
    return unary(lambda x: getattr(layers, name)(*arguments, **options)(x))


def of_merge(name):
    """A use of a layer that joins."""
    return lambda a, b: getattr(layers, name)()([a, b])


def convolutions(name, filters=()):
    """Uses of a convolution, of any rank."""
    return [
        of_layer(name, *filters, 3),
        of_layer(name, *filters, 2, padding="same", activation="relu"),
        of_layer(name, *filters, 2, strides=2, padding="same", use_bias=False),
    ]


def adaptive_pooling(name):
    """A use of a layer that pools to two positions; of fewer Keras makes a crash."""

    def use(a, b):
        if min(a.shape[1:-1]) < 2:
            raise ValueError(f"{name} divides by zero. Received: shape {a.shape}")
        return getattr(layers, name)(2)(a)

    return use


def there_and_back(swap):
    """A use that mixes positions while channels are on another axis."""
    return unary(lambda x: swap(layers.Dense(7, activation="tanh")(swap(x))))


def given(rank, *uses):
    """Uses with so many axes of positions."""
    return [(rank, use) for use in uses]


LAYERS = {}
for rank in (1, 2, 3):
    filters = (5,)
    LAYERS[f"Conv{rank}D"] = given(
        rank,
        *convolutions(f"Conv{rank}D", filters),
        of_layer(f"Conv{rank}D", 5, 2, dilation_rate=2),
        of_layer(f"Conv{rank}D", 12, 2, groups=2, padding="same"),
        of_layer(f"Conv{rank}D", 12, 2, groups=4, activation="relu"),
        of_layer(f"Conv{rank}D", 8, 2, groups=8),
    )
    LAYERS[f"Conv{rank}DTranspose"] = given(
        rank, *convolutions(f"Conv{rank}DTranspose", filters)
    )
    if rank < 3:
        LAYERS[f"SeparableConv{rank}D"] = given(
            rank,
            *convolutions(f"SeparableConv{rank}D", filters),
            of_layer(f"SeparableConv{rank}D", 5, 3, depth_multiplier=2),
        )
        LAYERS[f"DepthwiseConv{rank}D"] = given(
            rank,
            *convolutions(f"DepthwiseConv{rank}D"),
            of_layer(f"DepthwiseConv{rank}D", 3, depth_multiplier=2),
        )
    for name in ("MaxPooling", "AveragePooling", "UpSampling"):
        LAYERS[f"{name}{rank}D"] = given(rank, of_layer(f"{name}{rank}D", 2))
    for name in ("ZeroPadding", "Cropping"):
        LAYERS[f"{name}{rank}D"] = given(rank, of_layer(f"{name}{rank}D", 1))
    for name in ("GlobalMaxPooling", "GlobalAveragePooling"):
        LAYERS[f"{name}{rank}D"] = given(
            rank,
            of_layer(f"{name}{rank}D"),
            of_layer(f"{name}{rank}D", keepdims=True),
        )
    for name in ("AdaptiveMaxPooling", "AdaptiveAveragePooling"):
        LAYERS[f"{name}{rank}D"] = given(rank, adaptive_pooling(f"{name}{rank}D"))
    LAYERS[f"SpatialDropout{rank}D"] = given(
        rank, of_layer(f"SpatialDropout{rank}D", 0.2)
    )
LAYERS["Conv1D"] += given(1, of_layer("Conv1D", 5, 3, padding="causal"))
LAYERS["Conv1D"] += given(
    1, of_layer("Conv1D", 5, 2, padding="causal", dilation_rate=2)
)
LAYERS |= {
    "Dense": [
        *given(0, of_layer("Dense", 5)),
        *given(1, of_layer("Dense", 5, activation="relu")),
        *given(3, of_layer("Dense", 5, use_bias=False)),
    ],
    "EinsumDense": [
        *given(0, of_layer("EinsumDense", "ab,bc->ac", 5, bias_axes="c")),
        *given(
            1,
            of_layer("EinsumDense", "abc,cd->abd", (7, 5), bias_axes="d"),
            of_layer("EinsumDense", "abc,cd->abd", (7, 5)),
            of_layer("EinsumDense", "...x,xy->...y", 5, bias_axes="y"),
            of_layer("EinsumDense", "abc,cde->abde", (7, 2, 5), bias_axes="de"),
            of_layer("EinsumDense", "abc,cde->abde", (7, 2, 5), bias_axes="d"),
            of_layer("EinsumDense", "abc,bcd->abd", (7, 5), bias_axes="bd"),
            of_layer("EinsumDense", "abc,bcd->ad", 5, bias_axes="d"),
            of_layer("EinsumDense", "abc,cd->ad", 5, bias_axes="d"),
        ),
        *given(2, of_layer("EinsumDense", "abcd,cde->abe", (6, 5))),
    ],
    "Embedding": given(
        0,
        lambda a, b: [a, layers.Embedding(9, 5)(ops.cast(_inputs_of(a) * 2, "int32"))],
    ),
    "ReversibleEmbedding": given(
        0,
        lambda a, b: [
            a,
            layers.ReversibleEmbedding(9, 5)(ops.cast(_inputs_of(a) * 2, "int32")),
        ],
    ),
    "Flatten": given(1, of_layer("Flatten")) + given(3, of_layer("Flatten")),
    "Reshape": [
        *given(1, of_layer("Reshape", (-1, 8)), of_layer("Reshape", (56,))),
        *given(1, of_layer("Reshape", (7, 4, 2)), of_layer("Reshape", (7, 2, -1))),
        *given(3, of_layer("Reshape", (16, 32))),
    ],
    "Permute": given(2, of_layer("Permute", (2, 1, 3)))
    + given(1, there_and_back(layers.Permute((2, 1)))),
    "Dot": given(
        1,
        lambda a, b: layers.Dot(2)([a, b]),
        lambda a, b: layers.Dot((2, 1))([layers.Dot(2)([a, b]), b]),
    )
    + given(0, lambda a, b: layers.Dot(1)([a, b])),
    "Attention": given(
        1,
        lambda a, b: layers.Attention(use_scale=True)([a, b]),
        lambda a, b: layers.Attention(score_mode="concat")([a, b, ops.flip(b, 1)]),
    ),
    "AdditiveAttention": given(
        1,
        lambda a, b: layers.AdditiveAttention()([a, b]),
        lambda a, b: layers.AdditiveAttention()([a, a, b]),
    ),
    "RepeatVector": given(0, of_layer("RepeatVector", 3)),
    "Concatenate": [
        *given(1, of_merge("Concatenate")),
        *given(1, lambda a, b: layers.Concatenate(axis=1)([a, b])),
    ],
    "BatchNormalization": given(1, of_layer("BatchNormalization")),
    "Normalization": [
        *given(1, of_layer("Normalization")),
        *given(1, of_layer("Normalization", axis=(1, 2))),
        *given(1, of_layer("Normalization", axis=1)),
        *given(1, of_layer("Normalization", axis=None)),
        *given(2, of_layer("Normalization", mean=CONSTANTS, variance=CONSTANTS)),
        *given(2, of_layer("Normalization", axis=None, mean=0.3, variance=2.0)),
    ],
    "PReLU": [
        *given(2, of_layer("PReLU", **ALPHA)),
        *given(2, of_layer("PReLU", shared_axes=[1, 2], **ALPHA)),
        *given(2, of_layer("PReLU", shared_axes=[3], **ALPHA)),
    ],
    "Rescaling": [
        *given(1, of_layer("Rescaling", 0.5, offset=0.1)),
        *given(2, of_layer("Rescaling", CONSTANTS, offset=np.array(CONSTANTS))),
    ],
    "Activation": given(1, of_layer("Activation", "tanh")),
    "CenterCrop": given(2, of_layer("CenterCrop", 4, 4)),
    "Resizing": given(2, of_layer("Resizing", 4, 5)),
    "RandomCrop": given(2, of_layer("RandomCrop", 4, 4)),
    "RandomFlip": given(2, of_layer("RandomFlip")),
    "RandomPerspective": given(2, of_layer("RandomPerspective")),
    "RandomRotation": given(2, of_layer("RandomRotation", 0.2)),
    "RandomTranslation": given(2, of_layer("RandomTranslation", 0.2, 0.2)),
    "RandomZoom": given(2, of_layer("RandomZoom", 0.2)),
}
LAYERS |= {
    "LayerNormalization": [
        *given(1, of_layer("LayerNormalization")),
        *given(1, of_layer("LayerNormalization", axis=[1, 2])),
        *given(2, of_layer("LayerNormalization", scale=False, center=False)),
    ],
    "RMSNormalization": given(1, of_layer("RMSNormalization")),
    "UnitNormalization": given(1, of_layer("UnitNormalization")),
    "GroupNormalization": [
        *given(1, of_layer("GroupNormalization", 2)),
        *given(2, of_layer("GroupNormalization", 4), of_layer("GroupNormalization", 8)),
        *given(2, of_layer("GroupNormalization", 1)),
    ],
    "Softmax": given(
        1,
        of_layer("Softmax"),
        of_layer("Softmax", axis=1),
        of_layer("Softmax", axis=(1, 2)),
    ),
    "MultiHeadAttention": [
        *given(1, lambda a, b: layers.MultiHeadAttention(4, 2)(a, b)),
        *given(1, lambda a, b: layers.MultiHeadAttention(3, 2, 3)(a, b, key=a)),
        *given(1, lambda a, b: layers.MultiHeadAttention(4, 2, output_shape=5)(a, a)),
    ],
    "GroupedQueryAttention": given(
        1, lambda a, b: layers.GroupQueryAttention(3, 6, 3)(a, b)
    ),
    "Bidirectional": given(
        1,
        unary(lambda x: layers.Bidirectional(layers.LSTM(5))(x)),
        unary(
            lambda x: layers.Bidirectional(
                layers.GRU(5, return_sequences=True), merge_mode="sum"
            )(x)
        ),
    ),
    "CustomScaleLayer": given(2, lambda a, b: CustomScaleLayer(0.3)([a, b])),
    "LayerScale": given(2, unary(lambda x: convnext.LayerScale(0.1, 8)(x))),
    "StochasticDepth": given(2, unary(lambda x: convnext.StochasticDepth(0.1)(x))),
}
for rank in (1, 2):
    LAYERS[f"ConvLSTM{rank}D"] = given(
        rank + 1,
        of_layer(f"ConvLSTM{rank}D", 5, 2, padding="same"),
        of_layer(f"ConvLSTM{rank}D", 4, 2, return_sequences=True, use_bias=False),
    )
LAYERS["ConvLSTM3D"] = given(
    3,
    unary(lambda x: layers.ConvLSTM3D(4, 2)(layers.Reshape((2, 2, 4, 4, 8))(x))),
)
LAYERS["TimeDistributed"] = given(
    2,
    unary(lambda x: layers.TimeDistributed(layers.Conv1D(5, 3))(x)),
    unary(lambda x: layers.TimeDistributed(layers.LSTM(5))(x)),
)
for name in "LSTM GRU SimpleRNN".split():
    LAYERS[name] = given(
        1, of_layer(name, 5), of_layer(name, 5, return_sequences=True, use_bias=False)
    )
for name in "Add Subtract Multiply Average Maximum Minimum".split():
    LAYERS[name] = given(1, of_merge(name)) + given(3, of_merge(name))
for name in "ReLU LeakyReLU ELU Identity ActivityRegularization".split():
    LAYERS[name] = given(1, of_layer(name))
for name in "Dropout AlphaDropout GaussianDropout GaussianNoise".split():
    LAYERS[name] = given(1, of_layer(name, 0.2))

UNARY = """absolute angle arccos arcsin arcsinh arctan arctanh cbrt ceil celu conjugate
    cos cosh deg2rad elu erf erfc erfinv exp exp2 expm1 fabs floor gelu hard_shrink
    hard_sigmoid hard_silu hard_tanh i0 imag isfinite isinf isnan isneginf isposinf
    isreal leaky_relu log log10 log1p log2 log_sigmoid logical_not negative ones_like
    rad2deg real reciprocal relu relu6 rsqrt selu sigmoid sign signbit silu sin
    sinc sinh soft_shrink softplus softsign sparse_plus sparse_sigmoid sqrt square
    squareplus stop_gradient tan tanh tanh_shrink trunc zeros_like copy round
    convert_to_tensor nan_to_num""".split()
BINARY = """add arctan2 divide divide_no_nan equal floor_divide fmax fmin fmod greater
    greater_equal heaviside hypot isclose less less_equal logaddexp logaddexp2
    logical_and logical_or logical_xor maximum minimum mod multiply nextafter not_equal
    power subtract true_divide""".split()
REDUCTIONS = """all amax amin any argmax argmin count_nonzero logsumexp max mean median
    min nanargmax nanargmin nanmax nanmean nanmedian nanmin nanprod nanstd nansum
    nanvar norm prod ptp std sum var average trapezoid""".split()
ALONG = "argsort cumprod cumsum diff flip nancumprod nancumsum sort".split()


def class_name(function_name):
    """Returns the name of the class behind a function of `keras.ops`."""
    special = {"i0": "I0", "isin": "IsIn", "nan_to_num": "NanToNum", "true_divide": ""}
    special["true_divide"], special["divide_no_nan"] = "TrueDivide", "DivideNoNan"
    if function_name in special:
        return special[function_name]
    return "".join(part.capitalize() for part in function_name.split("_"))


def classes_of_operations(name):
    """Returns Keras's own classes of that name; those of 3.12 are fewer than 3.15's."""
    modules = [m for _, m in inspect.getmembers(source_of_ops, inspect.ismodule)]
    modules.append(source_of_activations)
    return [getattr(module, name) for module in modules if hasattr(module, name)]


def is_in_keras(name):
    """Whether this version of Keras has what the uses of that name use."""
    return name not in registry.OPERATION_TYPES or bool(classes_of_operations(name))


def strides_patches():
    """Whether this version of Keras can trace patches with strides; 3.12 cannot."""
    try:
        ops.image.extract_patches(keras.KerasTensor((1, 4, 4, 1)), 2, strides=1)
    except UnboundLocalError:
        return False
    return True


def flat(tensor):
    """All entries of an example, on one axis."""
    return layers.Flatten()(tensor)


def of_heads(tensor):
    """Channels as four heads of two, before the positions."""
    return ops.transpose(ops.reshape(tensor, (-1, 7, 4, 2)), (0, 2, 1, 3))


def _inputs_of(tensor):
    """The input of the model that a tensor of a producer comes from."""
    return tensor._keras_history.operation.input


def raw(name, *arguments, **options):
    """A use of a function of `keras.ops`."""
    return unary(lambda x: getattr(ops, name)(x, *arguments, **options))


OPERATIONS = {class_name(name): given(1, raw(name)) for name in UNARY}
OPERATIONS |= {
    class_name(name): given(1, lambda a, b, name=name: getattr(ops, name)(a, b))
    for name in BINARY
}
for name in REDUCTIONS:
    OPERATIONS[class_name(name)] = given(1, raw(name, axis=1))
for name in ALONG:
    OPERATIONS[class_name(name)] = given(2, raw(name, axis=1))
OPERATIONS["Mean"] += given(2, raw("mean", axis=(1, 2), keepdims=True))
OPERATIONS["Power"] += given(1, raw("power", 2), unary(lambda x: 2 - x**2))
OPERATIONS["Add"] += given(
    1,
    unary(lambda x: x + np.ones((7, 1), "float32")),
    unary(lambda x: x + np.array(CONSTANTS, "float32")),
)
OPERATIONS |= {
    "Arccosh": given(1, unary(lambda x: ops.arccosh(x + 1))),
    "Cast": given(1, raw("cast", "float16")),
    "SaturateCast": given(1, raw("saturate_cast", "int8")),
    "BitwiseNot": given(1, unary(lambda x: ops.bitwise_not(ops.cast(8 * x, "int32")))),
    "BitwiseInvert": given(
        1, unary(lambda x: ops.bitwise_invert(ops.cast(8 * x, "int32")))
    ),
    "Clip": given(1, raw("clip", 0.2, 0.6)),
    "Threshold": given(1, raw("threshold", 0.4, 0.1)),
    "ReLU": given(
        1,
        unary(lambda x: activations.relu(x - 0.5)),
        unary(lambda x: activations.relu(x - 0.5, 0.1, max_value=0.3)),
    ),
    "Where": given(
        1,
        lambda a, b: ops.where(a > 0.5, a, b),
        unary(lambda x: ops.where(x > 0.5, x, 0.1)),
    ),
    "Glu": given(1, raw("glu"), raw("glu", axis=-1)) + given(2, raw("glu", axis=1)),
    "Moments": given(2, unary(lambda x: list(ops.moments(x, axes=(1, 2))))),
    "Percentile": given(1, raw("percentile", 30, axis=1)),
    "Quantile": given(1, raw("quantile", 0.3, axis=1)),
    "Nanpercentile": given(1, raw("nanpercentile", 30, axis=1)),
    "Nanquantile": given(1, raw("nanquantile", 0.3, axis=1)),
    "Roll": given(1, raw("roll", 2, axis=1)),
    "Unstack": given(1, unary(lambda x: ops.unstack(x, axis=1))),
    "Moveaxis": given(2, raw("moveaxis", 1, 2))
    + given(1, there_and_back(lambda x: ops.moveaxis(x, 1, 2))),
    "Swapaxes": given(2, raw("swapaxes", 1, 2))
    + given(1, there_and_back(lambda x: ops.swapaxes(x, -1, -2))),
    "Transpose": given(2, raw("transpose", (0, 2, 1, 3)))
    + given(1, there_and_back(lambda x: ops.transpose(x, (0, 2, 1)))),
    "Matmul": given(
        1,
        lambda a, b: ops.softmax(a @ ops.transpose(b, (0, 2, 1))) @ b,
        lambda a, b: flat(of_heads(a) @ ops.swapaxes(of_heads(b), -1, -2)),
    ),
    "Einsum": given(
        1,
        lambda a, b: ops.einsum("abc,adc->abd", a, b),
        lambda a, b: flat(ops.einsum("bhid,bhjd->bhij", of_heads(a), of_heads(b))),
        lambda a, b: flat(ops.einsum("...id,...jd->...ij", of_heads(a), of_heads(b))),
        unary(lambda x: ops.einsum("abc->ac", x)),
    ),
    "DotProductAttention": given(
        1,
        lambda a, b: ops.reshape(
            ops.dot_product_attention(
                *(ops.reshape(x, (-1, 7, 4, 2)) for x in (a, b, b))
            ),
            (-1, 7, 8),
        ),
    ),
    "MaxPool": given(2, raw("max_pool", 2)),
    "AveragePool": given(1, raw("average_pool", 2, padding="same")),
    "Resize": given(2, unary(lambda x: ops.image.resize(x, (4, 5)))),
    "PadImages": given(2, unary(lambda x: ops.image.pad_images(x, 1, 2, 1, 1))),
    "CropImages": given(2, unary(lambda x: ops.image.crop_images(x, 1, 2, 1, 1))),
    "GaussianBlur": given(2, unary(lambda x: ops.image.gaussian_blur(x))),
    "ExtractPatches": given(
        2,
        unary(lambda x: ops.image.extract_patches(x, 2)),
        *[unary(lambda x: ops.image.extract_patches(x, (3, 2), 1))] * strides_patches(),
    ),
    "Split": given(
        1,
        unary(lambda x: ops.split(x, 2, axis=-1)),
        unary(lambda x: ops.split(x, [3, 4], axis=2)),
        unary(lambda x: ops.split(x, [2], axis=1)),
    ),
    "ArraySplit": given(1, unary(lambda x: ops.array_split(x, 3, axis=1))),
    "BroadcastTo": given(
        2, unary(lambda x: ops.broadcast_to(ops.mean(x, 1, True), (4, 6, 6, 8)))
    ),
    "Concatenate": given(
        1,
        lambda a, b: ops.concatenate([a, b], axis=-1),
        lambda a, b: ops.concatenate([a, b], axis=1),
    ),
    "DepthToSpace": given(2, raw("depth_to_space", 2)),
    "SpaceToDepth": given(2, raw("space_to_depth", 2)),
    "ExpandDims": given(
        1,
        raw("expand_dims", 1),
        raw("expand_dims", -2),
        unary(lambda x: flat(ops.expand_dims(x, -1))),
    ),
    "GetItem": given(
        2,
        unary(lambda x: x[..., :5]),
        several(lambda x: x[..., 2:5], lambda x: x[:, :, :, -4:]),
        several(lambda x: x[..., ::-1], lambda x: x[:, 1:, 0, 4:1:-1]),
        several(lambda x: x[:, ::2, 1], lambda x: x[:, 0], lambda x: x[:, None, :2]),
    ),
    "Pad": given(1, raw("pad", [(0, 0), (1, 2), (0, 0)])),
    "Repeat": given(
        1, raw("repeat", 2, axis=1), raw("repeat", 2, axis=-1), raw("repeat", [2], -1)
    ),
    "Reshape": given(
        1,
        raw("reshape", (-1, 56)),
        raw("reshape", (-1, 7, 2, 4)),
        raw("reshape", (-1, 8)),
    ),
    "LogSoftmax": given(1, raw("log_softmax"), raw("log_softmax", axis=1)),
    "Softmax": given(1, raw("softmax"), raw("softmax", axis=1)),
    "Squeeze": given(
        1,
        unary(lambda x: ops.squeeze(x[:, :1], axis=1)),
        unary(lambda x: ops.squeeze(ops.swapaxes(x[:, :1], 1, 2), axis=-1)),
    ),
    "Stack": given(
        1,
        lambda a, b: ops.stack([a, b], axis=1),
        lambda a, b: ops.stack([a, b], axis=-2),
        lambda a, b: flat(ops.stack([a, b], axis=-1)),
    ),
    "Take": given(
        1,
        unary(lambda x: ops.take(x, [0, 3, 3], axis=1)),
        unary(lambda x: ops.take(x, [7, 3, 3, -2, 0], axis=-1)),
        unary(lambda x: ops.take(x, np.arange(8)[::-1], axis=-1)),
        unary(lambda x: flat(ops.take(ops.swapaxes(x, 1, 2), [5, 1, 7], axis=1))),
    ),
    "Tile": given(1, raw("tile", (1, 2, 1)), raw("tile", (1, 1, 2)), raw("tile", 2)),
}


def _conv(name, *kernels):
    kernels = [np.ones(shape, "float32") for shape in kernels]
    return given(1, unary(lambda x: getattr(ops, name)(x, *kernels)))


def lookup(x):
    """A table looked up by numbers made of channels."""
    return ops.take(np.ones((9, 2), "float32"), ops.cast(x * 8, "int32"), axis=0)


LOCKED = {
    "Conv": _conv("conv", (2, 8, 3)),
    "ConvTranspose": _conv("conv_transpose", (2, 3, 8)),
    "DepthwiseConv": _conv("depthwise_conv", (2, 8, 1)),
    "SeparableConv": _conv("separable_conv", (2, 8, 1), (1, 8, 3)),
    "BatchNorm": given(
        1,
        unary(
            lambda x: ops.batch_normalization(x, *np.array([CONSTANTS] * 2), axis=-1)
        ),
    ),
    "ArraySplit": given(1, unary(lambda x: ops.array_split(x, 3, axis=-1))),
    "Dot": given(0, lambda a, b: ops.dot(a, ops.transpose(b))),
    "Inner": given(0, lambda a, b: ops.inner(a, b)),
    "Kron": given(0, lambda a, b: ops.kron(a, np.ones((1, 2), "float32"))),
    "Matmul": given(1, unary(lambda x: x @ np.ones((8, 3), "float32"))),
    "Outer": given(0, lambda a, b: ops.outer(a, np.ones(2, "float32"))),
    "FFT": given(1, lambda a, b: ops.fft((a, b))[0]),
    "FFT2": given(1, lambda a, b: ops.fft2((a, b))[0]),
    "IFFT2": given(1, lambda a, b: ops.ifft2((a, b))[0]),
    "RFFT": given(1, unary(lambda x: ops.rfft(x)[0])),
    "IRFFT": given(1, lambda a, b: ops.irfft((a, b))),
    "STFT": given(1, unary(lambda x: ops.stft(x, 4, 2, 4)[0])),
    "ISTFT": given(1, lambda a, b: ops.expand_dims(ops.istft((a, b), 14, 2, 14), 1)),
    "ExtractSequences": given(1, unary(lambda x: ops.extract_sequences(x, 4, 2))),
    "Ravel": given(0, lambda a, b: ops.expand_dims(ops.ravel(a), 0)),
    "Tensordot": given(0, lambda a, b: ops.tensordot(a, np.ones((8, 2), "float32"), 1)),
    "Vdot": given(0, lambda a, b: ops.reshape(ops.vdot(a, b), (1, 1))),
    "Dot layer": given(1, lambda a, b: layers.Dot(2, normalize=True)([a, b])),
    "Permute": given(1, of_layer("Permute", (2, 1))),
    "Transpose": given(1, raw("transpose", (0, 2, 1))),
    "GetItem": given(1, unary(lambda x: x[..., ::2]), unary(lambda x: x[..., 3])),
    "Take": given(1, raw("take", [0, 2], axis=-1), unary(lookup)),
    "Stack": given(1, lambda a, b: ops.stack([a, b], axis=-1)),
    "ExpandDims": given(1, raw("expand_dims", -1)),
    "Squeeze": given(1, raw("squeeze")),
    "Pad": given(1, raw("pad", 1), raw("pad", [(0, 0), (1, 0), (0, 1)])),
    "Median": given(1, raw("median", axis=-1, keepdims=True)),
    "Repeat": given(1, raw("repeat", [1, 2] * 4, axis=-1)),
    "Clip": given(1, raw("clip", np.zeros(8, "float32"), 0.5)),
    "Rescaling": given(1, of_layer("Rescaling", np.ones((7, 1)))),
    "Normalization": given(
        1, of_layer("Normalization", axis=1, mean=[0.0] * 7, variance=[1.0] * 7)
    ),
    "EinsumDense": given(
        1,
        of_layer("EinsumDense", "abc,bd->adc", (5, 8)),
        of_layer("EinsumDense", "abc,c->abc", (7, 8)),
    ),
    "Embedding": given(
        0, unary(lambda x: layers.Embedding(9, 5)(ops.cast(x * 8, "int32")))
    ),
    "channels_first": given(2, of_layer("MaxPooling2D", data_format="channels_first")),
}
