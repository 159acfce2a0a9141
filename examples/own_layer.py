"""
Title: Prune a network with a layer of your own
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/25
Last modified: 2026/11/29
Description: One call tells the pruner how channels pass a layer it does not know.
Accelerator: None

## Introduction

The pruner removes a channel only where it knows what every layer does with it. A layer
of your own is run on random numbers: if it keeps its channels apart, you have nothing
to do. Any other layer *locks* the channels that it reads and those that it returns:
they are kept, and the report says why. One call of `register_layer` opens them.

    python -m pip install ".[examples]"
    python examples/own_layer.py
"""

"""
## Setup
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_shapley_prune
from keras_shapley_prune import LayerType, prune, register_layer, trace_channels
from keras_shapley_prune.layer_types.convolution_forms import ConvolutionForm

EPOCHS = 30

keras.utils.set_random_seed(0)

"""
## Three layers

The first scales each channel: what happens to one channel does not depend on another.
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


"""
The second is a convolution whose kernel is normalized in each call. It mixes all
channels that it reads into new ones.
"""


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


"""
The third is a subclass of a layer of Keras. It computes something else in a `call` of
its own, so what is known of its parent does not hold.
"""


@keras.saving.register_keras_serializable("own_layer")
class LoudConv2D(layers.Conv2D):
    """A `Conv2D` whose output counts double."""

    def call(self, inputs):
        return 2 * super().call(inputs)


"""
## Train a network of them

The data are the digits that scikit-learn ships.
"""

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
train_x, test_x, train_y, test_y = train_test_split(
    images, labels, test_size=500, random_state=0, stratify=labels
)

model = keras.Sequential(
    [
        keras.Input((8, 8, 1)),
        layers.Conv2D(32, 3, padding="same", name="stem"),
        ChannelScale(name="scale"),
        layers.ReLU(),
        UnitConvolution(48, name="unit"),
        layers.ReLU(),
        LoudConv2D(48, 3, activation="relu", name="loud"),
        layers.GlobalMaxPooling2D(),
        layers.Dense(10, name="classes"),
    ]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
model.fit(train_x, train_y, epochs=EPOCHS, verbose=0)

accuracy = model.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]
print(f"{model.count_params():,} parameters, accuracy {accuracy:.1%}")

"""
## See what is locked

`ChannelScale` has passed the trial: it keeps its channels apart. The others lock what
they read and what they return. The reasons say why.
"""

for layer, reason in trace_channels(model).lock_reasons().items():
    print(f"{layer}: {reason}")

"""
## Register a layer by its weights

`flow` is what happens to the channels: this layer mixes them. `weights` names the axes
of each weight, from the right: `"i"` for the channels that the layer reads, `"o"` for
those that it returns, `"."` for any other axis. `size` is the entry of the config that
counts the channels it returns.

That is enough to cut the layer. It does not say what the layer computes, so repair does
not refit its kernel. A warning says so.
"""

register_layer(
    UnitConvolution,
    flow="mix",
    size="filters",
    weights={"direction": "..io", "length": "o"},
)

"""
A layer that computes exactly what a layer of Keras does needs less:
`register_layer(MyConv2D, like=layers.Conv2D)`.

## Register a layer by a `LayerType`

A `LayerType` has a method for each question that a step of pruning asks. `LoudConv2D`
is a convolution, and then a function of its own on each number. With a `linear_form`,
repair refits its kernel as it does that of a `Conv2D`.
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


register_layer(LoudConv2D, LoudType())

"""
## Prune

Now only the output of the network is locked.
"""

print(trace_channels(model).lock_reasons())

pruned = prune(model, train_x[:200], ratio=0.5, verbose=0)
keras_shapley_prune.compare(model, pruned)
accuracy = pruned.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]
print(f"accuracy {accuracy:.1%}")

"""
## What if the declaration is wrong?

Before `prune` returns a network, it compares it with the original in which the same
channels are masked. If they differ, there is an error. For example, this layer centers
its channels, so each depends on all others:
"""


@keras.saving.register_keras_serializable("own_layer")
class Center(layers.Layer):
    """Subtracts the mean over the channels."""

    def call(self, inputs):
        return inputs - keras.ops.mean(inputs, axis=-1, keepdims=True)


"""
Whoever registers it as a layer that keeps its channels apart is told so:
"""

register_layer(Center, flow="keep")

inputs = keras.Input((8, 8, 1))
x = Center()(layers.Conv2D(16, 3, activation="relu", name="conv")(inputs))
centered = keras.Model(inputs, layers.Dense(10)(layers.Flatten()(x)))
try:
    prune(centered, train_x[:32], verbose=0)
except RuntimeError as error:
    print(str(error).split(". ")[0])

"""
## A masked form

In truth, each channel still passes this layer as itself, but what happens to it depends
on which others there are: that is what `observe` says. While a channel is only masked,
its zeros must not count in the mean, as they will not in the smaller network. `masked`
is what the layer computes then.
"""


class CenterType(LayerType):
    """What pruning knows of `Center`."""

    def flow(self, call, channels):
        channels.observe(call, 0)
        return channels.ids(call.inputs[0])

    def masked(self, operation, masks, inputs):
        there = masks[0].along(inputs) * keras.ops.ones_like(inputs)
        count = keras.ops.maximum(keras.ops.sum(there, axis=-1, keepdims=True), 1)
        return inputs - keras.ops.sum(inputs, axis=-1, keepdims=True) / count


register_layer(Center, CenterType())
pruned = prune(centered, train_x[:32], verbose=0)
print(pruned.get_layer("conv").filters, "of 16 filters are kept")

"""
## What to read next

- [Extend](../docs/api/extend.md): all methods of a `LayerType`, and their defaults.
- [What can be pruned](../docs/what_can_be_pruned.md): layers that are known, and models
  that are code, such as a subclass with a `call`.
- [Prune the heads and the neurons of a vision transformer](transformer.py).
"""
