"""
Title: A residual network under a budget of FLOPs
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/25
Last modified: 2026/11/29
Description: Remove units where they cost least: read the plan, edit it, apply it.
Accelerator: None

## Introduction

A *budget* says how much of a network is to be removed: a share of its FLOPs, parameters
or bytes. A *plan* says which units that are. `prune` makes a plan and applies it at
once. This tutorial does it in steps: it ranks the units, makes plans for several
budgets, edits one of them, and then cuts.

    python -m pip install ".[examples]"
    python examples/flops_budget.py
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

from keras_shapley_prune import (
    PruningPlan,
    ShapleyRanker,
    apply_plan,
    count_flops,
    games,
    plan_pruning,
)

EPOCHS = 20

keras.utils.set_random_seed(0)

"""
## Train a residual network

It has three stages of one block each, and classifies the digits that scikit-learn
ships. A block adds its output to its input, so both must have the same channels. The
pruner knows: these channels are one group, and are removed from all of its layers.
"""

images, labels = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
train_x, test_x, train_y, test_y = train_test_split(
    images, labels, test_size=500, random_state=0, stratify=labels
)


def convolve(x, filters, name, strides=1):
    x = layers.Conv2D(
        filters, 3, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)


inputs = keras.Input((8, 8, 1))
x = layers.ReLU()(convolve(inputs, 16, "stem"))
for stage, filters in enumerate((16, 32, 64), start=1):
    strides = 1 if stage == 1 else 2
    y = layers.ReLU()(convolve(x, filters, f"stage{stage}_in", strides))
    y = convolve(y, filters, f"stage{stage}_out")
    if strides == 2:
        x = layers.Conv2D(filters, 1, 2, name=f"stage{stage}_skip")(x)
    x = layers.ReLU()(layers.Add()([x, y]))
outputs = layers.Dense(10, name="logits")(layers.GlobalAveragePooling2D()(x))
model = keras.Model(inputs, outputs)

loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
model.fit(train_x, train_y, epochs=EPOCHS, verbose=0)


def measure_accuracy(network):
    return network.evaluate(test_x, test_y, verbose=0, return_dict=True)["accuracy"]


print(f"{count_flops(model):,} FLOPs, accuracy {measure_accuracy(model):.1%}")

"""
## Rank the units

A ranking says what each unit is worth. It serves any number of plans. `costs="outputs"`
also measures by how much the outputs of the network change as units are removed in
ranked order, and the others are refitted. Plans need that to compare layers with each
other.
"""

ranker = ShapleyRanker(games.Reconstruction(horizon=0.25, costs="outputs"))
ranking = ranker.rank(model, train_x[:200], verbose=0)
print(f"{len(ranking)} groups are ranked")

"""
## Make plans

`scope="layer"` removes the same share of every layer. `scope="global"` removes units of
any layer, first those that cost least for the FLOPs they save. A plan knows the exact
FLOPs of the smaller network, although nothing has been cut yet.
"""

RATIO = 0.6

plans = {
    "layer": plan_pruning(model, ranking, RATIO, of="flops"),
    "global": plan_pruning(model, ranking, RATIO, of="flops", scope="global"),
}
print(plans["global"])

"""
## Edit a plan

Perhaps you do not want a layer of four filters, or have a processor that is fastest
with multiples of 8. `min_units` and `round_to` plan for that. What no option says,
`resize` does: here each group gets back units up to the next multiple of 8. A plan can
be kept in a JSON file of one line a group, and edited there, too.
"""

sizes = {
    name: min(before, -(-after // 8) * 8)
    for name, (before, after) in plans["global"].units.items()
}
plans["global, edited"] = plans["global"].resize(sizes)
plans["global, edited"].save("plan.json")
plans["global, edited"] = PruningPlan.load("plan.json", model)
print(sizes)

"""
## Apply the plans

`apply_plan` cuts, refits the kept units on the images, and checks the result.
"""

print(f"{'':16}{'FLOPs':>8}{'parameters':>12}{'accuracy':>10}")
print(
    f"{'original':16}{1:8.1%}{model.count_params():12,}{measure_accuracy(model):10.1%}"
)
for name, plan in plans.items():
    pruned = apply_plan(model, plan, train_x[:200], verbose=0)
    share, accuracy = count_flops(pruned) / count_flops(model), measure_accuracy(pruned)
    print(f"{name:16}{share:8.1%}{pruned.count_params():12,}{accuracy:10.1%}")

"""
Both plans keep as much accuracy: half a point is noise of 500 test images. The global
plan does so with a third fewer parameters. The edited plan costs a quarter of the FLOPs
more, and wins a point back.

## What to read next

- [Train after pruning](iterative_pruning.py) wins back what is lost here.
- [Prune a U-Net as far as its IoU allows](segmentation.py), if you do not know how much
  is to be removed.
- [Latency as a budget](../docs/latency.md): milliseconds in the place of FLOPs.
- [Step by step](../docs/steps.md): all budgets, and what else a plan can do.
"""
