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
        self.calls = 0

    def build(self, input_shape):
        for layer in (self.norm, self.drop, self.count, self.noise):
            layer.build(input_shape)

    def call(self, inputs):
        x = self.drop(self.norm(inputs, training=True), training=True)
        return x + 0.01 * (self.noise(self.count(inputs)) - inputs)


def restless():
    """A compiled classifier that remembers and draws, with an inner flag that is off.

    Without what draws by no seed of Keras, so that its runs can be repeated.
    """
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, activation="relu", name="first")(x)
    x = layers.BatchNormalization(name="moving")(x, training=True)
    x = Restless(name="restless")(x)
    x = layers.Conv2D(6, 3, activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(layers.Dropout(0.5, name="off")(x))
    model = keras.Model(
        inputs, layers.Dense(4, activation="softmax", name="classes")(x)
    )
    model.get_layer("restless").norm.trainable = False
    model.get_layer("second").bias.trainable = False
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def footprint(model):
    """Returns everything of a model that a call must not change, a dict."""
    everything = list(
        {id(o): o for part in _parts(model) for o in _operations(part)}.values()
    )
    inner = model._flatten_layers()
    optimizer = getattr(model, "optimizer", None)
    held = {id(v): v for layer in inner for v in layer.variables}
    held |= {id(v): v for layer in inner for v in _states(layer)}
    return {
        "names": [layer.name for layer in inner],
        "layers": [id(layer) for layer in inner],
        "flags": [layer.trainable for layer in inner],
        "variable flags": [bool(v.trainable) for v in held.values()],
        "nodes": {o.name: len(o._inbound_nodes) for o in everything},
        "readers": {o.name: len(o._outbound_nodes) for o in everything},
        "values": {v.path: v.numpy().tolist() for v in held.values()},
        "counts": [vars(layer).get("calls") for layer in inner],
        "losses": [len(layer._losses) for layer in inner],
        "compiled": (model.compiled, id(getattr(model, "_compile_config", None))),
        "optimizer": optimizer and (id(optimizer), optimizer.built),
        "built": [layer.built for layer in inner],
        "attributes": [sorted(vars(layer)) for layer in inner],
    }


def _parts(model):
    return [m for m in model._flatten_layers() if isinstance(m, keras.Model)]


def _operations(model):
    return [*getattr(model, "operations", ()), *model._flatten_layers()]


def _states(layer):
    if not getattr(layer, "stateful", False):
        return []
    return keras.tree.flatten(getattr(layer, "states", None) or ())


def draw():
    """Returns the next of each stream of random numbers and of names, a dict."""
    return {
        "random": random.random(),
        "numpy": float(np.random.rand()),
        "tensorflow": float(tf.random.uniform(())),
        "normal": tf.random.normal((4, 6, 6, 8)).numpy().ravel()[:3].tolist(),
        "keras": float(keras.random.uniform(())),
        "initializer": float(keras.initializers.RandomUniform()(()) * 1),
        "dropout": ops.convert_to_numpy(
            layers.Dropout(0.5)(np.ones(8), training=True)
        ).tolist(),
        "name": layers.Dense(2).name,
        "operation": ops.abs(keras.Input((2,)))._keras_history.operation.name,
        "conv": layers.Conv2D(2, 2).name,
        "model": keras.Sequential().name,
        "metric": keras.metrics.Mean().name,
    }
