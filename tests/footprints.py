"""What a call may leave behind: in a model, and in the streams of random numbers."""

import random

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from noisy_models import Counter, Noise


@keras.saving.register_keras_serializable(package="footprints")
class Restless(layers.Layer):
    """Changes statistics, seeds and a counter in every call, also in inference."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.BatchNormalization(name="norm")
        self.drop = layers.Dropout(0.2, name="drop")
        self.count, self.noise = Counter(name="count"), Noise("keras", name="noise")

    def build(self, input_shape):
        for layer in (self.norm, self.drop, self.count, self.noise):
            layer.build(input_shape)

    def call(self, inputs):
        x = self.drop(self.norm(inputs, training=True), training=True)
        return x + 0.01 * (self.noise(self.count(inputs)) - inputs)


def restless():
    """A compiled classifier that remembers and draws in every run.

    Its layers `"first"`, `"inside"` and `"last"` can lose units.
    """
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    x = layers.BatchNormalization(name="moving")(x, training=True)
    inner = keras.Sequential(
        [keras.Input((6, 6, 8)), layers.Conv2D(6, 3, name="inside")], name="inner"
    )
    x = ops.relu(inner(x) * 0.5)
    x = Restless(name="restless")(layers.Conv2D(5, 1, name="second")(x))
    x = layers.Conv2D(6, 3, activation="relu", name="last")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Dropout(0.5, name="off")(x))
    outputs = layers.Dense(4, activation="softmax", name="classes")(x)
    model = keras.Model(inputs, outputs, name="restless_model")
    model.get_layer("restless").norm.gamma.trainable = False
    model.get_layer("last").bias.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.build(model.trainable_variables)
    return model


def take_footprint(model):
    """Returns everything of a model that a call must not change, a dict."""
    inside = model._flatten_layers()
    operations = {id(o): o for x in inside for o in (x, *getattr(x, "operations", ()))}
    variables = {id(v): v for layer in inside for v in layer.variables}
    variables |= {id(v): v for v in model.optimizer.variables}
    return {
        "names": [operation.name for operation in operations.values()],
        "layers": list(operations),
        "nodes": {o.name: len(o._inbound_nodes) for o in operations.values()},
        "readers": {o.name: len(o._outbound_nodes) for o in operations.values()},
        "flags": {layer.name: layer.trainable for layer in inside},
        "variables": {
            v.path: (v.trainable, v.numpy().tolist()) for v in variables.values()
        },
        "losses": [len(layer._losses) for layer in inside],
        "attributes": {layer.name: sorted(vars(layer)) for layer in inside},
        "compiled": id(model._compile_config),
        "optimizer": id(model.optimizer),
    }


def draw_next():
    """Returns the next of each stream of random numbers and of names, a dict."""
    drawn = keras.random.uniform(()), layers.Dropout(0.5)(np.ones(8), training=True)
    return {
        "random": random.random(),
        "numpy": float(np.random.rand()),
        "tensorflow": tf.random.uniform((3,)).numpy().tolist(),
        "a shape that layers draw": tf.random.normal((2, 6, 6, 12)).numpy().sum(),
        "keras": [ops.convert_to_numpy(value).tolist() for value in drawn],
        "initializer": ops.convert_to_numpy(
            keras.initializers.HeNormal()((2, 2))
        ).tolist(),
        "names": [
            made.name
            for made in (
                *(layers.Conv2D(2, 2), layers.Dense(2), keras.Sequential()),
                *(keras.Input((2,)), keras.metrics.Mean(), keras.optimizers.Adam()),
                ops.abs(keras.Input((2,)))._keras_history.operation,
            )
        ],
    }
