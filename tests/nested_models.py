"""Builders of models that hold other models, in every way they can."""

import keras
from keras import layers


def backbone(width=6, name="backbone", channels=3):
    """A small residual network without a head, of a functional model."""
    inputs = keras.Input((8, 8, channels), name="image")
    x = layers.Conv2D(width, 3, padding="same", name="conv")(inputs)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(x))
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="inner")(x)
    x = x + layers.Conv2D(width, 3, padding="same", name="outer")(y)
    return keras.Model(inputs, layers.ReLU(name="last")(x), name=name)


def transfer():
    """A Sequential of a backbone and a head, as in transfer learning."""
    return keras.Sequential(
        [
            backbone(),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(5, activation="relu", name="hidden"),
            layers.Dense(3, name="logits"),
        ],
        name="transfer",
    )


def frozen_transfer():
    """A frozen backbone that is called with `training=False`."""
    base = backbone()
    base.trainable = False
    inputs = keras.Input((8, 8, 3), name="photo")
    x = base(layers.Rescaling(2.0)(inputs), training=False)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    outputs = layers.Dense(3, name="logits")(x)
    return keras.Model(inputs, outputs, name="frozen_transfer")


def in_the_middle():
    """Channels enter and leave a nested Sequential; three levels, names repeat."""
    innermost = keras.Sequential(
        [layers.Conv2D(4, 3, padding="same", name="conv"), layers.ReLU(name="relu")],
        name="block",
    )
    middle = keras.Sequential(
        [
            layers.BatchNormalization(name="norm"),
            layers.Conv2D(5, 1, activation="relu", name="conv"),
            innermost,
        ],
        name="block",
    )
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, name="conv")(inputs)
    x = layers.Conv2D(7, 1, activation="relu", name="after")(middle(x))
    x = layers.Flatten()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="in_the_middle")


def siamese():
    """A nested model that is called twice, on inputs and on channels that can go."""
    encoder = backbone(name="encoder")
    head = keras.Sequential(
        [keras.Input((8, 8, 6)), layers.MaxPooling2D(name="pool"), layers.Flatten()],
        name="head",
    )
    left, right = (keras.Input((8, 8, 3), name=name) for name in ("left", "right"))
    x, y = (head(encoder(image)) for image in (left, right))
    x = layers.Concatenate()([x, y, keras.ops.abs(x - y)])
    x = layers.Dense(5, activation="relu", name="hidden")(x)
    return keras.Model([left, right], layers.Dense(2, name="logits")(x), name="siamese")


def shared_without_weights():
    """A nested model of no weights, called on two different convolutions."""
    pool = keras.Sequential(
        [keras.Input((8, 8, 6)), layers.ReLU(), layers.GlobalMaxPooling2D()],
        name="pool",
    )
    inputs = keras.Input((8, 8, 3), name="image")
    left = layers.Conv2D(6, 3, padding="same", name="left")(inputs)
    right = layers.Conv2D(6, 5, padding="same", name="right")(inputs)
    x, y = (layers.Dense(4, name=n)(pool(z)) for n, z in (("a", left), ("b", right)))
    outputs = layers.Dense(3, name="logits")(keras.ops.concatenate([x, y], axis=-1))
    return keras.Model(inputs, outputs, name="shared_without_weights")


def many_ends():
    """A nested model with a dict of inputs and of outputs, one of them unused."""
    image = keras.Input((8, 8, 4), name="image")
    gate = keras.Input((4,), name="gate")
    x = layers.Multiply(name="gated")([image, layers.Reshape((1, 1, 4))(gate)])
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(x)
    ends = {
        "features": layers.Dense(5, activation="relu", name="features")(
            layers.GlobalAveragePooling2D(name="pool")(x)
        ),
        "gate": gate,
        "auxiliary": layers.Conv2D(7, 1, name="auxiliary")(x),
    }
    inner = keras.Model({"image": image, "gate": gate}, ends, name="inner")
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 1, name="stem")(inputs)
    y = layers.Dense(4, activation="sigmoid", name="squeeze")(
        layers.GlobalAveragePooling2D(name="pool")(x)
    )
    found = inner({"image": x, "gate": y})
    x = layers.Concatenate()([found["features"], found["gate"]])
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="many_ends")


def shared_layer():
    """A convolution that two nested models and the outer one share."""
    conv = layers.Conv2D(4, 3, padding="same", name="conv")
    parts = [
        keras.Sequential([keras.Input((8, 8, 4)), conv, layers.ReLU()], name=name)
        for name in ("one", "two")
    ]
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 1, name="stem")(inputs)
    x = layers.Conv2D(5, 1, name="mixed")(parts[1](conv(parts[0](x))))
    outputs = layers.Dense(3, name="logits")(layers.Flatten()(x))
    return keras.Model(inputs, outputs, name="shared_layer")


def half_precision_around():
    """A float32 model within layers of half precision: it casts what it reads."""
    base = keras.Sequential(
        [
            keras.Input((8, 8, 4), dtype="float32"),
            layers.ReLU(name="relu"),
            layers.Conv2D(5, 3, name="conv"),
        ],
        name="base",
    )
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(4, 1, dtype="mixed_bfloat16", name="stem")(inputs)
    x = layers.GlobalAveragePooling2D(dtype="mixed_bfloat16")(base(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="half")


BUILDERS = (
    transfer,
    frozen_transfer,
    in_the_middle,
    siamese,
    shared_without_weights,
    many_ends,
    shared_layer,
    half_precision_around,
)
