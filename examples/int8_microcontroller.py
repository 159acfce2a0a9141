"""
Title: A network of a few kilobytes, for a microcontroller
Description: Train a small CNN, remove half of its filters, quantize to 8-bit integers.
Accelerator: None

## Introduction

A microcontroller has some hundred kilobytes of memory, and often no floating-point
unit. Two steps make a network fit, and what they save multiplies: *pruning* takes whole
filters out, and *quantization* stores every number in 8 bits instead of 32. Neither
needs labels or training here: both need some images that look like those to come.

    python -m pip install ".[examples,litert]"
    python examples/int8_microcontroller.py
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import keras_shapley_prune

"""
## The data and the network

The digits that scikit-learn ships, 8x8 pixels from 0 to 1, and a plain CNN.
"""


def load_images():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=500, random_state=0, stratify=labels
    )
    return (train_x, train_y), (test_x, test_y)


def build_model(filters):
    model = keras.Sequential([keras.Input((8, 8, 1), name="image")])
    for count in (filters, 2 * filters):
        model.add(layers.Conv2D(count, 3, padding="same", use_bias=False))
        model.add(layers.BatchNormalization(momentum=0.9))
        model.add(layers.ReLU())
    model.add(layers.MaxPooling2D())
    model.add(layers.Conv2D(2 * filters, 3, activation="relu"))
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, name="logits"))
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


"""
## On the device

The file is all that a device needs. It tells how its integers are meant: a number is
`scale * (integer - zero_point)`. The input is converted to integers; the ten outputs
are not converted back, since the largest integer is the largest number.
"""


class Device:
    """What runs a LiteRT file: here the interpreter, one thread, image by image."""

    def __init__(self, path):
        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()

    def quantize(self, images):
        if self._input["dtype"] is np.float32:
            return images
        scale, zero_point = self._input["quantization"]
        return np.clip(np.round(images / scale + zero_point), -128, 127).astype("int8")

    def classify(self, image):
        self._interpreter.set_tensor(self._input["index"], image[None])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output["index"])[0].argmax()

    def accuracy(self, images, labels):
        images = self.quantize(images)
        return np.mean([self.classify(image) for image in images] == labels)


"""
## The comparison

The four files take turns, so that a busy machine slows all of them alike. The time on
this processor is not that of a microcontroller, which would gain more from integers.
"""


def measure_latency(devices, image, num_runs=300):
    seconds = np.empty((num_runs, len(devices)))
    images = [device.quantize(image) for device in devices]
    for turn in range(num_runs):
        for position, device in enumerate(devices):
            start = time.perf_counter()
            device.classify(images[position])
            seconds[turn, position] = time.perf_counter() - start
    return np.median(seconds, axis=0)


def print_table(paths, test):
    devices = [Device(path) for path in paths.values()]
    latencies = measure_latency(devices, test[0][0])
    print(f"{'':16}{'bytes':>10}{'accuracy':>10}{'microseconds':>14}")
    for name, device, latency in zip(paths, devices, latencies, strict=True):
        size = paths[name].stat().st_size
        accuracy = device.accuracy(*test)
        print(f"{name:16}{size:10,}{accuracy:10.1%}{1e6 * latency:14.1f}")


"""
## Train, prune, quantize
"""


def parse(argv=None):
    parser = argparse.ArgumentParser(description="A digit classifier of a few KB.")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--filters", type=int, default=16, help="of the first layer")
    parser.add_argument("--ratio", type=float, default=0.5, help="filters to remove")
    parser.add_argument("--output", type=pathlib.Path, default="int8_output")
    args = parser.parse_args(argv)
    if not 0 <= args.ratio < 1:
        parser.error(f"--ratio should be in [0, 1). Received: {args.ratio}")
    return args


def main(argv=None):
    args = parse(argv)
    keras.utils.set_random_seed(1)
    train, test = load_images()
    model = build_model(args.filters)
    model.fit(*train, batch_size=32, epochs=args.epochs, verbose=0)

    # A few hundred images do, for both steps; no labels.
    images = train[0][:200]
    pruned = keras_shapley_prune.prune(model, images, ratio=args.ratio, verbose=0)
    keras_shapley_prune.compare(model, pruned)

    paths = {}
    for name, network in (("original", model), ("pruned", pruned)):
        for numbers in ("float32", "int8"):
            path = args.output / f"{name}_{numbers}.tflite"
            int8 = numbers == "int8"
            paths[f"{name} {numbers}"] = keras_shapley_prune.export_litert(
                network, path, int8=int8, representative_data=images if int8 else None
            )
    print_table(paths, test)

    # Firmware has no files: the network becomes an array in its source.
    content = paths["pruned int8"].read_bytes()
    values = ", ".join(f"0x{byte:02x}" for byte in content)
    source = args.output / "digits_model.h"
    declaration = f"alignas(16) const unsigned char digits_model[{len(content)}]"
    source.write_text(f"{declaration} = {{{values}}};\n")
    print(f"Wrote {source.name} with an array of {len(content):,} bytes")


if __name__ == "__main__":
    main()
