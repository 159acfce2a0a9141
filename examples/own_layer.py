"""
Title: Prune a network with a layer of your own
Description: One call tells the pruner how channels pass a layer it does not know.
Accelerator: None

## Introduction

The pruner removes a channel only where it knows what every layer does with it. A layer
of your own is run on random numbers: if it keeps its channels apart, nothing has to be
said. Any other one locks the channels that it reads and those that it returns: they are
kept, and the report says why. One call of `register_layer` opens them.

    python examples/own_layer.py
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

import keras_shapley_prune
from keras_shapley_prune import LayerType, prune, register_layer, trace_channels
from keras_shapley_prune.layer_types.convolution_forms import ConvolutionForm

"""
## Four layers

The first scales each channel: what happens to one channel concerns no other. The second
is a convolution whose kernel is normalized in each call: it mixes all channels that it
reads into new ones. The others are subclasses of layers of Keras: one computes what its
parent does, in a `call` of its own, one something else.
"""


@keras.saving.register_keras_serializable("own_layer")
class ChannelScale(layers.Layer):
    """Multiplies each channel by a weight."""

    def build(self, input_shape):
        self.scale = self.add_weight(
            shape=(input_shape[-1],), initializer="ones", name="scale"
        )

    def call(self, inputs):
        return inputs * self.scale


@keras.saving.register_keras_serializable("own_layer")
class UnitConvolution(layers.Layer):
    """A 3x3 convolution; each filter's weights on each channel sum to a length."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape):
        shape = 3, 3, input_shape[-1], self.filters
        self.direction = self.add_weight(shape=shape, name="direction")
        self.length = self.add_weight(
            shape=(self.filters,), initializer="ones", name="length"
        )

    def call(self, inputs):
        sums = keras.ops.sum(keras.ops.abs(self.direction), axis=(0, 1))
        kernel = self.direction * self.length / (sums + 1e-6)
        return keras.ops.conv(inputs, kernel, padding="same")

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable("own_layer")
class Blur(layers.DepthwiseConv2D):
    """A `DepthwiseConv2D` that takes arrays, too."""

    def call(self, inputs):
        return super().call(keras.ops.convert_to_tensor(inputs))


@keras.saving.register_keras_serializable("own_layer")
class LoudConv2D(layers.Conv2D):
    """A `Conv2D` whose output counts double."""

    def call(self, inputs):
        return 2 * super().call(inputs)


"""
## What the pruner says before

A network of these layers, trained on the digits of scikit-learn. The first and the
third layer pass the trial: they keep their channels apart. The others lock what they
read and return, and the reason says what the trial found.
"""


def load_data():
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = images[order].reshape(-1, 8, 8, 1).astype("float32") / 16
    return (images[500:], labels[order][500:]), (images[:500], labels[order][:500])


