"""Networks with data_format="channels_first", of the kinds that people write."""

import keras
from keras import layers, ops

FIRST = {"data_format": "channels_first"}


def _block(x, filters, strides=1, name=None):
    options = {"padding": "same", "use_bias": False, "name": name}
    x = layers.Conv2D(filters, 3, strides=strides, **options, **FIRST)(x)
    return layers.ReLU()(layers.BatchNormalization(axis=1)(x))


def residual():
    """A ResNet: a projection, sums, global pooling."""
    inputs = keras.Input((3, 12, 10), name="image")
    x = _block(inputs, 8, name="stem")
    for filters in (8, 12):
        y = _block(x, filters, 2, name=f"in{filters}")
        y = layers.Conv2D(filters, 3, padding="same", name=f"out{filters}", **FIRST)(y)
        y = layers.BatchNormalization(axis=1)(y)
        x = layers.Conv2D(filters, 1, strides=2, name=f"skip{filters}", **FIRST)(x)
        x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D(**FIRST)(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="residual")


def mobile():
    """Inverted residuals: depthwise, relu6, squeeze and excitation by reshaping."""
    inputs = keras.Input((3, 12, 10), name="image")
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), **FIRST)(inputs)
    x = layers.Conv2D(8, 3, strides=2, name="stem", **FIRST)(x)
    for number in (1, 2):
        y = layers.Conv2D(16, 1, use_bias=False, name=f"expand{number}", **FIRST)(x)
        y = layers.ReLU(6.0)(layers.BatchNormalization(axis=1)(y))
        y = layers.DepthwiseConv2D(3, padding="same", name=f"deep{number}", **FIRST)(y)
        y = layers.LeakyReLU()(layers.BatchNormalization(axis=1)(y))
        s = layers.GlobalAveragePooling2D(**FIRST)(y)
        s = layers.Reshape((16, 1, 1))(s)
        s = layers.Conv2D(4, 1, activation="relu", name=f"squeeze{number}", **FIRST)(s)
        s = layers.Conv2D(16, 1, name=f"excite{number}", **FIRST)(s)
        y = layers.Multiply()([y, layers.Activation("sigmoid")(s)])
        y = layers.Conv2D(8, 1, use_bias=False, name=f"project{number}", **FIRST)(y)
        x = layers.Dropout(0.1)(layers.BatchNormalization(axis=1)(y)) + x
    x = layers.GlobalMaxPooling2D(**FIRST)(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="mobile")


def u_net():
    """An encoder and a decoder; the output is an image, channels first."""
    inputs = keras.Input((3, 16, 8), name="image")
    one = _block(inputs, 6, name="down1")
    two = _block(layers.MaxPooling2D(2, **FIRST)(one), 8, name="down2")
    x = _block(layers.AveragePooling2D(2, **FIRST)(two), 10, name="bottom")
    x = layers.Conv2DTranspose(8, 2, strides=2, name="up2", **FIRST)(x)
    x = _block(layers.Concatenate(axis=1)([two, x]), 8, name="merge2")
    x = layers.UpSampling2D(2, interpolation="bilinear", **FIRST)(x)
    x = layers.concatenate([one, x], axis=1)
    x = layers.PReLU(shared_axes=[2, 3])(layers.Conv2D(6, 1, name="last", **FIRST)(x))
    x = layers.SeparableConv2D(6, 3, padding="same", name="separable", **FIRST)(x)
    x = layers.Conv2D(2, 1, activation="sigmoid", name="mask", **FIRST)(x)
    return keras.Model(inputs, x, name="u_net")


def vgg():
    """A Sequential model with a `Flatten` before its dense layers."""
    steps = [
        layers.Conv2D(8, 3, activation="relu", padding="same", name="one", **FIRST),
        layers.MaxPooling2D(**FIRST),
        layers.Conv2D(6, 3, activation="gelu", name="two", **FIRST),
        layers.PReLU(),
        layers.SpatialDropout2D(0.1, **FIRST),
        layers.Flatten(),
        layers.BatchNormalization(),
        layers.Dropout(0.1),
        layers.Dense(12, activation="relu", name="hidden"),
        layers.Dense(4, activation="softmax", name="classes"),
    ]
    return keras.Sequential([keras.Input((3, 12, 10)), *steps], name="vgg")


def series():
    """Convolutions along time, channels first."""
    inputs = keras.Input((3, 24), name="series")
    x = layers.Conv1D(8, 3, padding="same", name="one", **FIRST)(inputs)
    x = layers.ReLU()(layers.GroupNormalization(2, axis=1)(x))
    x = layers.MaxPooling1D(2, **FIRST)(x)
    x = layers.DepthwiseConv1D(3, depth_multiplier=2, name="deep", **FIRST)(x)
    x = layers.Conv1D(8, 3, strides=2, activation="elu", name="two", **FIRST)(x)
    x = layers.LayerNormalization(axis=1)(x)
    x = layers.Conv1DTranspose(6, 3, strides=2, name="up", **FIRST)(x)
    x = layers.GlobalAveragePooling1D(**FIRST)(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="series")


