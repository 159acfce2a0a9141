"""
Title: Train after pruning, towards the original
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/25
Last modified: 2026/11/29
Description: Remove 95 % of the FLOPs at once or in rounds, and distill the original.
Accelerator: None

## Introduction

Pruning needs no training. But if you have training data and time, much more can be
removed. The pruned network recovers best not from the labels alone but from the
original network: `PruningDistiller` trains it to return what the original returns, and
so also which wrong classes are nearly right (*knowledge distillation*,
[Hinton et al., 2015](https://arxiv.org/abs/1503.02531)).

This tutorial removes 95 % of the FLOPs of a network in three ways, each with the same
number of epochs in all:

- one cut, then training on the labels
- one cut, then training towards the original
- four smaller cuts, each followed by some training towards the original

    python -m pip install ".[examples]"
    python examples/iterative_pruning.py
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

from keras_shapley_prune import PruningDistiller, count_flops, prune

SEED = 0
EPOCHS = 30
FIT_EPOCHS = 5
NUM_ROUNDS = 4
KEPT = 0.05

keras.utils.set_random_seed(SEED)

"""
## Train the original

A small CNN, trained on a third of the digits of scikit-learn, so that there is
something to lose. The rest tests it.
"""

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
train_x, test_x, train_y, test_y = train_test_split(
    images, labels, train_size=600, random_state=0, stratify=labels
)

model = keras.Sequential([keras.Input((8, 8, 1))])
for filters, pooled in ((32, False), (32, True), (64, False), (64, False)):
    model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
    model.add(layers.BatchNormalization(momentum=0.9))
    model.add(layers.ReLU())
    if pooled:
        model.add(layers.MaxPooling2D())
model.add(layers.GlobalAveragePooling2D())
model.add(layers.Dense(10))

loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
model.fit(train_x, train_y, epochs=EPOCHS, verbose=0)


def print_row(name, network):
    share = count_flops(network) / count_flops(model)
    result = network.evaluate(test_x, test_y, verbose=0, return_dict=True)
    print(f"{name:24}{share:8.1%} of the FLOPs{result['accuracy']:10.1%}")


print_row("original", model)

"""
## Cut once

`scope="global"` removes filters where they cost least. Nothing has been trained yet.
"""


def cut(network, kept, keep_optimizer=False):
    """Removes filters until a share `kept` of the original's FLOPs is left."""
    ratio = 1 - kept * count_flops(model) / count_flops(network)
    return prune(
        network,
        train_x[:200],
        ratio,
        of="flops",
        scope="global",
        keep_optimizer=keep_optimizer,
        verbose=0,
    )


on_labels, distilled = cut(model, KEPT), cut(model, KEPT)
print_row("one cut", distilled)

"""
## Train the result

What `prune` returns is a plain Keras model, compiled like the original: it can be
fitted like any. A `PruningDistiller` is fitted in the same way. It trains the student
in place.
"""

on_labels.fit(train_x, train_y, epochs=NUM_ROUNDS * FIT_EPOCHS, verbose=0)
print_row("trained on the labels", on_labels)

distiller = PruningDistiller(teacher=model, student=distilled)
distiller.fit(train_x, train_y, epochs=NUM_ROUNDS * FIT_EPOCHS, verbose=0)
print_row("distilled", distilled)

"""
## Cut in rounds

Each of `n` rounds keeps the same share of the FLOPs: the n-th root of what is to be
kept in the end. The teacher is always the original, not the network of the round
before. From the second round on, `keep_optimizer` hands Adam's state on to the smaller
network, cut like the weights. The first round starts with a new optimizer: the original
has converged, so Adam's averages are of tiny gradients, and the first steps after the
cut might be too long.
"""

pruned = model
for number in range(1, NUM_ROUNDS + 1):
    pruned = cut(pruned, KEPT ** (number / NUM_ROUNDS), keep_optimizer=number > 1)
    print_row(f"round {number}, cut", pruned)
    PruningDistiller(teacher=model, student=pruned).fit(
        train_x, train_y, epochs=FIT_EPOCHS, verbose=0
    )
    print_row(f"round {number}, distilled", pruned)

"""
A network of a twentieth of the FLOPs is within three points of the original. The
ways to train it differ by less, and half a point is noise of 1,197 test images. So
begin with one cut and a `PruningDistiller`; rounds are for the last point.

## What to read next

- [Training after pruning](../docs/fine_tuning.md): the options of `PruningDistiller`,
  what `keep_optimizer` does, and the same comparison with three seeds.
- [Serve a pruned network over HTTP](serve_savedmodel.py).
"""
