"""
Title: A residual network under a budget of FLOPs
Description: Remove units where they cost least: read the plan, edit it, apply it.
Accelerator: None

## Introduction

A budget says how much of a network is to be removed: a share of its FLOPs, parameters
or bytes. `scope="layer"` removes the same share of every layer. `scope="global"`
removes those units of any layer that cost least for what they save. Before anything is
cut there is a plan, which can be read, changed and kept in a file.

    python examples/flops_budget.py
"""

import argparse
import os
import pathlib
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from keras_shapley_prune import (
    PruningPlan,
    ShapleyRanker,
    apply_plan,
    count_flops,
    games,
    plan_pruning,
)

"""
## The network

Three stages of residual blocks, one each unless `--blocks` says more. The channels of a
stage are added up from block to block: they are one group, which loses the same
channels in all of its layers.
"""


def load_data():
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = images[order].reshape(-1, 8, 8, 1).astype("float32") / 16
    train, test = slice(1000), slice(1300, None)
    return [(images[part], labels[order][part]) for part in (train, test)]


def convolve(x, filters, name, strides=1, activation="relu"):
    x = layers.Conv2D(
        filters, 3, strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.Activation(activation, name=f"{name}_activation")(x)


def train_network(data, epochs, num_blocks=1):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = convolve(inputs, 16, "stem")
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(1, num_blocks + 1):
            name = f"stage{stage}_block{block}"
            strides = 2 if block == 1 and stage > 1 else 1
            y = convolve(x, filters, f"{name}_in", strides)
            y = convolve(y, filters, f"{name}_out", activation="linear")
            if strides == 2:
                x = layers.Conv2D(filters, 1, 2, name=f"{name}_skip")(x)
            x = layers.ReLU(name=name)(layers.Add(name=f"{name}_add")([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(10, name="logits")(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(*data, epochs=epochs, verbose=0)
    return model


"""
## Plans

The units are ranked once; a ranking serves any number of plans. A plan knows the exact
FLOPs of the smaller network, and nothing has been cut yet.

The global plan removes units where they cost least for the FLOPs they save. Units are
removed in ranked order. The cost of a unit is by how much more the outputs of the
network change once it, and all units before it, are gone and the layers that read them
are refitted. Read a plan before you apply it; `min_units` is the minimum number of
units kept in each group.
"""


def make_plans(model, images, ratio):
    ranker = ShapleyRanker(games.Reconstruction(horizon=0.25, costs="outputs"))
    ranking = ranker.rank(model, images, verbose=0)
    return {
        name: plan_pruning(model, ranking, ratio, of="flops", **budget)
        for name, budget in (
            ("layer", {}),
            ("global", {"scope": "global"}),
            ("global, 8 at least", {"scope": "global", "min_units": 8}),
        )
    }


"""
## Editing

Two ways: `resize` in Python, and a file with one line a group. Here the groups get
back units up to the next multiple of 8, which many processors are fastest with.
"""


def round_up(plan, multiple=8):
    sizes = {
        name: min(before, -(-after // multiple) * multiple)
        for name, (before, after) in plan.units.items()
    }
    return plan.resize(sizes)


def through_a_file(plan, model):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "plan.json"
        plan.save(path)
        return PruningPlan.load(path, model)


"""
## Apply them

`apply_plan` cuts and repairs. To ask for an allowed drop of the accuracy instead of a
budget, there is `prune_until`; `hundred_images.py` shows it.
"""


def accuracy(network, data):
    return network.evaluate(*data, verbose=0, return_dict=True)["accuracy"]


def print_row(name, model, network, test):
    share = count_flops(network) / count_flops(model)
    parameters = network.count_params()
    print(f"{name:20}{share:8.1%}{parameters:12,}{accuracy(network, test):10.1%}")


def main(argv=None):
    parser = argparse.ArgumentParser(description="Prune to a budget of FLOPs.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--blocks", type=int, default=1, help="of each stage")
    parser.add_argument("--ratio", type=float, default=0.7, help="of FLOPs to remove")
    args = parser.parse_args(argv)
    if not 0 <= args.ratio < 1:
        parser.error(f"--ratio should be in [0, 1). Received: {args.ratio}")
    train, test = load_data()
    model = train_network(train, args.epochs, args.blocks)
    images = train[0][:100]
    plans = make_plans(model, images, args.ratio)
    print(f"{plans['global']}\n")
    edited = round_up(plans["global, 8 at least"])
    plans["multiples of 8"] = through_a_file(edited, model)

    print(f"{'':20}{'FLOPs':>8}{'parameters':>12}{'accuracy':>10}")
    print_row("original", model, model, test)
    for name, plan in plans.items():
        print_row(name, model, apply_plan(model, plan, images, verbose=0), test)


if __name__ == "__main__":
    main()
