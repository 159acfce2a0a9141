"""Models with channels that nothing reads, wholly or in part."""

import keras
from keras import layers, ops


def _classify(inputs, x):
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x))


def sliced():
    """The first channels of a convolution are left out."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, activation="relu", name="one")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(6, 3, activation="relu", name="two")(x[..., 3:])
    return _classify(inputs, x)


def split():
    """Half of a split is used nowhere, in a stream that two layers add to."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", name="one")(inputs)
    x = x + layers.Conv2D(8, 3, padding="same", name="two")(inputs)
    x, _ = ops.split(ops.relu(x), 2, axis=-1)
    return _classify(inputs, layers.Conv2D(6, 3, name="three")(x))


def normalized():
    """Channels that are left out once they have been normalized with the others."""
    inputs = keras.Input((8, 8, 3))
    x = layers.LayerNormalization()(layers.Conv2D(8, 3, name="one")(inputs))
    return _classify(inputs, layers.Conv2D(6, 3, name="two")(x[..., 3:]))


def read_elsewhere():
    """Channels that one reader leaves out, and another one reads."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="one")(inputs)
    x = x + layers.Conv2D(8, 3, padding="same", name="two")(x)
    return _classify(inputs, x[..., :5])


def unused_end():
    """A nested model, one of whose outputs is used nowhere."""
    inner = keras.Input((8, 8, 3))
    a = layers.Conv2D(8, 3, activation="relu", name="a")(inner)
    b = layers.Conv2D(7, 3, activation="relu", name="b")(a)
    b = layers.Conv2D(5, 3, name="end")(b)
    model = keras.Model(inner, [a, b], name="inner")
    inputs = keras.Input((8, 8, 3))
    x, _ = model(inputs)
    return _classify(inputs, layers.Conv2D(6, 3, activation="relu", name="last")(x))


def first_token():
    """Of tokens only the first is read, and of its channels not all."""
    inputs = keras.Input((6, 8))
    x = layers.Dense(8, name="embed")(inputs)
    y = layers.MultiHeadAttention(2, 4, name="attention")(x[:, :1], x)
    x = x[:, :1] + layers.Dense(8, name="mlp")(layers.Dense(7, "relu", name="in")(y))
    x = layers.Dense(9, name="wide")(x)
    return keras.Model(inputs, layers.Dense(3, name="classes")(x[:, 0, 2:]))


def nothing_else():
    """A model in which all that can be removed is read by nothing."""
    inputs = keras.Input((8,))
    x = layers.Dense(6, name="wide")(inputs)
    return keras.Model(inputs, ops.concatenate([x[:, :2], inputs], axis=-1))


UNREAD = {  # builder -> units that nothing reads, by group
    sliced: {"one": 3},
    split: {"one#2": 4},
    unused_end: {"inner/end": 5},
    first_token: {"wide": 2},
    nothing_else: {"wide": 4},
}
PARTLY = [normalized, read_elsewhere]
