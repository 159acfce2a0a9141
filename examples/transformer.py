"""
Title: Prune the heads and the neurons of a vision transformer
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A small ViT loses attention heads, neurons of its MLPs, and its width.
Accelerator: None

## Introduction

A transformer has three kinds of units that can be removed. Each block has *attention
heads*, and a multilayer perceptron (MLP) with *neurons*. All blocks read and write the
same *embedding*: what one of its channels carries is added up from block to block, so a
channel is removed from all blocks or from none.

This tutorial removes each kind alone, and measures what that costs.

    python -m pip install ".[examples]"
    python examples/transformer.py
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

NUM_BLOCKS = 3
EPOCHS = 40
FIT_EPOCHS = 5

keras.utils.set_random_seed(0)

"""
## Load the data

The digits that scikit-learn ships: 8x8 pixels, ten classes.
"""

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
train_x, test_x, train_y, test_y = train_test_split(
    images, labels, test_size=500, random_state=0, stratify=labels
)
print("train", train_x.shape, "test", test_x.shape)

"""
## Build a small ViT

A convolution with strides cuts each image into 16 patches of 2x2 pixels and embeds
them. `EinsumDense` can have a bias with an entry for each patch and channel, which is
all that a position embedding is.
"""

EMBEDDING = 64
NUM_HEADS = 8

inputs = keras.Input((8, 8, 1), name="image")
x = layers.Conv2D(EMBEDDING, 2, strides=2, name="patches")(inputs)
x = layers.Reshape((16, EMBEDDING))(x)
x = layers.EinsumDense(
    "bpi,io->bpo", (16, EMBEDDING), bias_axes="po", name="positions"
)(x)
for block in range(NUM_BLOCKS):
    attention = layers.MultiHeadAttention(
        NUM_HEADS, EMBEDDING // NUM_HEADS, name=f"block{block}_attention"
    )
    y = layers.LayerNormalization()(x)
    x = layers.Add()([x, attention(y, y)])
    y = layers.LayerNormalization()(x)
    y = layers.Dense(2 * EMBEDDING, activation="gelu", name=f"block{block}_mlp")(y)
    y = layers.Dense(EMBEDDING, name=f"block{block}_out")(y)
    x = layers.Add()([x, y])
x = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))
model = keras.Model(inputs, layers.Dense(10, name="logits")(x))

"""
## Train it
"""

model.compile(
    "adam",
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, epochs=EPOCHS, verbose=0)

accuracy = model.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]
print(f"{model.count_params():,} parameters, accuracy {accuracy:.1%}")

"""
## See what can be removed

A *group* holds the units that are ranked among each other. The units of an attention
are its heads. The group of the embedding has one name, that of its first layer, and
many layers that write to it.
"""

for group in keras_shapley_prune.trace_channels(model).groups:
    print(f"{group.name:24}{group.num_units:4} units")

"""
## Remove one kind at a time

`layers` says which layers lose units. The name of an attention would stand for its
heads and for the embedding that it writes to; the group of its heads has its own name.
A hundred images without labels rank the units and refit the kept ones.
"""

choices = {
    "heads": {"layers": "*/heads"},
    "neurons": {"layers": "*_mlp"},
    "embedding": {"layers": "positions"},
    "heads and neurons": {"layers": ["*/heads", "*_mlp"]},
}
networks = {"nothing": model}
for name, choice in choices.items():
    networks[name] = keras_shapley_prune.prune(
        model, train_x[:100], ratio=0.5, **choice, verbose=0
    )

print(f"{'half removed of':20}{'FLOPs':>8}{'parameters':>12}{'accuracy':>10}")
for name, network in networks.items():
    share = keras_shapley_prune.count_flops(network)
    share /= keras_shapley_prune.count_flops(model)
    accuracy = network.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]
    print(f"{name:20}{share:8.1%}{network.count_params():12,}{accuracy:10.1%}")

"""
Half of the neurons can go almost for free, since the kept ones make up for them. Heads
cost most for what they save: each head looks at other patches, and the kept ones cannot
do that for it. The embedding saves most, as every layer reads and writes it.

## Train the smaller network

The result is a plain Keras model, compiled like the original. A few epochs with a low
learning rate win back some of what was lost.
"""

smaller = networks["heads and neurons"]
smaller.optimizer.learning_rate = 1e-4
smaller.fit(train_x, train_y, epochs=FIT_EPOCHS, verbose=0)

accuracy = smaller.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]
print(f"{smaller.count_params():,} parameters, accuracy {accuracy:.1%}")
print("heads:", smaller.get_layer("block0_attention").num_heads)
print("neurons:", smaller.get_layer("block0_mlp").units)

"""
## What to read next

- [Train after pruning, towards the original](iterative_pruning.py) wins back more.
- [A residual network under a budget of FLOPs](flops_budget.py): budgets, and plans that
  you can edit.
- [What can be pruned](../docs/what_can_be_pruned.md): which layers lose units, and how
  attention is found that is written out.
"""
