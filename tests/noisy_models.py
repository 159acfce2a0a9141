"""Models that draw at random in inference, or remember something from call to call."""

import keras
import tensorflow as tf
from keras import layers, ops


@keras.saving.register_keras_serializable(package="noisy_models")
class Sampling(layers.Layer):
    """Draws from a normal distribution, as between the halves of an autoencoder.

    Args:
        source: String, where from: `"own"` for a generator of the layer, `"keras"` for
            Keras's, `"tensorflow"` for none of Keras's.
    """

    def __init__(self, source="own", **kwargs):
        super().__init__(**kwargs)
        self.source = source
        if source == "own":
            self.generator = keras.random.SeedGenerator()

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + ops.exp(0.5 * log_variance) * self.draw(ops.shape(mean))

    def draw(self, shape):
        if self.source == "tensorflow":
            return tf.random.normal(shape)
        return keras.random.normal(shape, seed=getattr(self, "generator", None))

    def get_config(self):
        return super().get_config() | {"source": self.source}


@keras.saving.register_keras_serializable(package="noisy_models")
class Noise(Sampling):
    """Adds noise to every channel, by itself."""

    def call(self, inputs):
        return inputs + 0.3 * self.draw(ops.shape(inputs))


@keras.saving.register_keras_serializable(package="noisy_models")
class Counter(layers.Layer):
    """Counts its calls, also in inference."""

    def build(self, input_shape):
        self.count = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False
        )

    def call(self, inputs):
        self.count.assign_add(1)
        return inputs


def autoencoder(sampling):
    """A variational autoencoder that returns mean, logarithm of variance and image."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(12, 3, strides=2, activation="relu", name="conv")(inputs)
    x = layers.Dense(24, activation="relu", name="encoder")(layers.Flatten()(x))
    mean = layers.Dense(4, name="mean")(x)
    log_variance = layers.Dense(4, name="log_variance")(x)
    x = sampling([mean, log_variance])
    x = layers.Dense(24, activation="relu", name="decoder")(x)
    image = layers.Dense(64, activation="sigmoid", name="image")(x)
    return keras.Model(inputs, [mean, log_variance, image])


def classifier(*middle):
    """A classifier with some layers between two convolutions."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 1))
    for layer in (layers.Conv2D(12, 3, activation="relu", name="first"), *middle):
        x = layer(x)
    x = layers.Conv2D(8, 3, activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def stateful():
    """A sequence model of batches of 4 that goes on where the last batch ended."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(batch_shape=(4, 6, 3))
    x = layers.Dense(12, activation="relu", name="before")(inputs)
    x = layers.LSTM(8, stateful=True, name="lstm")(x)
    x = layers.Dense(12, activation="relu", name="after")(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def states_of(model):
    """Returns copies of all that a model holds, a list of arrays."""
    found = [variable.numpy() for variable in model.variables]
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            found.extend(state.numpy() for state in layer.states)
    return found
