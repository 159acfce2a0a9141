"""
Title: Prune a trained network with 100 images and no training
Description: A saved model, a hundred unlabelled images, a few seconds: a smaller model.
Accelerator: None

## Introduction

Often you have only the file of a network and some images, but no labels, no training
set and no training script. That is enough. Units are ranked by how well the other units
can make up for them. The other units are then refitted, in closed form, on the same few
images.

    python examples/hundred_images.py
    python examples/hundred_images.py --dataset fashion_mnist
"""

import argparse
import os
import pathlib
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from keras import layers

from keras_shapley_prune import count_flops, prune, prune_until

"""
## The data

The digits of scikit-learn, or a set of TensorFlow Datasets with images of one size,
such as `fashion_mnist` or `cifar10`. All but the hundred images is for training the
network and for showing, in the end, what pruning has cost.
"""


def load_data(name, data_dir=None):
    if name == "digits":
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(images))
        images, labels = images[order].reshape(-1, 8, 8, 1) / 16, labels[order]
        parts = (images[500:], labels[500:]), (images[:500], labels[:500])
    else:
        import tensorflow_datasets as tfds

        split = ["train[:20000]", "test[:5000]"]
        options = {"as_supervised": True, "batch_size": -1, "data_dir": data_dir}
        parts = tfds.as_numpy(tfds.load(name, split=split, **options))
        parts = [(images / 255, labels) for images, labels in parts]
    return [(images.astype("float32"), labels) for images, labels in parts]


"""
## Someone else's network

It is trained here, and saved. What follows has the file and the images only.
"""


def train_and_save(path, data, epochs):
    keras.utils.set_random_seed(0)
    images, labels = data
    model = keras.Sequential([keras.Input(images.shape[1:])])
    for position, filters in enumerate((16, 32, 32, 64)):
        model.add(layers.Conv2D(filters, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
        if position in (1, 2):
            model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(int(labels.max()) + 1, activation="softmax"))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, batch_size=64, epochs=epochs, verbose=0)
    model.save(path)


"""
## Pruning it

One call for each share of the FLOPs. `repair=None` shows what the refit is good for.
"""


def prune_by(model, images, test, ratios):
    print(f"{'FLOPs removed':16}{'parameters':>12}{'not repaired':>14}{'repaired':>10}")
    print(f"{'none':16}{model.count_params():12,}{accuracy(model, test):24.1%}")
    for ratio in ratios:
        cut, repaired = (
            prune(model, images, ratio, of="flops", repair=repair, verbose=0)
            for repair in (None, "least_squares")
        )
        print(
            f"{1 - count_flops(repaired) / count_flops(model):<16.1%}"
            f"{repaired.count_params():12,}{accuracy(cut, test):14.1%}"
            f"{accuracy(repaired, test):10.1%}",
            flush=True,
        )


"""
## How much can be removed?

Accuracy cannot be measured without labels, but one can measure how often the smaller
network says what the original says. `prune_until` takes any such function, and removes
as much as it allows: here until they differ on more than 2 of the 100 images. Half of
the images are used to prune, and all to measure.
"""


def agreement_with(model, images):
    expected = model.predict(images, verbose=0).argmax(-1)

    def agreement(candidate):
        found = candidate.predict(images, verbose=0).argmax(-1)
        return float(np.mean(found == expected))

    return agreement


def accuracy(network, test):
    return network.evaluate(*test, verbose=0, return_dict=True)["accuracy"]


def main(argv=None):
    parser = argparse.ArgumentParser(description="Prune with 100 images.")
    parser.add_argument("--dataset", default="digits", help="or a name of TFDS")
    parser.add_argument("--data-dir", help="where TensorFlow Datasets keeps its data")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--ratios", type=float, nargs="*", default=[0.3, 0.5, 0.7])
    parser.add_argument("--max-drop", type=float, default=0.02, help="of agreement")
    args = parser.parse_args(argv)
    if not all(0 <= ratio < 1 for ratio in args.ratios):
        parser.error(f"--ratios should be in [0, 1). Received: {args.ratios}")
    train, test = load_data(args.dataset, args.data_dir)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.keras"
        train_and_save(path, train, args.epochs)
        model = keras.models.load_model(path)
    images = train[0][: args.images]
    prune_by(model, images, test, args.ratios)

    start = time.perf_counter()
    pruned = prune_until(
        model,
        images[::2],
        max_drop=args.max_drop,
        metric=agreement_with(model, images),
        verbose=0,
    )
    seconds = time.perf_counter() - start
    left = count_flops(pruned) / count_flops(model)
    print(
        f"\nThe same class on {1 - args.max_drop:.0%} of {len(images)} images: "
        f"{left:.1%} of the FLOPs "
        f"left, accuracy {accuracy(pruned, test):.1%}, {seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
