"""Builders of small models: one for each way in which channels can travel."""

import keras
import numpy as np
from keras import layers


def chain():
    """Conv-BN-ReLU twice, pooling, Flatten, Dense: a Sequential model."""
    return keras.Sequential(
        [
            keras.Input((12, 12, 3), name="image"),
            layers.ZeroPadding2D(1),
            layers.Conv2D(8, 3, use_bias=False, name="conv1"),
            layers.BatchNormalization(name="bn1"),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 3, activation="sigmoid", name="conv2"),
            layers.Dropout(0.3),
            layers.Cropping2D(1),
            layers.Flatten(),
            layers.Dense(10, activation="tanh", name="dense1"),
            layers.Dense(4, activation="softmax", name="dense2"),
        ],
        name="chain",
    )


def residual():
    """Two residual blocks, one with a projection; joins by layer and by operator."""
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.Activation("relu")(x)
    y = layers.Conv2D(6, 3, padding="same", activation="relu", name="inner1")(x)
    y = layers.Conv2D(8, 3, padding="same", name="outer1")(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    y = layers.Conv2D(6, 3, strides=2, padding="same", name="inner2")(x)
    y = layers.BatchNormalization()(layers.LeakyReLU()(y))
    y = layers.Conv2D(10, 3, padding="same", name="outer2")(y)
    x = layers.Conv2D(10, 1, strides=2, name="projection")(x) + y
    x = layers.GlobalAveragePooling2D()(keras.ops.relu(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="residual")


def branches():
    """Concatenation, squeeze-and-excite by Multiply, average of two branches."""
    inputs = keras.Input((10, 10, 3), name="image")
    a = layers.Conv2D(6, 3, padding="same", activation="relu", name="a")(inputs)
    b = layers.Conv2D(4, 5, padding="same", activation="gelu", name="b")(inputs)
    x = layers.Concatenate()([a, inputs, b])
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(8, 1, activation="swish", name="mixed")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(3, 1, activation="relu", name="squeeze")(gate)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply()([x, gate])
    x = layers.Average()([x, layers.Conv2D(8, 1, name="side")(a)])
    x = layers.Flatten()(layers.AveragePooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="branches")


def depthwise():
    """Depthwise with a multiplier, separable, PReLU; raw concatenate and mean."""
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(5, 3, name="conv")(inputs)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(x)
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer="uniform")(x)
    y = layers.SeparableConv2D(
        7, 3, depth_multiplier=2, padding="same", activation="relu", name="separable"
    )(x)
    x = keras.ops.concatenate([x, y], axis=-1) * 0.5
    x = layers.DepthwiseConv2D(3, use_bias=False, name="last")(x)
    x = keras.ops.mean(x, axis=[1, 2])
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="depthwise")


def autoencoder():
    """Dense, Reshape, Conv2DTranspose, UpSampling2D: channels through a reshape."""
    inputs = keras.Input((8, 8, 2), name="image")
    x = layers.Conv2D(6, 3, strides=2, padding="same", name="encode")(inputs)
    x = layers.Dense(9, activation="elu", name="code")(layers.Flatten()(x))
    x = layers.Dense(2 * 2 * 5, activation="relu", name="decode")(x)
    x = layers.Reshape((2, 2, 5))(x)
    x = layers.Conv2DTranspose(7, 3, strides=2, padding="same", name="up1")(x)
    x = layers.UpSampling2D()(layers.SpatialDropout2D(0.1)(x))
    x = layers.Reshape((64, -1))(x)
    x = layers.Dense(2, name="pixels")(x)
    outputs = layers.Reshape((8, 8, 2))(x)
    return keras.Model(inputs, outputs, name="autoencoder")


def shared():
    """The same convolution and normalization called twice."""
    inputs = keras.Input((10, 10, 3), name="image")
    stem = layers.Conv2D(6, 3, padding="same", activation="relu", name="stem")
    conv = layers.Conv2D(6, 3, padding="same", name="conv")
    norm = layers.BatchNormalization(name="norm")
    x = stem(inputs)
    y = layers.Maximum()([norm(conv(x)), x])
    y = keras.ops.maximum(norm(conv(y)), 0.1)
    side = layers.Conv2D(4, 1, name="side")(stem(inputs))
    z = layers.Subtract()([layers.Conv2D(4, 1, name="tail")(y), side])
    x = layers.GlobalMaxPooling2D()(z)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="shared")


def locked():
    """Layers that must lock what they touch, between layers that can be pruned."""
    inputs = keras.Input((10, 10, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="free1")(inputs)
    x = layers.Conv2D(8, 3, padding="same", name="normalized")(x)
    x = layers.LayerNormalization(name="layer_norm")(x)
    x = layers.Conv2D(8, 3, padding="same", activation="softmax", name="softmaxed")(x)
    x = layers.Conv2D(8, 3, padding="same", name="into_groups")(x)
    x = layers.Conv2D(8, 3, padding="same", groups=2, name="grouped")(x)
    x = layers.Conv2D(8, 3, padding="same", name="free2")(x)
    x = layers.Conv2D(8, 3, padding="same", name="odd_axis")(x)
    x = layers.BatchNormalization(axis=1, name="row_norm")(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", name="attention")(x) * x
    x = layers.Dense(6, activation=lambda t: t / (1 + t**2), name="custom")(x)
    x = layers.Lambda(lambda t: 2 * t, name="double")(x[:, 1:])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="locked")


BUILDERS = (chain, residual, branches, depthwise, autoencoder, shared, locked)


def randomize(model, seed=0):
    """Gives every weight a random value, BN statistics too: nothing is trivial."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        value = generator.normal(size=weight.shape)
        if weight.name in ("moving_variance", "gamma"):
            value = generator.uniform(0.5, 1.5, size=weight.shape)
        elif weight.name in ("kernel", "depthwise_kernel", "pointwise_kernel"):
            value *= np.sqrt(2 / np.prod(weight.shape[:-1]))
        else:
            value *= 0.3
        weight.assign(value)
    return model


def build(builder, seed=0):
    """Returns a model of `BUILDERS` with random weights."""
    keras.utils.set_random_seed(seed)
    return randomize(builder(), seed)


def images(model, num_examples=4, seed=0):
    """Returns random inputs for a model."""
    shape = model.inputs[0].shape[1:]
    generator = np.random.default_rng(seed)
    return generator.normal(size=(num_examples, *shape)).astype("float32")
