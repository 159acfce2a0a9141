"""
Title: Prune a U-Net as far as its IoU allows
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/29
Last modified: 2026/11/29
Description: A segmentation network loses filters until its mean IoU drops by a point.
Accelerator: None

## Introduction

How much of a network can be removed? For each network the answer is another one, so
`prune_until` looks for it. You say by how much a metric may drop. It ranks all filters
once, prunes by different amounts, measures each result, and returns the smallest
network that is good enough.

Here the network is a small U-Net, which tells for each pixel of an image what is there.
The metric is the mean *intersection over union* (IoU) of the classes.

    python -m pip install ".[examples]"
    python examples/segmentation.py
"""

"""
## Setup
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

import keras_shapley_prune

NUM_TRAIN = 500
EPOCHS = 12
FILTERS = 16

keras.utils.set_random_seed(0)

"""
## Draw the data

Each image shows two discs and two squares of random size, brightness and place, under
noise. What is drawn later covers what was drawn before. The label of a pixel is 0 for
the background, 1 for a disc, 2 for a square.
"""


def draw(num_images, seed, size=40):
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    images = np.zeros((num_images, size, size, 1), "float32")
    labels = np.zeros((num_images, size, size), "int32")
    for image, label in zip(images, labels, strict=True):
        for kind in generator.permutation([1, 1, 2, 2]):
            row, column = generator.integers(5, size - 5, 2)
            radius = generator.integers(4, 9)
            down, right = np.abs(rows - row), np.abs(columns - column)
            disc, square = down**2 + right**2, np.maximum(down, right) ** 2
            inside = (disc if kind == 1 else square) < radius**2
            image[inside] = generator.uniform(0.3, 1.0)
            label[inside] = kind
    noise = generator.normal(0.0, 0.15, images.shape)
    return images + noise.astype("float32"), labels


train = draw(NUM_TRAIN, seed=0)
validation = draw(100, seed=1)
test = draw(200, seed=2)
print("images", train[0].shape, "labels", train[1].shape)
shares = np.bincount(train[1].ravel()) / train[1].size
print("pixels of each class:", " ".join(f"{share:.0%}" for share in shares))

"""
## Build the network

The left side of a U-Net halves the image twice, the right side doubles it again. A
*skip connection* hands each left map over to the right, where `Concatenate` puts it
beside what came from below. So each filter on the left is read in two places.
"""


def add_block(x, filters, name):
    for position in (1, 2):
        x = layers.Conv2D(
            filters, 3, padding="same", use_bias=False, name=f"{name}_conv{position}"
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm{position}")(x)
        x = layers.ReLU(name=f"{name}_relu{position}")(x)
    return x


inputs = keras.Input((40, 40, 1), name="image")
left1 = add_block(inputs, FILTERS, "left1")
left2 = add_block(layers.MaxPooling2D()(left1), 2 * FILTERS, "left2")
bottom = add_block(layers.MaxPooling2D()(left2), 4 * FILTERS, "bottom")
up2 = layers.Concatenate()([left2, layers.UpSampling2D()(bottom)])
right2 = add_block(up2, 2 * FILTERS, "right2")
up1 = layers.Concatenate()([left1, layers.UpSampling2D()(right2)])
right1 = add_block(up1, FILTERS, "right1")
outputs = layers.Conv2D(3, 1, activation="softmax", name="classes")(right1)
model = keras.Model(inputs, outputs)

print(f"{model.count_params():,} parameters")
print(f"{keras_shapley_prune.count_flops(model):,} FLOPs")

"""
## Train it
"""

model.compile(
    keras.optimizers.Adam(3e-3),
    "sparse_categorical_crossentropy",
    metrics=[keras.metrics.MeanIoU(3, sparse_y_pred=False, name="mean_iou")],
)
model.fit(*train, epochs=EPOCHS, batch_size=16, verbose=0)

print(f"mean IoU {model.evaluate(*test, verbose=0, return_dict=True)['mean_iou']:.1%}")

"""
## Prune it

The images of the first argument rank the filters and refit the kept ones; their labels
are not used. `validation_data` is what the IoU is measured on, and has labels. It
should not be the test set: the smallest network that is good enough on some data looks
a little better there than it is. `max_drop` is in the units of the metric: here
0.01, one point of IoU. Nothing is trained.
"""

pruned = keras_shapley_prune.prune_until(
    model,
    train[0][:100],
    max_drop=0.01,
    metric="mean_iou",
    validation_data=validation,
    scope="global",
    verbose=0,
)
keras_shapley_prune.compare(model, pruned)

"""
With `scope="global"`, the layers do not all lose the same share of their filters: those
are removed that cost least for the FLOPs they save. The filters of `classes` are the
output of the network. They are *locked*, so all of them are kept.

## Measure it on the test set
"""

for name, network in (("original", model), ("pruned", pruned)):
    result = network.evaluate(*test, verbose=0, return_dict=True)
    print(f"{name:10} mean IoU {result['mean_iou']:.1%}")

"""
On the 100 images of the validation set the IoU has dropped by no more than a point. On
the test set it has dropped by two. So small a validation set is a rough measure: with
few images, allow less than you can afford.

## Look at some images
"""

shown = test[0][:4]
maps = [test[1][:4]] + [n.predict(shown, verbose=0).argmax(-1) for n in (model, pruned)]
titles = ("image", "labels", "original", "pruned")

figure, grid = plt.subplots(4, 4, figsize=(6, 6), layout="constrained")
for row, pictures in zip(grid, zip(shown, *maps, strict=True), strict=True):
    row[0].imshow(pictures[0], cmap="gray")
    for axes, picture in zip(row[1:], pictures[1:], strict=True):
        axes.imshow(picture, vmin=0, vmax=2, interpolation="nearest")
for axes, title in zip(grid[0], titles, strict=True):
    axes.set_title(title)
for axes in grid.flat:
    axes.set_axis_off()
figure.savefig("segmentation.png", dpi=80)

"""
![Four images, their labels, and the maps of both networks](segmentation.png)

## What to read next

- [A residual network under a budget of FLOPs](flops_budget.py), if you know how much is
  to be removed, and want to change the plan before anything is cut.
- [Train after pruning](iterative_pruning.py), if you have time for training.
- [Which ranker, which budget, how much data](../docs/choosing.md).
"""
