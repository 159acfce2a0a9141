"""keras.io/examples/vision: transformers that classify images."""

import keras
import pytest
from keras import layers, ops
from keras_io.checks import check_network, check_prune


class PatchEncoder(keras.layers.Layer):
    """Embeds patches, and adds a learned vector for each position."""

    def __init__(self, number, width, **options):
        super().__init__(**options)
        self.number, self.width = number, width
        self.project = layers.Dense(width)
        self.position = layers.Embedding(number, width)

    def build(self, shape):
        self.project.build(shape)
        self.position.build((self.number,))
        self.built = True

    def call(self, x):
        return self.project(x) + self.position(ops.arange(self.number))

    def get_config(self):
        config = {"number": self.number, "width": self.width}
        return {**super().get_config(), **config}


class ClassToken(keras.layers.Layer):
    """Puts a learned vector in front of the sequence."""

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="uniform")

    def call(self, x):
        return ops.concatenate(
            [ops.repeat(self.token, ops.shape(x)[0], axis=0), x], axis=1
        )


def cut_patches(inputs, size):
    """Returns patches, shape `(batch, number, size * size * channels)`."""
    cut = ops.image.extract_patches(inputs, size)
    return layers.Reshape((cut.shape[1] * cut.shape[2], cut.shape[3]))(cut)


def perceptron(x, *widths):
    """Returns what dense layers with gelu and dropout make of `x`."""
    for width in widths:
        x = layers.Dropout(0.1)(layers.Dense(width, activation="gelu")(x))
    return x