def train(data, epochs):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", name="stem"),
            ChannelScale(name="scale"),
            layers.ReLU(),
            Blur(3, padding="same", name="blur"),
            UnitConvolution(48, name="unit"),
            layers.ReLU(),
            LoudConv2D(48, 3, activation="relu", name="loud"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(10, name="classes"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
    model.fit(*data, epochs=epochs, verbose=0)
    return model


def print_locks(model):
    for layer, reason in trace_channels(model).lock_reasons().items():
        print(f"{layer:8} {reason}")


"""
## Registering them: the short form

`flow` is what happens to the channels. `weights` names the axes of each weight, from
the right: `"i"` for the channels that the layer reads, `"o"` for those that it returns,
`"."` for any other axis. `size` is the entry of the layer's config that counts the
channels it returns; where Keras infers their number from the input, there is none.

That is enough to cut a layer. It does not say what the layer computes: so its kernels
count as FLOPs once for each position of its output, and repair does not refit it. For
the second layer, which has a kernel, a warning says so.
"""


def register_short_forms():
    register_layer(ChannelScale, flow="keep", weights={"scale": "i"})
    register_layer(
        UnitConvolution,
        flow="mix",
        size="filters",
        weights={"direction": "..io", "length": "o"},
    )


"""
## Like another layer

A subclass that overrides nothing of the computation counts as its parent. Any other one
may compute something else, so it is registered by itself. Where it computes the same,
all that is known of the parent holds. A trial has told that the third layer can be cut,
but not that it is linear, and so can be refitted by repair.
"""


def register_like_another():
    register_layer(Blur, like=layers.DepthwiseConv2D)


"""
## Everything there is to say

A `LayerType` has a method for each question that a step of pruning asks. The third
layer is a convolution, and then a function of its own on each number: with a
`linear_form`, repair refits its kernel as it does a `Conv2D`'s. `LayerType` lists the
other methods.
"""


class LoudForm(ConvolutionForm):
    """A convolution whose activation is doubled."""

    def activate(self, outputs):
        return 2 * super().activate(outputs)


class LoudType(LayerType):
    """What pruning knows of a `LoudConv2D`."""

    def flow(self, call, channels):
        channels.consume(call, 0)  # it mixes what it reads
        return channels.produce(call)  # into channels of its own

    def weights(self, operation):
        return {"kernel": "..io", "bias": "o"}

    def resize(self, config, kept):
        config["filters"] = int(kept["o"].sum())

    def linear_form(self, operation):
        return LoudForm(operation)


def register():
    register_short_forms()
    register_like_another()
    register_layer(LoudConv2D, LoudType())


"""
## When the declaration is wrong

`prune` runs the network that it cut against the one in which the same channels are
masked, and returns nothing if they differ. A layer that centres its channels makes each
depend on all others. Whoever registers it as one that keeps channels apart is told so.
"""


@keras.saving.register_keras_serializable("own_layer")
class Centre(layers.Layer):
    """Subtracts the mean over the channels."""

    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)


def build_centred():
    inputs = keras.Input((8, 8, 1))
    x = Centre()(layers.Conv2D(16, 3, activation="relu", name="conv")(inputs))
    return keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))


def prune_wrongly(images):
    register_layer(Centre, flow="keep")
    try:
        prune(build_centred(), images, verbose=0)
    except RuntimeError as error:
        return str(error)
    raise AssertionError("Expected an error")


"""
## A masked form

The channels still pass it one by one, but what happens to one depends on which others
there are: that is what `observe` says. While a channel is only masked, its zeros must
not count in the mean, as they will not in the smaller network: that is the masked form.
"""


class CentreType(LayerType):
    """What pruning knows of `Centre`."""

    def flow(self, call, channels):
        channels.observe(call, 0)
        return channels.ids(call.inputs[0])

    def masked(self, operation, masks, inputs):
        there = masks[0].along(inputs) * keras.ops.ones_like(inputs)
        count = keras.ops.maximum(keras.ops.sum(there, axis=-1, keepdims=True), 1)
        return inputs - keras.ops.sum(inputs, axis=-1, keepdims=True) / count


def prune_rightly(images):
    register_layer(Centre, CentreType())
    return prune(build_centred(), images, verbose=0).get_layer("conv").filters


def main(argv=None):
    parser = argparse.ArgumentParser(description="Prune a network of your own layers.")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--ratio", type=float, default=0.5)
    args = parser.parse_args(argv)
    if not 0 <= args.ratio < 1:
        parser.error(f"--ratio should be in [0, 1). Received: {args.ratio}")
    data, (test_images, test_labels) = load_data()
    model = train(data, args.epochs)
    print("Locked before:")
    print_locks(model)
    register()
    print("\nLocked after:")
    print_locks(model)
    pruned = prune(model, data[0][:200], args.ratio, verbose=0)
    print()
    keras_shapley_prune.compare(model, pruned)
    for name, network in [("original", model), ("pruned", pruned)]:
        accuracy = network.evaluate(test_images, test_labels, verbose=0)[1]
        print(f"{name}: accuracy {accuracy:.1%}")
    print(f"\nA wrong declaration: {prune_wrongly(data[0][:32])}")
    print(f"\nWith a masked form: {prune_rightly(data[0][:32])} of 16 filters are kept")


if __name__ == "__main__":
    main()
