"""
Title: Prune in rounds, and train between them
Description: Small cuts and short fits towards the original, against one large cut.
Accelerator: None

## Introduction

If there are training data and time, `prune` and `fit` can take turns: a small part of
the FLOPs is removed, the network recovers, the next part is removed. It recovers best
not with the labels alone but with the original network: `Distiller` trains the pruned
network to return what the original returns, and so also which wrong classes are nearly
right (*knowledge distillation*, Hinton et al., 2015).

This example compares, with the same number of epochs and the same FLOPs in the end:

- rounds: several small cuts, some epochs after each
- one cut, and all epochs after it
- one cut, and all epochs after it on the labels alone

    python examples/iterative_pruning.py
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

from keras_shapley_prune import Distiller, count_flops, prune

"""
## The network

A small CNN, trained on a third of the digits of scikit-learn: so there is something to
lose. The rest tests it.
"""


def load_data(num_train=600):
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images = images[order].reshape(-1, 8, 8, 1).astype("float32") / 16
    labels = labels[order]
    train = images[:num_train], labels[:num_train]
    return train, (images[num_train:], labels[num_train:])


def train_original(data, epochs, seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((8, 8, 1))])
    for filters in (32, 32, 64, 64):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        if filters == 32 and len(model.layers) > 3:
            model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(*data, epochs=epochs, verbose=0)
    return model


"""
## Rounds

After the last round the share `target` of the original's FLOPs has to be kept, so each
of `n` rounds keeps the n-th root of it. From round to round `keep_optimizer` hands
Adam's state on to the smaller network, cut like the weights. The first round starts
with a new
optimizer: the original has converged, Adam's averages are of its tiny gradients, and
the first steps after the cut may be too long. The teacher is always the original, not
the network of the round before.
"""


def prune_in_rounds(model, train, test, target, num_rounds, epochs):
    pruned = model
    for number in range(1, num_rounds + 1):
        allowed = count_flops(model) * target ** (number / num_rounds)
        pruned = prune(
            pruned,
            train[0][:200],
            ratio=1 - allowed / count_flops(pruned),
            of="flops",
            scope="global",
            keep_optimizer=number > 1,
            verbose=0,
        )
        cut = accuracy(pruned, test)
        Distiller(pruned, model).fit(*train, epochs=epochs, verbose=0)
        print_row(f"round {number}", model, pruned, cut, test)
    return pruned


"""
## One cut

The same in a single round. `alpha=1` is training on the labels alone.
"""


def prune_at_once(name, model, train, test, target, epochs, alpha):
    pruned = prune(
        model,
        train[0][:200],
        ratio=1 - target,
        of="flops",
        scope="global",
        verbose=0,
    )
    cut = accuracy(pruned, test)
    Distiller(pruned, model, alpha).fit(*train, epochs=epochs, verbose=0)
    print_row(name, model, pruned, cut, test)
    return pruned


def accuracy(network, test):
    return network.evaluate(*test, verbose=0, return_dict=True)["accuracy"]


def print_row(name, model, network, cut, test):
    share = count_flops(network) / count_flops(model)
    print(
        f"{name:20}{share:8.1%}{network.count_params():12,}"
        f"{cut:14.1%}{accuracy(network, test):12.1%}",
        flush=True,
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description="Prune in rounds with fits between.")
    parser.add_argument("--epochs", type=int, default=30, help="of the original")
    parser.add_argument("--fit-epochs", type=int, default=5, help="of each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--target", type=float, default=0.05, help="share of the FLOPs to keep"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if not 0 < args.target < 1:
        parser.error(f"--target should be in (0, 1). Received: {args.target}")
    train, test = load_data()
    model = train_original(train, args.epochs, args.seed)
    print(
        f"{'':20}{'FLOPs':>8}{'parameters':>12}{'after the cut':>14}{'after fit':>12}"
    )
    print_row("original", model, model, accuracy(model, test), test)
    prune_in_rounds(model, train, test, args.target, args.rounds, args.fit_epochs)
    epochs = args.rounds * args.fit_epochs
    for name, alpha in (("one cut", 0.1), ("one cut, labels only", 1.0)):
        prune_at_once(name, model, train, test, args.target, epochs, alpha)


if __name__ == "__main__":
    main()
