"""Builders of small models with residual blocks: one for each way they can stand."""

import keras
import models
import numpy as np
from keras import layers


def _conv(width, size, name):
    return layers.Conv2D(width, size, padding="same", name=name)


def chain_of_blocks():
    """Three blocks with normalizations and ReLUs behind the additions, as ResNet v1."""
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.BatchNormalization(name="stem_norm")(_conv(8, 3, "stem")(x))
    x = layers.ReLU()(x)
    for name, width, stride in (("a", 8, 1), ("b", 12, 2), ("c", 12, 1)):
        y = layers.Conv2D(width, 3, stride, "same", use_bias=False, name=f"{name}1")(x)
        y = layers.ReLU()(layers.BatchNormalization(name=f"{name}1_norm")(y))
        y = layers.BatchNormalization(name=f"{name}2_norm")(
            _conv(width, 3, f"{name}2")(y)
        )
        if stride > 1:
            x = layers.Conv2D(width, 1, stride, name=f"{name}_shortcut")(x)
        x = layers.ReLU()(layers.Add(name=f"{name}_add")([y, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(
        inputs, layers.Dense(4, name="logits")(x), name="chain_of_blocks"
    )


def normalized_blocks():
    """Three blocks in which a normalization follows each convolution."""

    def normalized(x, name, *args):
        x = layers.Conv2D(8, *args, padding="same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(epsilon=1e-7)(x)

    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.ReLU()(normalized(inputs, "stem", 3))
    for name, stride in (("a", 1), ("b", 2), ("c", 1)):
        y = layers.ReLU()(normalized(x, f"{name}1", 3, stride))
        y = normalized(y, f"{name}2", 3)
        x = normalized(x, f"{name}_shortcut", 1, stride) if stride > 1 else x
        x = layers.ReLU()(layers.Add(name=f"{name}_add")([y, x]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(4, name="logits")(x), name="normalized")


def shared_by_blocks():
    """Layers that are called in several blocks."""
    inputs = keras.Input((8, 8, 4), name="image")
    x = _conv(6, 3, "stem")(inputs)
    both, shared = _conv(6, 3, "both"), _conv(6, 3, "shared")
    x = layers.Add(name="first")([x, shared(x)])
    x = layers.Add(name="second")([x, both(layers.ReLU()(shared(x)))])
    x = layers.Add(name="third")([x, both(x)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="shared")


def blocks_in_blocks():
    """Blocks within one, a gate of two, three branches, a block before an output."""
    inputs = keras.Input((8, 8, 4), name="image")
    x = _conv(6, 3, "stem")(inputs)
    y = _conv(6, 3, "in1")(x)
    y = layers.Add(name="inner1")([y, _conv(6, 3, "in2")(layers.ReLU()(y))])
    y = layers.Add(name="inner2")([y, _conv(6, 3, "in3")(layers.ReLU()(y))])
    x = layers.Add(name="outer")([y, x])
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Dense(6, name="gate")(gate)
    for name in ("gated1", "gated2"):
        y = layers.Multiply()([_conv(6, 3, f"{name}_conv")(x), gate])
        x = layers.Add(name=name)([x, y])
    x = layers.Add(name="three")([_conv(6, n, f"wide{n}")(x) for n in (1, 3, 5)])
    out = layers.Add(name="out")([_conv(6, 3, "last")(x), x])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, [layers.Dense(3, name="logits")(x), out], name="nest")


def blocks_and_models():
    """Models that hold blocks, and that are blocks; called twice, of several ends."""
    k, g = keras.Input((8, 8, 6)), keras.Input((6,))
    y = layers.Reshape((1, 1, 6))(layers.Dense(6, name="gate_in")(g))
    y = layers.Add(name="first")([k, layers.Multiply()([_conv(6, 3, "c1")(k), y])])
    z = layers.Add(name="second")([y, _conv(6, 3, "c2")(y)])
    inner = keras.Model([k, g], [y, z], name="inner")
    alone = keras.Model(k, _conv(6, 3, "c3")(layers.ReLU()(k)), name="alone")
    r = keras.Input((8, 8, 6))
    whole = layers.Add(name="third")([r, _conv(6, 3, "c4")(r)])
    whole = keras.Model(r, whole, name="whole")
    inputs = keras.Input((8, 8, 4), name="image")
    x = _conv(6, 3, "stem")(inputs)
    gate = layers.Dense(6, name="gate")(layers.GlobalAveragePooling2D()(x))
    first, x = inner([x, gate])
    x, y = inner([x, gate])
    x = layers.Add(name="fourth")([x, alone(y)])
    x = layers.Add(name="fifth")([x, whole(_conv(6, 1, "before")(x))])
    x = alone(whole(x))
    x = layers.GlobalAveragePooling2D()(x)
    outputs = [layers.Dense(3, name="logits")(x), first]
    return keras.Model(inputs, outputs, name="blocks_and_models")


def blocks_over_time():
    """Blocks of a model that is called at every time step, and of recurrent layers."""
    image = keras.Input((8, 8, 4))
    y = _conv(6, 3, "each1")(image)
    y = layers.Add(name="each")([y, _conv(6, 3, "each2")(layers.ReLU()(y))])
    frame = keras.Model(image, layers.GlobalAveragePooling2D()(y), name="frame")
    inputs = keras.Input((5, 8, 8, 4), name="frames")
    x = layers.TimeDistributed(frame, name="frames_of")(inputs)
    step = layers.TimeDistributed(layers.Dense(6, name="step"), name="steps")
    x = layers.Add(name="stepwise")([x, step(x)])
    x = layers.Add(name="state")([x, layers.LSTM(6, return_sequences=True)(x)])
    x = layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="over_time")


def nothing_else():
    """Two blocks and no other layer: the input is an output without them."""
    x = inputs = keras.Input((8, 8, 6), name="image")
    for name in ("a", "b"):
        x = layers.Add(name=name)([x, _conv(6, 3, f"{name}_conv")(x)])
    return keras.Model(inputs, x, name="nothing_else")


def vision_transformer():
    """Patches, positions, two blocks of attention and two of dense layers."""
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(12, 2, strides=2, name="patches")(inputs)
    x = layers.Reshape((16, 12))(x)
    positions = layers.Embedding(16, 12, name="positions")(keras.ops.arange(16))
    x = x + positions
    for name in ("one", "two"):
        y = layers.LayerNormalization(name=f"{name}_norm1")(x)
        y = layers.MultiHeadAttention(3, 4, name=f"{name}_attention")(y, y)
        x = layers.Add(name=f"{name}_attended")([x, layers.Dropout(0.1)(y)])
        y = layers.LayerNormalization(name=f"{name}_norm2")(x)
        y = layers.Dense(24, activation="gelu", name=f"{name}_wide")(y)
        x = x + layers.Dense(12, name=f"{name}_narrow")(y)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization(name="norm")(x))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x), name="vit")


def masked_words():
    """Blocks whose result carries the mask of the words, and one that loses it."""
    words = keras.Input((9,), dtype="int32", name="words")
    x = layers.Embedding(20, 8, mask_zero=True, name="embedding")(words)
    y = layers.LayerNormalization(name="norm")(x)
    y = layers.MultiHeadAttention(2, 4, name="attention")(y, y)
    x = layers.Add(name="attended")([x, y])
    y = layers.Dense(8, name="narrow")(layers.Dense(12, "relu", name="wide")(x))
    x = layers.Add(name="dense")([x, y])
    x = layers.Add(name="lost")([x, keras.ops.square(layers.Dense(8, name="raw")(x))])
    return keras.Model(words, layers.Dense(3, name="logits")(x), name="words")


BUILDERS = [
    models.residual,
    models.scaled,
    models.attentive,
    chain_of_blocks,
    shared_by_blocks,
    blocks_in_blocks,
    blocks_and_models,
    blocks_over_time,
    nothing_else,
    vision_transformer,
]


def random_blocks(channel_map, seed, of_filters=0.3, all_blocks=False):
    """Returns a `keep` without some blocks, and without some filters of each group."""
    keep = models.random_keep(channel_map, of_filters, seed)
    units = [b.unit for b in channel_map.blocks if b.unit not in channel_map.locks]
    generator = np.random.default_rng(seed)
    number = len(units) if all_blocks else generator.integers(1, len(units) + 1)
    keep[units] = True
    keep[generator.choice(units, number, replace=False)] = False
    return keep


def random_network(seed):
    """Returns a network of random blocks: in each other, shared, in models, gated."""
    generator = np.random.default_rng(seed)
    shared = [_conv(6, 3, f"shared{number}") for number in range(2)]
    image = keras.Input((6, 6, 6))
    inner = layers.Add()([image, _conv(6, 3, "inner")(layers.ReLU()(image))])
    models_of = [keras.Model(image, inner, name="model")]

    def branch(x, depth):
        kind = generator.integers(6 if depth < 2 else 4)
        if kind == 0:
            return layers.ReLU()(layers.BatchNormalization()(_conv(6, 3, None)(x)))
        if kind == 1:
            return shared[generator.integers(2)](x)
        if kind == 2:
            return models_of[0](x)
        if kind == 3:
            gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
            return layers.Multiply()([_conv(6, 1, None)(x), layers.Dense(6)(gate)])
        return step(branch(x, depth + 1), depth + 1)

    def step(x, depth):
        terms = [branch(x, depth) for _ in range(generator.integers(1, 3))]
        if generator.random() < 0.8 or len(terms) == 1:
            terms.insert(generator.integers(len(terms) + 1), x)
        x = layers.Add()(terms)
        return layers.ReLU()(x) if generator.random() < 0.5 else x

    inputs = keras.Input((6, 6, 3), name="image")
    stream, ends = _conv(6, 3, "stem")(inputs), []
    for _ in range(generator.integers(2, 5)):
        stream = step(stream, 0)
        if generator.random() < 0.2:
            ends.append(stream)
    ends.append(layers.Dense(3)(layers.GlobalAveragePooling2D()(stream)))
    return models.randomize(keras.Model(inputs, ends, name="random"), seed)
