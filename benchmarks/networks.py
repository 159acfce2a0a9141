"""The networks and data the benchmarks measure on.

Data comes from folders that are given on the command line, trained networks are kept
in a cache folder:

    --tfds DIR       TensorFlow Datasets' data_dir, with fashion_mnist prepared
    --pretrained DIR the files cifar10_8k.npz, resnet20_cifar10.keras, the same of 44
                     and 56 layers, resnet8_cifar10_mlperf.keras; cifar100_7k.npz and
                     resnet32_cifar100.keras; imagenet_800_jpeg.npz and
                     mobilenet025_imagenet.keras
    --cache DIR      where networks trained here are kept; cnn_model.h5, if "cnn" is
                     wanted, from `pip download --no-deps cifar-10-model==7.4.0`
"""

import csv
import dataclasses
import functools
import itertools
import pathlib

import keras
import numpy as np
import tensorflow as tf
from keras import layers

import keras_shapley_prune


@dataclasses.dataclass
class Problem:
    """A trained network with calibration and test data.

    Attributes:
        name: String.
        model: The trained `keras.Model`, compiled with its loss.
        train: Tuple `(x, y)`, calibration images are drawn from it.
        test: Tuple `(x, y)`.
        layers: Which layers to prune, names or `None` for all.
    """

    name: str
    model: keras.Model
    train: tuple
    test: tuple
    layers: list | None = None

    def calibration(self, num_examples, seed):
        """Returns `(x, y)` of examples drawn from the training set."""
        drawn = np.random.default_rng([seed, 77]).permutation(len(self.train[0]))
        drawn = drawn[:num_examples]
        return self.train[0][drawn], self.train[1][drawn]

    def accuracy(self, model, num_examples=3000):
        """Returns the share of test examples that `model` gets right."""
        x, y = (array[:num_examples] for array in self.test)
        batches = without_tuning(tf.data.Dataset.from_tensor_slices(x).batch(250))
        predicted = model.predict(batches, verbose=0).argmax(axis=-1)
        return float(np.mean(predicted == y))


def without_tuning(dataset):
    """Returns a `tf.data.Dataset` whose buffers are not tuned as it is read.

    In a process with one core the end of an epoch may wait for the next round of the
    tuning, which may come after twice the time (TensorFlow 2.20 and 2.21).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def parse_arguments(parser):
    """Adds the options that all benchmarks have, reads all, makes the output folder."""
    parser.add_argument("--tfds", default=None, help="tfds data_dir")
    parser.add_argument("--pretrained", default="../shared/data", help="CIFAR-10")
    parser.add_argument("--cache", default=".cache", help="networks trained here")
    parser.add_argument("--output", type=pathlib.Path, default="benchmarks/results")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    return args


def read_csv(path):
    """Returns the rows of a file as dicts of strings, none if there is no file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write_csv(path, header, rows):
    """Writes a table to a file: a string of the column names, and the rows."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split())
        writer.writerows(rows)


def add_convolution(model, width, **normalization):
    """Adds a 3x3 convolution with BatchNormalization and ReLU to a Sequential model."""
    model.add(layers.Conv2D(width, 3, padding="same", use_bias=False))
    model.add(layers.BatchNormalization(**normalization))
    model.add(layers.ReLU())


def read_fashion_mnist(args):
    """Returns `(x, y), (x_test, y_test)`, images from 0 to 1."""
    import tensorflow_datasets as tfds

    data = {
        split: tfds.as_numpy(
            tfds.load("fashion_mnist", split=split, data_dir=args.tfds, batch_size=-1)
        )
        for split in ("train", "test")
    }
    return tuple(
        (part["image"].astype("float32") / 255, part["label"]) for part in data.values()
    )


def fashion_mnist(args, seed=0):
    """The design note's CNN (32-32-M-64-64-M-128-128), 5 epochs on 20,000 images."""
    widths = (32, 32, "M", 64, 64, "M", 128, 128)
    return _fashion_mnist(args, f"fashion_mnist_{seed}", widths, seed)


def fashion_small(args):
    """A CNN of a fifteenth of its FLOPs (16-M-32-M-64), trained in the same way."""
    return _fashion_mnist(args, "fashion_small", (16, "M", 32, "M", 64))


