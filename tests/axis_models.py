"""Models whose channels are on other axes than the last for a while."""

import keras
import numpy as np
from keras import layers, ops

SWAPS = {
    "permute": lambda x: layers.Permute((2, 1))(x),
    "swapaxes": lambda x: ops.swapaxes(x, -1, -2),
    "transpose": lambda x: ops.transpose(x, (0, 2, 1)),
    "moveaxis": lambda x: ops.moveaxis(x, 1, 2),
    "einsum": lambda x: ops.squeeze(ops.swapaxes(ops.expand_dims(x, 1), 2, 3), 1),
}


def mixer(swap="permute", length=6, width=12):
    """An MLP-Mixer of two blocks: a dense layer over positions, one over channels."""
    swap, inputs = SWAPS[swap], keras.Input((length, 5))
    x = layers.Dense(width, name="stem")(inputs)
    for number in range(2):
        y = swap(layers.LayerNormalization()(x))
        y = ops.gelu(layers.Dense(7, name=f"tokens{number}")(y))
        y = layers.Dense(length, name=f"back{number}")(layers.Dropout(0.1)(y))
        x = layers.Add()([x, swap(y)])
        y = layers.Dense(2 * width, "gelu", name=f"hidden{number}")(
            layers.LayerNormalization()(x)
        )
        x = x + layers.Dense(width, name=f"channels{number}")(y)
    x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
    return keras.Model(inputs, layers.Dense(4, name="logits")(x))


def gated_mlp(length=6, width=8):
    """A gMLP: half of the channels is mixed over positions, and gates the other."""
    inputs = keras.Input((length, 5))
    x = layers.Dense(width, name="stem")(inputs)
    y = layers.Dense(2 * width, "gelu", name="hidden")(layers.LayerNormalization()(x))
    u, v = ops.split(y, 2, axis=-1)
    v = ops.transpose(layers.LayerNormalization()(v), (0, 2, 1))
    v = ops.transpose(layers.Dense(length, name="gate")(v), (0, 2, 1))
    x = x + layers.Dense(width, name="out")(u * v)
    return keras.Model(inputs, layers.Dense(4, name="logits")(ops.mean(x, axis=1)))


def _split_at_once(x, length, heads, size):
    x = ops.reshape(x, (-1, length, 3, heads, size))
    return ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), axis=0)


def _index(x, length, heads, size):
    x = layers.Reshape((length, 3, heads, size))(x)
    x = ops.transpose(x, (2, 0, 3, 1, 4))
    return x[0], x[1], x[2]


def _split_heads(x, length, heads, size):
    x = layers.Permute((2, 1, 3))(layers.Reshape((length, heads, 3 * size))(x))
    return ops.split(x, 3, axis=-1)


def _slice_heads(x, length, heads, size):
    x = ops.reshape(x, (-1, length, heads, 3 * size))
    parts = x[..., :size], x[..., size : 2 * size], x[..., 2 * size :]
    return [ops.transpose(part, (0, 2, 1, 3)) for part in parts]


def _split_first(x, length, heads, size):
    parts = ops.split(x, 3, axis=-1)
    parts = [layers.Reshape((length, heads, size))(part) for part in parts]
    return [ops.swapaxes(part, 1, 2) for part in parts]


def _two_reshapes(x, length, heads, size):
    parts = ops.unstack(ops.reshape(x, (-1, length, 3, heads * size)), axis=2)
    parts = [ops.reshape(part, (-1, length, heads, size)) for part in parts]
    return [ops.transpose(part, (0, 2, 1, 3)) for part in parts]