def encode(x, heads=2, width=12):
    """Returns what a pre-norm transformer block makes of a sequence."""
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.MultiHeadAttention(heads, width // heads, dropout=0.1)(y, y)
    return x + perceptron(layers.LayerNormalization(epsilon=1e-6)(x), 24, width)


def vit():
    """vision/image_classification_with_vision_transformer: flat features, no token."""
    inputs = keras.Input((16, 16, 3))
    x = PatchEncoder(16, 12)(cut_patches(inputs, 4))
    x = layers.LayerNormalization()(encode(encode(x)))
    x = perceptron(layers.Dropout(0.5)(layers.Flatten()(x)), 20, 16)
    return keras.Model(inputs, layers.Dense(10)(x))


def vit_with_a_class_token():
    """vision/deit, vision/vit_with_register_tokens: the token alone is classified."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Reshape((16, 12))(layers.Conv2D(12, 4, strides=4)(inputs))
    x = layers.LayerNormalization()(encode(ClassToken()(x)))
    return keras.Model(inputs, layers.Dense(10)(x[:, 0]))


def compact_transformer():
    """vision/cct: convolutional tokens, attention that pools the sequence."""
    inputs = keras.Input((16, 16, 3))
    x = inputs
    for width in (8, 12):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(3, 2, padding="same")(x)
    x = layers.Reshape((16, 12))(x)
    x = layers.LayerNormalization(epsilon=1e-5)(encode(x))
    weights = ops.softmax(layers.Dense(1, name="pool")(x), axis=1)
    pooled = ops.matmul(ops.transpose(weights, (0, 2, 1)), x)
    return keras.Model(inputs, layers.Dense(10)(ops.squeeze(pooled, axis=1)))


def token_learner():
    """vision/token_learner: maps of attention make few tokens of many."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Reshape((16, 12))(layers.Conv2D(12, 4, strides=4)(inputs))
    x = layers.Reshape((4, 4, 12))(encode(x))
    maps = layers.LayerNormalization()(x)
    for _ in range(2):
        maps = layers.Conv2D(3, 3, padding="same", activation="gelu")(maps)
    maps = layers.Conv2D(3, 3, padding="same", activation="sigmoid", name="maps")(maps)
    maps = layers.Permute((2, 1))(layers.Reshape((16, 3))(maps))[..., None]
    tokens = ops.mean(maps * layers.Reshape((1, 16, 12))(x), axis=2)
    x = layers.GlobalAveragePooling1D()(encode(tokens))
    return keras.Model(inputs, layers.Dense(10)(x))


def external_attention():
    """vision/eanet: two shared memories in place of keys and values."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Dense(12)(cut_patches(inputs, 4))
    heads = layers.Reshape((16, 4, 3))(layers.Dense(12, name="queries")(x))
    heads = layers.Permute((2, 1, 3))(heads)
    attention = layers.Softmax(axis=2)(layers.Dense(8, name="memory")(heads))
    values = layers.Dense(3, name="values")(attention)
    merged = layers.Reshape((16, 12))(layers.Permute((2, 1, 3))(values))
    x = x + layers.Dense(12)(merged)
    x = x + perceptron(layers.LayerNormalization()(x), 12, 12)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def windows(x, size, back=False):
    """Returns square windows of `(batch, 4, 4, channels)`, or puts them together."""
    shape = (-1, 2, 2, 2, 2, x.shape[-1])
    x = ops.transpose(ops.reshape(x, shape), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, 4, 4, shape[-1]) if back else (-1, size**2, shape[-1]))


def swin():
    """vision/swin_transformers: attention in shifted windows, patches merged."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(12, 4, strides=4, name="embed")(inputs)
    for shift in (0, 1):
        y = layers.LayerNormalization(epsilon=1e-5)(x)
        y = ops.roll(y, (-shift, -shift), axis=(1, 2)) if shift else y
        y = windows(y, 2)
        y = layers.MultiHeadAttention(2, 6)(y, y)
        y = windows(y, 2, back=True)
        x = x + (ops.roll(y, (shift, shift), axis=(1, 2)) if shift else y)
        x = x + perceptron(layers.LayerNormalization(epsilon=1e-5)(x), 24, 12)
    x = ops.concatenate([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], axis=-1)
    x = layers.Dense(24, use_bias=False, name="merge")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def patch_convnet():
    """vision/patch_convnet: gated convolutional trunk, attention of a class token."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(12, 3, strides=2, padding="same", activation="gelu")(inputs)
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(x)
    y = layers.Conv2D(12, 1, activation="gelu")(layers.LayerNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", activation="gelu")(y)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Dense(12, activation="sigmoid")(layers.Dense(4, "relu")(gate))
    x = x + layers.Conv2D(12, 1)(y * gate)
    x = ClassToken()(layers.Reshape((16, 12))(x))
    query = layers.Dense(12, name="query")(x[:, :1])
    keys = layers.Dense(12, name="keys")(x)
    scores = ops.softmax(ops.matmul(query, ops.transpose(keys, (0, 2, 1))), axis=-1)
    pooled = ops.matmul(scores, layers.Dense(12, name="value")(x))
    return keras.Model(inputs, layers.Dense(10)(pooled[:, 0]))


class LatentArray(keras.layers.Layer):
    """A learned array, the same for each example."""

    def build(self, shape):
        self.latent = self.add_weight(shape=(6, shape[-1]), initializer="uniform")

    def call(self, x):
        return ops.repeat(self.latent[None], ops.shape(x)[0], axis=0)


def perceiver():
    """vision/perceiver_image_classification: a learned latent array reads patches."""
    inputs = keras.Input((16, 16, 3))
    data = PatchEncoder(16, 12)(cut_patches(inputs, 4))
    latent = LatentArray()(data)
    x = layers.MultiHeadAttention(2, 6, name="cross")(
        layers.LayerNormalization()(latent), layers.LayerNormalization()(data)
    )
    x = encode(layers.Add()([x, latent]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def mobile_vit():
    """vision/mobilevit: convolutions, then a transformer over unfolded patches."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="swish")(inputs)
    local = layers.Conv2D(12, 3, padding="same", activation="swish")(x)
    local = layers.Conv2D(12, 1, activation="swish")(local)
    y = encode(layers.Reshape((4, 16, 12))(local))
    y = layers.Conv2D(8, 1, activation="swish")(layers.Reshape((8, 8, 12))(y))
    x = layers.Concatenate()([x, y])
    x = layers.Conv2D(12, 3, padding="same", activation="swish")(x)
    return keras.Model(inputs, layers.Dense(5)(layers.GlobalAvgPool2D()(x)))


WHOLE = [
    vit,
    vit_with_a_class_token,
    external_attention,
    swin,
    patch_convnet,
    perceiver,
    mobile_vit,
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", WHOLE)
def test_all_but_the_outputs_are_removable(build):
    check_network(build())


def test_the_score_of_a_position_is_kept():
    check_network(compact_transformer(), 46 / 47, reasons=None)


def test_what_becomes_the_number_of_tokens_is_no_channel():
    # The maps of the last convolution are the tokens: positions, not channels.
    check_network(token_learner(), 0.9, ["may work along axis 1"])


@pytest.mark.eager
@pytest.mark.slow
def test_prune_with_its_defaults():
    check_prune(mobile_vit())
