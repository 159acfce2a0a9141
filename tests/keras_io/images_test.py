"""keras.io/examples/vision: convolutional networks and mixers that classify images."""

import keras
import pytest
import registry_builders as builders
from keras import layers, ops
from keras_io.checks import check_network, check_prune


def mnist_convnet():
    """vision/mnist_convnet: two convolutions, pooling, dropout, a dense softmax."""
    return keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def image_classification_from_scratch():
    """vision/image_classification_from_scratch: a small Xception with skips."""
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    skip = x
    for width in (12, 16):
        for _ in range(2):
            x = layers.SeparableConv2D(width, 3, padding="same")(
                layers.Activation("relu")(x)
            )
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        skip = layers.Conv2D(width, 1, strides=2, padding="same")(skip)
        x = skip = layers.add([x, skip])
    x = layers.SeparableConv2D(20, 3, padding="same")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(1, activation=None)(x))


def fine_tuned_efficientnet():
    """vision/image_classification_efficientnet_fine_tuning: a head on a backbone.

    The backbone is a nested model, here of inverted residuals.
    """
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    wide = layers.Conv2D(24, 1)(x)
    wide = layers.DepthwiseConv2D(3, padding="same")(layers.BatchNormalization()(wide))
    wide = layers.Activation("swish")(wide)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(wide)
    gate = layers.Conv2D(24, 1, activation="sigmoid")(layers.Conv2D(4, 1)(gate))
    backbone = keras.Model(
        image, layers.Add()([x, layers.Conv2D(8, 1)(layers.Multiply()([wide, gate]))])
    )
    inputs = keras.Input((16, 16, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(backbone(x))
    x = layers.Dropout(0.2, name="top_dropout")(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax", name="pred")(x))


def big_transfer():
    """vision/bit: a head that starts at zero on ResNetV2 with GroupNormalization."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(16, 7, strides=2, padding="same")(inputs)
    for _ in range(2):
        y = layers.Activation("relu")(layers.GroupNormalization(4)(x))
        y = layers.Conv2D(8, 1)(y)
        y = layers.Activation("relu")(layers.GroupNormalization(4)(y))
        x = x + layers.Conv2D(16, 3, padding="same")(y)
    x = layers.GlobalAveragePooling2D()(layers.Activation("relu")(x))
    return keras.Model(inputs, layers.Dense(5, kernel_initializer="ones")(x))


def conv_mixer():
    """vision/convmixer: patches by a convolution, depthwise with a skip, pointwise."""

    def activate(x):
        return layers.BatchNormalization()(layers.Activation("gelu")(x))

    inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(scale=1 / 255)(inputs)
    x = activate(layers.Conv2D(16, 2, strides=2)(x))
    for _ in range(2):
        mixed = activate(layers.DepthwiseConv2D(5, padding="same")(x))
        x = activate(layers.Conv2D(16, 1)(layers.Add()([mixed, x])))
    x = layers.GlobalAvgPool2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def patches(inputs, size, width):
    """Returns embedded patches, shape `(batch, number, width)`."""
    cut = ops.image.extract_patches(inputs, size)
    number = cut.shape[1] * cut.shape[2]
    return layers.Dense(width)(ops.reshape(cut, (-1, number, cut.shape[-1])))


def mlp_mixer():
    """vision/mlp_image_classification, MLP-Mixer: Permute around positions."""
    inputs = keras.Input((16, 16, 3))
    x = patches(inputs, 4, 12)
    for _ in range(2):
        y = layers.Permute((2, 1))(layers.LayerNormalization()(x))
        y = layers.Dense(20, activation="gelu")(y)
        y = layers.Permute((2, 1))(layers.Dense(16)(y))
        x = layers.Add()([x, y])
        y = layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dropout(0.2)(layers.Dense(12)(y))])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10)(layers.Dropout(0.2)(x)))


def f_net():
    """vision/mlp_image_classification, FNet: the real part of a Fourier transform."""
    inputs = keras.Input((16, 16, 3))
    x = patches(inputs, 4, 12)
    for _ in range(2):
        mixed = ops.fft2((x, ops.zeros_like(x)))[0]
        x = layers.LayerNormalization()(layers.Add()([x, mixed]))
        y = layers.Dense(12)(layers.Dense(24, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def g_mlp():
    """vision/mlp_image_classification, gMLP: half gates the other, over positions."""
    inputs = keras.Input((16, 16, 3))
    x = patches(inputs, 4, 12)
    for _ in range(2):
        y = layers.Dense(24, activation="gelu")(layers.LayerNormalization()(x))
        value, gate = ops.split(y, 2, axis=-1)
        gate = ops.transpose(layers.LayerNormalization()(gate), (0, 2, 1))
        gate = ops.transpose(layers.Dense(16, bias_initializer="ones")(gate), (0, 2, 1))
        x = layers.Add()([x, layers.Dense(12)(value * gate)])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def point_net():
    """vision/pointnet: 1D convolutions over points, a learned 3x3 transform."""

    def block(x, width, layer):
        x = layer(width, 1)(x) if layer is layers.Conv1D else layer(width)(x)
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.0)(x))

    inputs = keras.Input((32, 3))
    x = layers.GlobalMaxPooling1D()(block(inputs, 8, layers.Conv1D))
    x = layers.Dense(9, name="transform")(block(x, 8, layers.Dense))
    x = layers.Dot(axes=(2, 1))([inputs, layers.Reshape((3, 3))(x)])
    x = block(block(x, 8, layers.Conv1D), 16, layers.Conv1D)
    x = block(layers.GlobalMaxPooling1D()(x), 12, layers.Dense)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


class Involution(keras.layers.Layer):
    """A kernel for each position, computed from it, that all channels share."""

    def __init__(self, channels, **options):
        super().__init__(**options)
        self.channels = channels
        self.reduce = keras.Sequential(
            [layers.Conv2D(4, 1), layers.BatchNormalization(), layers.ReLU()]
        )
        self.span = layers.Conv2D(9, 1)

    def build(self, shape):
        self.reduce.build(shape)
        self.span.build((*shape[:-1], 4))
        self.built = True

    def call(self, x):
        kernel = ops.expand_dims(self.span(self.reduce(x)), axis=-1)
        height, width = x.shape[1:3]
        near = ops.image.extract_patches(x, 3, strides=1, padding="same")
        near = ops.reshape(near, (-1, height, width, 9, self.channels))
        return ops.sum(kernel * near, axis=3)

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


def involution():
    """vision/involution: three involutions in place of convolutions."""
    inputs = keras.Input((12, 12, 3))
    x = layers.ReLU()(Involution(3, name="first")(inputs))
    x = layers.MaxPooling2D()(x)
    x = layers.ReLU()(Involution(3, name="second")(x))
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(10)(x))


WHOLE = [
    mnist_convnet,
    image_classification_from_scratch,
    fine_tuned_efficientnet,
    big_transfer,
    conv_mixer,
    point_net,
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", WHOLE)
def test_all_but_the_outputs_are_removable(build):
    check_network(build())


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("build", "share", "reason"),
    [
        # A transform over positions and channels reads the residual stream.
        (f_net, 48 / 60, "FFT2"),
        # What a position computes is a kernel, whose taps are no channels.
        pytest.param(
            involution,
            24 / 42,
            "joins it with an axis of 9 entries that cannot be removed",
            marks=pytest.mark.skipif(
                not builders.strides_patches(),
                reason="this Keras cannot trace patches with strides",
            ),
        ),
    ],
)
def test_what_a_transform_reads_and_the_taps_of_a_kernel_are_kept(build, share, reason):
    check_network(build(), share, [reason])


@pytest.mark.sweep(1)
@pytest.mark.parametrize(("build", "share"), [(mlp_mixer, 100 / 132), (g_mlp, 36 / 68)])
def test_channels_come_back_from_a_mixing_of_positions(build, share):
    # What the mixing computes takes the place of positions, which are kept.
    check_network(build(), share, reasons=None)


@pytest.mark.parametrize(
    "build",
    [mnist_convnet, pytest.param(fine_tuned_efficientnet, marks=pytest.mark.slow)],
)
def test_prune_with_its_defaults(build):
    check_prune(build())