SPLITS = {
    "split at once": _split_at_once,
    "index": _index,
    "split heads": _split_heads,
    "slice heads": _slice_heads,
    "split first": _split_first,
    "two reshapes": _two_reshapes,
}
ATTENDS = {
    "matmul": lambda q, k, v: (
        ops.softmax(q @ ops.swapaxes(k, -1, -2) / q.shape[-1] ** 0.5) @ v
    ),
    "layer": lambda q, k, v: ops.matmul(
        layers.Dropout(0.1)(layers.Softmax()(q @ ops.transpose(k, (0, 1, 3, 2)))), v
    ),
    "activation": lambda q, k, v: ops.matmul(
        layers.Activation("softmax")(q @ ops.transpose(k, (0, 1, 3, 2))), v
    ),
    "einsum": lambda q, k, v: ops.einsum(
        "bhnm,bhmd->bhnd",
        keras.activations.softmax(ops.einsum("bhnd,bhmd->bhnm", q, k)),
        v,
    ),
    "transposed": lambda q, k, v: ops.swapaxes(
        ops.swapaxes(v, -1, -2) @ ops.softmax(k @ ops.swapaxes(q, -1, -2), axis=-2),
        -1,
        -2,
    ),
    "biased": lambda q, k, v: (
        ops.softmax(
            q @ ops.swapaxes(k, -1, -2)
            + np.linspace(-1, 1, q.shape[1] * q.shape[2] ** 2, dtype="float32").reshape(
                q.shape[1], q.shape[2], q.shape[2]
            )
        )
        @ v
    ),
    "normalized": lambda q, k, v: (
        ops.softmax(
            layers.LayerNormalization()(q)
            @ ops.swapaxes(k / ops.sqrt(ops.sum(k * k, -1, True) + 1), -1, -2)
        )
        @ v
    ),
    "linear": lambda q, k, v: (
        ops.softmax(q) @ (ops.swapaxes(ops.softmax(k, axis=-2), -1, -2) @ v)
    ),
}


def vision_transformer(split="split at once", attend="matmul", heads=4, size=3):
    """A transformer of one block, its attention written with `keras.ops`."""
    width, length = heads * size, 6
    inputs = keras.Input((length, 5))
    x = layers.Dense(width, name="stem")(inputs)
    y = layers.Dense(3 * width, name="qkv")(layers.LayerNormalization()(x))
    y = ATTENDS[attend](*SPLITS[split](y, length, heads, size))
    y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, length, width))
    x = x + layers.Dense(width, name="projection")(y)
    y = layers.Dense(2 * width, "gelu", name="hidden")(layers.LayerNormalization()(x))
    x = x + layers.Dense(width, name="out")(y)
    return keras.Model(inputs, layers.Dense(4, name="logits")(ops.mean(x, axis=1)))


SINGLE = {
    "matmul": lambda q, k, v: ops.softmax(q @ ops.transpose(k, (0, 2, 1))) @ v,
    "einsum": lambda q, k, v: ops.einsum(
        "bnm,bmd->bnd", ops.softmax(ops.einsum("bnd,bmd->bnm", q, k)), v
    ),
    "dot": lambda q, k, v: layers.Dot((2, 1))(
        [layers.Softmax()(layers.Dot(2)([q, k])), v]
    ),
    "attention": lambda q, k, v: layers.Attention(use_scale=True)([q, v, k]),
    "concat": lambda q, k, v: layers.Attention(score_mode="concat")([q, v, k]),
    "additive": lambda q, k, v: layers.AdditiveAttention()([q, v, k]),
    "additive of two": lambda q, k, v: layers.AdditiveAttention()([q, k]),
    "linear": lambda q, k, v: (
        layers.Softmax()(q) @ (ops.transpose(layers.Softmax(axis=1)(k), (0, 2, 1)) @ v)
    ),
    "over channels": lambda q, k, v: (
        k @ ops.softmax(ops.transpose(k, (0, 2, 1)) @ q, axis=-1)
    ),
}


def single_head(attend):
    """Attention whose channels are no heads: those of queries and keys are tied."""
    inputs = keras.Input((6, 5))
    x = layers.Dense(8, "relu", name="stem")(inputs)
    q, k, v = (
        layers.Dense(units, name=name)(x)
        for name, units in (("q", 5), ("k", 5), ("v", 7))
    )
    y = layers.Dense(6, "relu", name="out")(SINGLE[attend](q, k, v))
    return keras.Model(inputs, layers.Dense(3, name="logits")(y))