def volume():
    """Convolutions in three dimensions."""
    inputs = keras.Input((2, 8, 6, 8), name="volume")
    x = layers.Conv3D(6, 3, padding="same", activation="relu", name="one", **FIRST)(
        inputs
    )
    x = layers.ReLU()(layers.BatchNormalization(axis=1)(x))
    x = layers.MaxPooling3D(2, **FIRST)(x)
    x = layers.Conv3DTranspose(6, 2, strides=2, name="up", **FIRST)(x)
    x = layers.Cropping3D(1, **FIRST)(x)
    x = layers.Conv3D(8, 3, activation="silu", name="two", **FIRST)(x)
    x = layers.Flatten(**FIRST)(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="volume")


def raw():
    """Raw operations: reductions, transpositions, reshapings, subscripts."""
    inputs = keras.Input((10, 12, 3), name="image")
    x = ops.transpose(inputs, (0, 3, 1, 2)) * 2.0 - 1.0
    x = ops.relu(layers.Conv2D(8, 3, padding="same", name="one", **FIRST)(x))
    s = ops.mean(x, axis=(2, 3), keepdims=True)
    s = layers.Conv2D(8, 1, name="gate", **FIRST)(s)
    x = x * ops.sigmoid(s)
    a = layers.Conv2D(6, 3, padding="same", name="left", **FIRST)(x)
    b = layers.Conv2D(4, 3, padding="same", name="right", **FIRST)(x)
    x = ops.concatenate([ops.silu(a), ops.tanh(b)], axis=1)
    x = ops.max_pool(x, 2, data_format="channels_first")
    x = layers.Conv2D(8, 3, name="two", **FIRST)(x)
    x = x - ops.mean(x, axis=(2, 3))[:, :, None, None]
    x = x[:, :, 1:, :-1]
    s = layers.Dense(8, activation="sigmoid", name="scale")(ops.mean(x, (2, 3)))
    x = x * ops.expand_dims(ops.expand_dims(s, -1), -1)
    x = ops.max(ops.reshape(x, (-1, 8, 6)), axis=-1)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="raw")


def mixed():
    """A part channels_last, `Permute`s between, several inputs and outputs."""
    image = keras.Input((10, 12, 3), name="image")
    other = keras.Input((5,), name="other")
    x = layers.Conv2D(8, 3, padding="same", name="last", data_format="channels_last")(
        image
    )
    x = layers.Permute((3, 1, 2), name="to_first")(x)
    x = layers.BatchNormalization(axis=1)(x)
    x = layers.Conv2D(8, 3, activation="relu", name="first", **FIRST)(x)
    heat = layers.Conv2D(2, 1, name="heat", **FIRST)(x)
    x = layers.Permute((2, 3, 1), name="to_last")(x)
    x = layers.Dense(6, activation="relu", name="each")(x)
    x = layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    x = layers.Concatenate()([x, layers.Dense(4, name="side")(other)])
    classes = layers.Dense(4, name="classes")(x)
    outputs = {"heat": heat, "classes": classes}
    return keras.Model({"image": image, "other": other}, outputs, name="mixed")


def siamese():
    """One nested network, called twice, and a head that is a Sequential model."""
    inner = keras.Input((3, 10, 8))
    x = layers.Conv2D(6, 3, activation="relu", name="one", **FIRST)(inner)
    x = layers.BatchNormalization(axis=1, name="norm")(x)
    features = keras.Model(inner, x, name="features")
    left, right = keras.Input((3, 10, 8), name="a"), keras.Input((3, 10, 8), name="b")
    x = layers.Subtract()([features(left), features(right)])
    shared = layers.Conv2D(6, 3, padding="same", name="shared", **FIRST)
    x = ops.relu(shared(ops.relu(shared(x))))
    head = [layers.Flatten(), layers.Dense(8, name="hidden"), layers.ReLU()]
    x = keras.Sequential([keras.Input(x.shape[1:]), *head], name="head")(x)
    return keras.Model([left, right], layers.Dense(2, name="same")(x), name="siamese")


def generator():
    """Neurons that become an image, as in a GAN."""
    inputs = keras.Input((10,), name="noise")
    x = layers.Dense(6 * 4 * 3, use_bias=False, name="first")(inputs)
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    x = layers.Reshape((6, 4, 3))(x)
    x = layers.Conv2DTranspose(8, 4, strides=2, name="up1", **FIRST)(x)
    x = layers.LeakyReLU()(layers.BatchNormalization(axis=1)(x))
    x = layers.Conv2DTranspose(6, 4, strides=2, name="up2", **FIRST)(x)
    x = layers.Conv2D(3, 3, activation="tanh", name="image", **FIRST)(layers.ReLU()(x))
    return keras.Model(inputs, x, name="generator")