def _fashion_mnist(args, name, widths, seed=0):
    (x, y), test = read_fashion_mnist(args)
    x, y = x[:20000], y[:20000]
    path = pathlib.Path(args.cache) / f"{name}.keras"
    if path.exists():
        model = keras.models.load_model(path)
    else:
        keras.utils.set_random_seed(seed)
        model = _convolutional_network((28, 28, 1), widths, num_steps=5 * 313)
        model.fit(x, y, epochs=5, batch_size=64, verbose=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return Problem(name, model, (x, y), test)


_CIFAR10_FILES = {
    "resnet20": "resnet20_cifar10.keras",
    "resnet44": "resnet44_cifar10.keras",
    "resnet56": "resnet56_cifar10.keras",
    "resnet8": "resnet8_cifar10_mlperf.keras",
    "cnn": "cnn_model.h5",
}
_RAW = ("resnet8", "cnn")  # 0-255 in, softmax out


def cifar10(args, name):
    """A pretrained CIFAR-10 network. In ResNets the channels inside of blocks go.

    Args:
        args: Parsed options.
        name: `"resnet20"`, `"resnet44"`, `"resnet56"`, `"resnet8"`, or `"cnn"`, a
            plain 64-64-M-128-128-M-64-64-M with three dense layers.
    """
    folder = pathlib.Path(args.pretrained)
    with np.load(folder / "cifar10_8k.npz") as data:
        arrays = {key: data[key] for key in data.files}
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

    def prepare(images):
        if name in _RAW:
            return images.astype("float32")
        return ((images / 255 - mean) / std).astype("float32")

    where = pathlib.Path(args.cache) if name == "cnn" else folder
    model = keras.models.load_model(where / _CIFAR10_FILES[name], compile=False)
    logits = name not in _RAW
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=logits)
    model.compile("sgd", loss, metrics=["accuracy"])
    groups = keras_shapley_prune.trace_channels(model).groups
    return Problem(
        name,
        model,
        (prepare(arrays["x_train"]), arrays["y_train"].ravel()),
        (prepare(arrays["x_test"]), arrays["y_test"].ravel()),
        [group.name for group in groups if len(group.producers) == 1],
    )


def chain(args):
    """A chain of nine 3x3 convolutions, 16 to 64 filters, 6 epochs on 8,000 images."""
    with np.load(pathlib.Path(args.pretrained) / "cifar10_8k.npz") as data:
        train, test = (
            ((data[f"x_{part}"] / 255).astype("float32"), data[f"y_{part}"].ravel())
            for part in ("train", "test")
        )
    path = pathlib.Path(args.cache) / "chain.keras"
    if path.exists():
        model = keras.models.load_model(path)
    else:
        keras.utils.set_random_seed(0)
        widths = (16, 16, 16, "M", 32, 32, 32, "M", 64, 64, 64)
        model = _convolutional_network((32, 32, 3), widths, num_steps=6 * 250)
        images = np.concatenate([train[0], train[0][:, :, ::-1]])
        labels = np.concatenate([train[1], train[1]])
        model.fit(images, labels, epochs=6, batch_size=64, verbose=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return Problem("chain", model, train, test)


def cifar100(args):
    """A pretrained CIFAR-100 ResNet of 32 layers, softmax out."""
    folder = pathlib.Path(args.pretrained)
    with np.load(folder / "cifar100_7k.npz") as data:
        train, test = (
            ((data[f"x_{part}"] / 255).astype("float32"), data[f"y_{part}"].ravel())
            for part in ("train", "test")
        )
    return Problem(
        "resnet32", _load_classifier(folder / "resnet32_cifar100.keras"), train, test
    )


def imagenet(args):
    """A pretrained ImageNet MobileNet, alpha 0.25: 300 images to calibrate on."""
    folder = pathlib.Path(args.pretrained)
    with np.load(folder / "imagenet_800_jpeg.npz") as data:
        files, offsets, labels = (data[k] for k in ("bytes", "offsets", "labels"))
    images = np.stack(
        [
            tf.io.decode_jpeg(files[start:end].tobytes(), channels=3).numpy()
            for start, end in itertools.pairwise(offsets)
        ]
    )
    images = images.astype("float32") / 127.5 - 1
    return Problem(
        "mobilenet",
        _load_classifier(folder / "mobilenet025_imagenet.keras"),
        (images[:300], labels[:300]),
        (images[300:], labels[300:]),
    )


def _load_classifier(path):
    model = keras.models.load_model(path, compile=False)
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


NETWORKS = {
    "fashion_mnist": fashion_mnist,
    "fashion_small": fashion_small,
    "chain": chain,
    "resnet32": cifar100,
    "mobilenet": imagenet,
    **{name: functools.partial(cifar10, name=name) for name in _CIFAR10_FILES},
}


def _convolutional_network(shape, widths, num_steps):
    model = keras.Sequential([keras.Input(shape)])
    for width in widths:
        if width == "M":
            model.add(layers.MaxPooling2D())
        else:
            add_convolution(model, width, momentum=0.9)
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(128, activation="relu"))
    model.add(layers.Dense(10))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, num_steps)
    optimizer = keras.optimizers.Adam(schedule)
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model