def windows():
    """Attention within shifted windows, which become examples of their own."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Dense(8, "relu", name="stem")(inputs)
    y = ops.roll(layers.LayerNormalization()(x), -1, axis=1)
    y = ops.transpose(ops.reshape(y, (-1, 2, 2, 2, 2, 8)), (0, 1, 3, 2, 4, 5))
    y = layers.Dense(24, name="qkv")(ops.reshape(y, (-1, 4, 8)))
    y = ATTENDS["biased"](*_index(y, 4, 4, 2))
    y = ops.reshape(ops.transpose(y, (0, 2, 1, 3)), (-1, 4, 8))
    y = layers.Dense(8, name="projection")(y)
    y = ops.transpose(ops.reshape(y, (-1, 2, 2, 2, 2, 8)), (0, 1, 3, 2, 4, 5))
    x = x + ops.reshape(y, (-1, 4, 4, 8))
    return keras.Model(inputs, layers.Dense(2, name="logits")(ops.mean(x, (1, 2))))


def grouped_queries():
    """Two heads of queries for each head of keys and values."""
    inputs = keras.Input((6, 3))
    x = layers.Dense(8, "relu", name="stem")(inputs)
    q = layers.Reshape((6, 2, 2, 3))(layers.Dense(12, name="q")(x))
    k, v = (layers.Reshape((6, 2, 3))(layers.Dense(6, name=n)(x)) for n in "kv")
    scores = ops.softmax(ops.einsum("bnhgd,bmhd->bhgnm", q, k))
    y = ops.reshape(ops.einsum("bhgnm,bmhd->bnhgd", scores, v), (-1, 6, 12))
    return keras.Model(inputs, layers.Dense(2, name="logits")(y))


def channel_shuffle():
    """ShuffleNet's: channels as a matrix, transposed."""
    inputs = keras.Input((4, 4, 3))
    x = layers.Conv2D(12, 3, padding="same", name="conv")(inputs)
    x = ops.transpose(ops.reshape(x, (-1, 4, 4, 3, 4)), (0, 1, 2, 4, 3))
    x = layers.DepthwiseConv2D(3)(layers.Reshape((4, 4, 12))(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def repeated():
    """`RepeatVector`, whose copies are mixed, and axes that come and go."""
    inputs = keras.Input((6,))
    x = layers.RepeatVector(5)(layers.Dense(8, "relu", name="repeated")(inputs))
    x = layers.Permute((2, 1))(layers.Dense(4)(layers.Permute((2, 1))(x)))
    y = ops.expand_dims(layers.Dense(7, "relu", name="expanded")(inputs), -1)
    y = ops.swapaxes(layers.Dense(4, "relu", name="inside")(y), 1, 2)
    z = ops.expand_dims(layers.Dense(7, "relu", name="squeezed")(inputs), -1)
    ends = [layers.Dense(3)(t) for t in (x, y, ops.squeeze(z, -1))]
    return keras.Model(inputs, ends)


def nested_mixer():
    """A block that mixes positions, as a model within a model, called twice."""
    entry = keras.Input((6, 8))
    y = layers.Dense(5, "relu", name="tokens")(ops.swapaxes(entry, 1, 2))
    y = ops.swapaxes(layers.Dense(6, name="back")(y), 1, 2)
    block = keras.Model(entry, entry + y, name="block")
    inputs = keras.Input((6, 3))
    x = block(block(layers.Dense(8, "relu", name="stem")(inputs)))
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def nested_tokens():
    """What mixes positions is a Sequential model of its own, called twice."""
    tokens = keras.Sequential(
        [keras.Input((8, 6)), layers.Dense(5, "relu"), layers.Dense(6)], name="tokens"
    )
    inputs = keras.Input((6, 3))
    x = layers.Dense(8, "relu", name="stem")(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + ops.swapaxes(tokens(ops.swapaxes(y, 1, 2)), 1, 2)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def shared_reshapes():
    """Reshapes and transpositions that queries, keys and values share."""
    split, back = layers.Reshape((6, 4, 2)), layers.Reshape((6, 8))
    swap = layers.Permute((2, 1, 3))
    inputs = keras.Input((6, 3))
    x = layers.Dense(8, "relu", name="stem")(inputs)
    q, k, v = (swap(split(layers.Dense(8, name=name)(x))) for name in "qkv")
    y = back(swap(ATTENDS["matmul"](q, k, v)))
    return keras.Model(inputs, layers.Dense(3, name="logits")(y))


BUILDERS = {
    **{f"mixer, {name}": lambda name=name: mixer(name) for name in SWAPS},
    **{f"heads, {n}": lambda n=n: vision_transformer(n) for n in SPLITS},
    **{f"heads, {n}": lambda n=n: vision_transformer(attend=n) for n in ATTENDS},
    **{f"single head, {name}": lambda name=name: single_head(name) for name in SINGLE},
    "gated_mlp": gated_mlp,
    "windows": windows,
    "grouped_queries": grouped_queries,
    "channel_shuffle": channel_shuffle,
    "repeated": repeated,
    "nested_mixer": nested_mixer,
    "nested_tokens": nested_tokens,
    "shared_reshapes": shared_reshapes,
}