def two_flattened():
    """Two flattened branches side by side, and an output that is one of them."""
    inputs = keras.Input((3, 10, 8), name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="one", **FIRST)(inputs)
    a = layers.Flatten()(layers.Conv2D(4, 3, name="two", **FIRST)(x))
    b = layers.Flatten()(layers.MaxPooling2D(2, **FIRST)(x))
    x = layers.Dense(8, activation="relu", name="hidden")(layers.Concatenate()([a, b]))
    outputs = [layers.Dense(3, name="classes")(x), layers.Dropout(0.5)(b)]
    return keras.Model(inputs, outputs, name="two_flattened")


def transformer():
    """Patches of an image become tokens."""
    inputs = keras.Input((3, 16, 12), name="image")
    x = layers.Conv2D(8, 4, strides=4, name="patches", **FIRST)(inputs)
    x = layers.Permute((2, 1))(layers.Reshape((8, 12))(x))
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 4, name="attention")(y, y)
    y = layers.Dense(10, activation="gelu", name="wide")(layers.LayerNormalization()(x))
    x = x + layers.Dense(8, name="narrow")(y)
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="transformer")


def next_generation():
    """A ConvNeXt block, between two `Permute`s; axes counted from the end."""
    inputs = keras.Input((3, 8, 6), name="image")
    x = layers.Conv2D(6, 3, padding="same", name="stem", **FIRST)(inputs)
    y = layers.DepthwiseConv2D(3, padding="same", name="deep", **FIRST)(x)
    y = layers.LayerNormalization()(layers.Permute((2, 3, 1))(y))
    y = layers.Dense(12, activation="gelu", name="wide")(y)
    y = layers.Permute((3, 1, 2))(layers.Dense(6, name="narrow")(y))
    y = layers.Dropout(0.1, noise_shape=(None, 1, 1, 1))(y)
    x = layers.BatchNormalization(axis=-3)(layers.Add()([x, y]))
    x = layers.Concatenate(axis=-3)([x, ops.relu(x)])
    s = layers.GlobalAveragePooling2D(keepdims=True, **FIRST)(x)
    x = layers.Conv2D(5, 1, name="last", **FIRST)(layers.Multiply()([x, s]))
    x = layers.GlobalMaxPooling2D(**FIRST)(x)
    return keras.Model(
        inputs, layers.Dense(4, name="classes")(x), name="next_generation"
    )


def frames():
    """Layers at every time step; two wrappers around one another."""
    inputs = keras.Input((4, 3, 12, 10), name="frames")
    each = layers.TimeDistributed
    x = each(layers.Conv2D(10, 3, padding="same", **FIRST), name="one")(inputs)
    x = each(layers.ReLU())(each(layers.BatchNormalization(axis=1))(x))
    x = each(layers.MaxPooling2D(2, **FIRST))(x)
    x = layers.Reshape((2, 2, 10, 6, 5))(x)
    x = each(each(layers.Conv2D(6, 3, activation="relu", **FIRST)), name="two")(x)
    x = each(each(layers.Permute((1, 3, 2))))(x)
    x = layers.Reshape((4, 6, 3, 4))(x)
    x = each(layers.Flatten())(x)
    x = layers.LSTM(5, name="series")(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="frames")


def clips():
    """A model at every time step, which is called on a single image too."""
    inner = keras.Input((3, 10, 8), name="frame")
    x = _block(inner, 6, name="one")
    x = layers.Flatten()(layers.Conv2D(4, 3, strides=2, name="two", **FIRST)(x))
    model = keras.Model(inner, x, name="frame")
    clip, image = keras.Input((4, 3, 10, 8), name="a"), keras.Input((3, 10, 8))
    x = layers.GRU(5, name="series")(layers.TimeDistributed(model, name="each")(clip))
    y = layers.TimeDistributed(model, name="again")(ops.flip(clip, axis=1))
    y = layers.GlobalMaxPooling1D()(layers.Normalization(mean=0.1, variance=2.0)(y))
    x = layers.Concatenate()([x, y, model(image)])
    outputs = layers.Dense(4, name="classes")(x)
    return keras.Model([clip, image], outputs, name="clips")


def two_directions():
    """Convolutional LSTMs forwards and backwards; side by side along the width."""
    inputs = keras.Input((4, 3, 8, 6), name="frames")

    def both(filters, mode, name, **options):
        options = {"padding": "same", "return_sequences": True, **options, **FIRST}
        layer = layers.ConvLSTM2D(filters, 3, **options)
        return layers.Bidirectional(layer, merge_mode=mode, name=name)

    x = both(4, "concat", "one")(inputs)
    x = both(5, "sum", "two")(x)
    a, b = both(4, None, "three")(x)
    x = both(4, "concat", "four", return_sequences=False)(layers.Subtract()([a, b]))
    x = layers.GlobalMaxPooling2D(**FIRST)(x)
    return keras.Model(inputs, layers.Dense(4, name="classes")(x), name="directions")


BUILDERS = [
    frames,
    clips,
    two_directions,
    transformer,
    next_generation,
    residual,
    mobile,
    u_net,
    vgg,
    series,
    volume,
    raw,
    mixed,
    siamese,
    generator,
    two_flattened,
]
