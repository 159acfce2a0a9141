"""keras.io/examples/vision: an output for each pixel, box or key point."""

import keras
import pytest
from keras import layers, ops
from keras_io.checks import check_network, check_prune


def convolve(x, width, size=3, **options):
    """Returns what Conv2D, BatchNormalization and ReLU make of `x`."""
    x = layers.Conv2D(width, size, padding="same", use_bias=False, **options)(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def oxford_pets():
    """vision/oxford_pets_image_segmentation: an Xception-like U-Net of residuals."""
    inputs = keras.Input((32, 32, 3))
    x = skip = convolve(inputs, 8, strides=2)
    for width in (12, 16):
        for _ in range(2):
            x = layers.SeparableConv2D(width, 3, padding="same")(layers.ReLU()(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = skip = x + layers.Conv2D(width, 1, strides=2, padding="same")(skip)
    for width in (16, 12, 8):
        for _ in range(2):
            x = layers.Conv2DTranspose(width, 3, padding="same")(layers.ReLU()(x))
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        skip = layers.Conv2D(width, 1)(layers.UpSampling2D(2)(skip))
        x = skip = layers.add([x, skip])
    outputs = layers.Conv2D(3, 3, activation="softmax", padding="same")(x)
    return keras.Model(inputs, outputs)


def u_net():
    """The U-Net with concatenated skips of the segmentation guides."""
    inputs = keras.Input((16, 16, 3))
    x, skips = inputs, []
    for width in (8, 12):
        x = convolve(convolve(x, width), width)
        skips.append(x)
        x = layers.Dropout(0.3)(layers.MaxPool2D(2)(x))
    x = convolve(x, 16)
    for width, skip in zip((12, 8), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 3, 2, padding="same")(x)
        x = convolve(layers.concatenate([x, skip]), width)
    return keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax")(x))


def deeplab():
    """vision/deeplabv3_plus: dilated pyramid, pooled branch, low-level features."""
    inputs = keras.Input((32, 32, 3))
    low = convolve(convolve(inputs, 8, strides=2), 12, strides=2)
    x = convolve(low, 16, strides=2)
    pooled = layers.AveragePooling2D(pool_size=x.shape[1:3])(x)
    pooled = convolve(pooled, 12, 1)
    pooled = layers.UpSampling2D(x.shape[1:3], interpolation="bilinear")(pooled)
    parts = [
        convolve(x, 12, 3 if rate > 1 else 1, dilation_rate=rate) for rate in (1, 2, 3)
    ]
    x = convolve(layers.Concatenate()([pooled, *parts]), 12, 1)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = convolve(layers.Concatenate()([x, convolve(low, 6, 1)]), 12)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    return keras.Model(inputs, layers.Conv2D(4, 1, padding="same")(x))


def super_resolution():
    """vision/super_resolution_sub_pixel: channels become pixels (ESPCN)."""
    options = {"activation": "relu", "padding": "same"}
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(16, 5, **options)(inputs)
    x = layers.Conv2D(12, 3, **options)(layers.Conv2D(16, 3, **options)(x))
    x = layers.Conv2D(9, 3, padding="same", name="pixels")(x)
    x = layers.Reshape((12, 12, 3, 3))(x)
    x = layers.Reshape((36, 36, 1))(layers.Permute((1, 3, 2, 4))(x))
    return keras.Model(inputs, x)


def enhanced_super_resolution():
    """vision/edsr: residual blocks between shifts of the colors, no normalization."""
    inputs = keras.Input((12, 12, 3))
    x = start = layers.Conv2D(12, 3, padding="same")(layers.Rescaling(1 / 255)(inputs))
    for _ in range(2):
        y = layers.Conv2D(12, 3, padding="same", activation="relu")(x)
        x = layers.Add()([x, layers.Conv2D(12, 3, padding="same")(y)])
    x = layers.Add()([start, layers.Conv2D(12, 3, padding="same")(x)])
    x = layers.Conv2D(16, 3, padding="same")(layers.UpSampling2D(2)(x))
    x = layers.Conv2D(3, 3, padding="same")(x)
    return keras.Model(inputs, layers.Rescaling(255)(x))


def zero_dce():
    """vision/zero_dce: curves of an image, learned by convolutions with long skips."""
    options = {"activation": "relu", "padding": "same"}
    inputs = keras.Input((16, 16, 3))
    first = layers.Conv2D(8, 3, **options)(inputs)
    second = layers.Conv2D(8, 3, **options)(first)
    third = layers.Conv2D(8, 3, **options)(second)
    x = layers.Concatenate()([layers.Conv2D(8, 3, **options)(third), third])
    x = layers.Concatenate()([layers.Conv2D(8, 3, **options)(x), second])
    x = layers.Concatenate()([layers.Conv2D(8, 3, **options)(x), first])
    curves = layers.Conv2D(6, 3, activation="tanh", padding="same", name="curves")(x)
    image = inputs
    for start in (0, 3):
        image = image + curves[..., start : start + 3] * (ops.square(image) - image)
    return keras.Model(inputs, image)


def mir_net():
    """vision/mirnet: two resolutions that select kernels of each other."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same")(inputs)
    top = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    small = layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D()(x))
    small = layers.UpSampling2D()(small)
    both = layers.GlobalAveragePooling2D(keepdims=True)(layers.Add()([top, small]))
    both = layers.Conv2D(4, 1, activation="relu")(both)
    selected = [
        part * layers.Conv2D(8, 1, activation="softmax", name=name)(both)
        for part, name in ((top, "select_top"), (small, "select_small"))
    ]
    y = layers.Add()(selected)
    spatial = ops.concatenate(
        [ops.mean(y, -1, keepdims=True), ops.max(y, -1, keepdims=True)], axis=-1
    )
    spatial = layers.Conv2D(1, 1, activation="sigmoid", name="spatial")(spatial)
    x = layers.Add()([x, layers.Conv2D(8, 1)(y * spatial)])
    outputs = layers.Conv2D(3, 3, padding="same")(x)
    return keras.Model(inputs, layers.Add()([inputs, outputs]))


def autoencoder():
    """vision/autoencoder: strides down, transposed convolutions up."""
    inputs = keras.Input((16, 16, 1))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Conv2D(12, 3, activation="relu", padding="same")(x)
    x = layers.MaxPooling2D(2, padding="same")(x)
    for width in (12, 8):
        x = layers.Conv2DTranspose(width, 3, 2, activation="relu", padding="same")(x)
    return keras.Model(
        inputs, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x)
    )


def retina_net():
    """vision/retinanet: a feature pyramid, heads that all its levels share."""
    inputs = keras.Input((32, 32, 3))
    third = convolve(convolve(inputs, 8, strides=2), 12, strides=2)
    fourth = convolve(third, 16, strides=2)
    upper = layers.Conv2D(10, 1)(fourth)
    lower = layers.Conv2D(10, 1)(third) + layers.UpSampling2D(2)(upper)
    levels = [layers.Conv2D(10, 3, padding="same")(x) for x in (lower, upper)]
    levels.append(layers.Conv2D(10, 3, 2, padding="same")(ops.relu(levels[-1])))
    outputs = []
    for width, name in ((6, "classes"), (8, "boxes")):
        head = keras.Sequential(name=name)
        head.add(keras.Input((None, None, 10)))
        for _ in range(2):
            head.add(layers.Conv2D(10, 3, padding="same"))
            head.add(layers.ReLU())
        head.add(layers.Conv2D(width, 3, padding="same"))
        parts = [layers.Reshape((-1, width // 2))(head(x)) for x in levels]
        outputs.append(layers.Concatenate(axis=1)(parts))
    return keras.Model(inputs, layers.Concatenate(axis=-1)(outputs))


def key_points():
    """vision/keypoint_detection: separable convolutions on a backbone, 1x1 maps."""
    inputs = keras.Input((16, 16, 3))
    x = convolve(convolve(inputs, 8, strides=2), 12)
    x = layers.Dropout(0.3)(x)
    x = layers.SeparableConv2D(10, 5, strides=1, activation="relu")(x)
    x = layers.SeparableConv2D(6, 4, strides=1, activation="sigmoid")(x)
    return keras.Model(inputs, x)


def grad_cam():
    """vision/grad_cam: the last convolution and the predictions, for a heat map."""
    inputs = keras.Input((16, 16, 3))
    x = convolve(inputs, 8, strides=2)
    last = layers.Conv2D(12, 3, activation="relu", name="last_conv")(x)
    x = layers.Dense(5)(layers.GlobalAveragePooling2D()(last))
    return keras.Model(inputs, [last, x])


def bas_net():
    """vision/basnet_segmentation: side outputs at several scales, refined."""
    inputs = keras.Input((16, 16, 3))
    first = convolve(inputs, 8)
    second = convolve(layers.MaxPool2D()(first), 12)
    x = convolve(convolve(second, 12, dilation_rate=2), 12)
    coarse = layers.UpSampling2D(2)(layers.Conv2D(1, 3, padding="same")(x))
    x = convolve(ops.concatenate([layers.UpSampling2D(2)(x), first], axis=-1), 8)
    fine = layers.Conv2D(1, 3, padding="same")(x)
    refined = fine + layers.Conv2D(1, 3, padding="same")(convolve(fine, 8))
    return keras.Model(inputs, [ops.sigmoid(x) for x in (coarse, fine, refined)])


WHOLE = [
    oxford_pets,
    u_net,
    deeplab,
    enhanced_super_resolution,
    zero_dce,
    autoencoder,
    retina_net,
    key_points,
    grad_cam,
    bas_net,
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", WHOLE)
def test_all_but_the_outputs_are_removable(build):
    check_network(build())


def test_channels_that_become_pixels_are_outputs():
    check_network(super_resolution())


def test_a_softmax_over_channels_and_a_map_of_one_channel_are_kept():
    reasons = ["softmax is not elementwise", "broadcasts it"]
    check_network(mir_net(), 12 / 21, reasons)


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "build", [autoencoder, key_points, pytest.param(u_net, marks=pytest.mark.slow)]
)
def test_prune_with_its_defaults(build):
    check_prune(build())
