"""keras.io/examples: embeddings, pairs, generators and tables."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_io.checks import check_network, check_prune, draw, draw_removal, find_share

import keras_shapley_prune as ksp


def encoder(width=12, name="encoder"):
    """Returns a small convolutional encoder of 16x16 images."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    x = layers.Conv2D(12, 3, strides=2, activation="relu")(x)
    x = layers.Dense(width, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, x, name=name)


def metric_learning():
    """vision/metric_learning: embeddings of unit length."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(inputs)
    x = layers.Conv2D(12, 3, strides=2, activation="relu")(x)
    x = layers.Dense(6)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.UnitNormalization()(x))


def siamese():
    """vision/siamese_network: three images through one network, two distances."""
    network = encoder()
    images = [keras.Input((16, 16, 3)) for _ in range(3)]
    anchor, positive, negative = map(network, images)
    distances = [
        ops.sum(ops.square(anchor - other), axis=-1) for other in (positive, negative)
    ]
    return keras.Model(images, distances)


def siamese_contrastive():
    """vision/siamese_contrastive: a Euclidean distance, normalized and classified."""
    network = encoder()
    images = [keras.Input((16, 16, 3)) for _ in range(2)]
    first, second = map(network, images)
    squares = ops.sum(ops.square(first - second), axis=1, keepdims=True)
    distance = ops.sqrt(ops.maximum(squares, keras.config.epsilon()))
    x = layers.BatchNormalization()(distance)
    return keras.Model(images, layers.Dense(1, activation="sigmoid")(x))


def student():
    """vision/knowledge_distillation: a student with LeakyReLU and strided pooling."""
    return keras.Sequential(
        [
            keras.Input((14, 14, 1)),
            layers.Conv2D(8, 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.MaxPooling2D(pool_size=2, strides=1, padding="same"),
            layers.Conv2D(12, 3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )


def sim_siam():
    """vision/simsiam, vision/nnclr: an encoder, a projector, a predictor."""
    inputs = keras.Input((16, 16, 3))
    x = encoder()(layers.Rescaling(scale=1 / 127.5, offset=-1)(inputs))
    x = layers.Dense(12, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    projected = layers.BatchNormalization()(layers.Dense(8, use_bias=False)(x))
    x = layers.Dense(6, use_bias=False)(projected)
    x = layers.Dense(8)(layers.ReLU()(layers.BatchNormalization()(x)))
    return keras.Model(inputs, x)


def multiple_instances():
    """vision/attention_mil_classification: a bag of images, gated attention."""
    network = [layers.Dense(12, activation="relu"), layers.Dense(8, activation="relu")]
    weigh = layers.Dense(6, activation="tanh", name="v", use_bias=False)
    gate = layers.Dense(6, activation="sigmoid", name="u", use_bias=False)
    score = layers.Dense(1, name="w", use_bias=False)
    bag = [keras.Input((6, 6)) for _ in range(3)]
    embeddings = [network[1](network[0](layers.Flatten()(x))) for x in bag]
    scores = [score(weigh(x) * gate(x)) for x in embeddings]
    weights = ops.softmax(ops.stack(scores), axis=0)
    weights = [ops.squeeze(x, axis=0) for x in ops.split(weights, 3, axis=0)]
    pooled = layers.concatenate(
        [layers.multiply(pair) for pair in zip(weights, embeddings, strict=True)]
    )
    return keras.Model(bag, layers.Dense(2, activation="softmax")(pooled))


class Sampling(keras.layers.Layer):
    """Draws from the normal distribution of a mean and a logarithm of a variance."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def vae_encoder():
    """generative/vae, encoder: the mean and the logarithm of the variance."""
    inputs = keras.Input((12, 12, 1))
    x = layers.Conv2D(8, 3, activation="relu", strides=2, padding="same")(inputs)
    x = layers.Conv2D(12, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(10, activation="relu")(layers.Flatten()(x))
    return keras.Model(
        inputs, [layers.Dense(2, name=n)(x) for n in ("mean", "log_var")]
    )


def vae_encoder_with_sampling():
    """generative/vae, the encoder as it stands there: with the sample."""
    model = vae_encoder()
    mean, log_variance = model.outputs
    return keras.Model(
        model.inputs[0], [mean, log_variance, Sampling()([mean, log_variance])]
    )


def vae_decoder():
    """generative/vae, decoder: dense, reshaped, transposed convolutions."""
    inputs = keras.Input((2,))
    x = layers.Reshape((3, 3, 12))(layers.Dense(108, activation="relu")(inputs))
    for width in (12, 8):
        x = layers.Conv2DTranspose(width, 3, 2, activation="relu", padding="same")(x)
    x = layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")(x)
    return keras.Model(inputs, x)


def gan_discriminator():
    """generative/dcgan_overriding_train_step: strides and LeakyReLU."""
    model = keras.Sequential([keras.Input((16, 16, 3))])
    for width in (8, 12, 12):
        model.add(layers.Conv2D(width, 4, strides=2, padding="same"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    for layer in (layers.Flatten(), layers.Dropout(0.2), layers.Dense(1)):
        model.add(layer)
    return model


def cycle_gan_generator():
    """generative/cyclegan: reflected borders, instance normalization, residuals."""

    def normalize(x):
        return layers.GroupNormalization(groups=-1)(x)

    inputs = keras.Input((16, 16, 3))
    x = ops.pad(inputs, [[0, 0], [3, 3], [3, 3], [0, 0]], mode="reflect")
    x = layers.Activation("relu")(normalize(layers.Conv2D(8, 7, use_bias=False)(x)))
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.Activation("relu")(normalize(x))
    y = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
    y = layers.Activation("relu")(normalize(layers.Conv2D(12, 3, use_bias=False)(y)))
    y = ops.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
    x = layers.add([x, normalize(layers.Conv2D(12, 3, use_bias=False)(y))])
    x = layers.Conv2DTranspose(8, 3, 2, padding="same", use_bias=False)(x)
    x = ops.pad(
        layers.Activation("relu")(normalize(x)), [[0, 0], [3, 3], [3, 3], [0, 0]]
    )
    return keras.Model(inputs, layers.Conv2D(3, 7, activation="tanh")(x))


def deep_dream():
    """generative/deep_dream, neural_style_transfer: the outputs of several layers."""
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(inputs)
    mixed = []
    for _ in range(2):
        narrow = layers.Conv2D(4, 1, activation="relu")(x)
        wide = layers.Conv2D(6, 3, activation="relu", padding="same")(narrow)
        pooled = layers.Conv2D(6, 1)(layers.AveragePooling2D(3, 1, "same")(x))
        x = layers.concatenate([layers.Conv2D(6, 1)(x), wide, pooled])
        mixed.append(x)
    return keras.Model(inputs, {"first": mixed[0], "last": mixed[1]})


def diffusion_unet():
    """generative/ddim: noise rates by sinusoids, residual blocks with swish."""
    images, rates = keras.Input((16, 16, 3)), keras.Input((1, 1, 1))
    angles = rates * ops.exp(ops.linspace(0.0, 6.0, 4))
    waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
    waves = layers.UpSampling2D(size=16, interpolation="nearest")(waves)
    x = layers.Concatenate()([layers.Conv2D(8, 1)(images), waves])
    for width in (12, 16):
        y = layers.BatchNormalization(center=False, scale=False)(x)
        y = layers.Conv2D(width, 3, padding="same", activation="swish")(y)
        y = layers.Conv2D(width, 3, padding="same")(y)
        x = layers.Add()([layers.Conv2D(width, 1)(x), y])
    return keras.Model(
        [images, rates], layers.Conv2D(3, 1, kernel_initializer="zeros")(x)
    )


def wide_and_deep():
    """structured_data/wide_deep_cross_networks: crosses of the features, and layers."""
    numbers = keras.Input((4,))
    kind = keras.Input((1,), dtype="int32")
    x = layers.Concatenate()([numbers, layers.Flatten()(layers.Embedding(10, 6)(kind))])
    cross = layers.Add()([layers.Multiply()([x, layers.Dense(10)(x)]), x])
    deep = layers.ReLU()(layers.BatchNormalization()(layers.Dense(16)(x)))
    merged = layers.concatenate([layers.BatchNormalization()(cross), deep])
    return keras.Model([numbers, kind], layers.Dense(2, activation="softmax")(merged))


def recommender():
    """structured_data/collaborative_filtering_movielens: a product of embeddings."""
    pair = keras.Input((2,), dtype="int32")
    user, movie = (layers.Embedding(10, 8, name=n) for n in ("users", "movies"))
    biases = [layers.Embedding(10, 1, name=n) for n in ("user_bias", "movie_bias")]
    score = ops.sum(user(pair[:, 0]) * movie(pair[:, 1]), axis=-1, keepdims=True)
    score = score + biases[0](pair[:, 0]) + biases[1](pair[:, 1])
    return keras.Model(pair, ops.sigmoid(score))


def gated_residuals():
    """structured_data/classification_with_grn_and_vsn: gated linear units, skips."""
    inputs = keras.Input((5,))
    x = layers.Dense(12)(inputs)
    for _ in range(2):
        y = layers.Dense(12)(layers.Dense(12, activation="elu")(x))
        y = layers.Dropout(0.1)(y)
        gated = layers.Dense(12)(y) * layers.Dense(12, activation="sigmoid")(y)
        x = layers.LayerNormalization()(x + gated)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


WHOLE = [
    metric_learning,
    siamese,
    siamese_contrastive,
    student,
    sim_siam,
    vae_encoder,
    vae_decoder,
    gan_discriminator,
    cycle_gan_generator,
    deep_dream,
    diffusion_unet,
    recommender,
    gated_residuals,
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", WHOLE)
def test_all_but_the_outputs_are_removable(build):
    check_network(build())


def test_crosses_with_the_inputs_are_kept():
    check_network(wide_and_deep(), 22 / 26, ["`multiply"])


def test_scores_of_instances_are_kept():
    check_network(multiple_instances(), 26 / 27, ["broadcasts it"])


def test_a_sample_does_not_lock_the_encoder():
    model = vae_encoder_with_sampling()
    channel_map = ksp.trace_channels(model)
    assert find_share(channel_map) == 1
    keep = draw_removal(channel_map)
    x = draw(model)
    for masked, pruned in zip(
        ksp.mask_channels(model, keep, channel_map)(x)[:2],  # not the sample itself
        ksp.remove_channels(model, keep, channel_map)(x)[:2],
        strict=True,
    ):
        np.testing.assert_allclose(masked, pruned, atol=1e-5)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("build", [student, metric_learning, vae_decoder])
def test_prune_with_its_defaults(build):
    check_prune(build())
