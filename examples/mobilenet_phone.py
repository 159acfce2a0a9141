"""
Title: A transfer-learned MobileNet for a phone
Author: The maintainers of keras-shapley-prune
Date created: 2026/11/29
Last modified: 2026/11/29
Description: Transfer a MobileNet to a new task, halve its FLOPs, quantize, measure.
Accelerator: None

## Introduction

A network that was trained on many images is often too large for the task it is
transferred to: filters that tell apart a thousand classes are more than five classes
need. This tutorial transfers a MobileNet to a new task with few labels, removes half of
its FLOPs, and writes files for LiteRT (TensorFlow Lite), which runs networks on phones
and microcontrollers.

    python -m pip install ".[examples,litert]"
    python examples/mobilenet_phone.py
"""

"""
## Setup
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from sklearn.datasets import load_digits

import keras_shapley_prune
from keras_shapley_prune import Runtime

PRETRAIN_EPOCHS = 30
EPOCHS = 25
FIT_EPOCHS = 10

keras.utils.set_random_seed(0)

"""
## Load the data

The digits that scikit-learn ships, enlarged to 32x32 pixels. The zeros to fours are the
large data set on which the network is trained first. Of the fives to nines, the new
task, only 300 images have labels to train on.
"""

images, labels = load_digits(return_X_y=True)
images = keras.ops.image.resize(images.reshape(-1, 8, 8, 1) / 16, (32, 32))
images = np.asarray(images, "float32")

is_old = labels < 5
old_x, old_y = images[is_old], labels[is_old]
new_x, new_y = images[~is_old], labels[~is_old] - 5
train_x, train_y, test_x, test_y = new_x[:300], new_y[:300], new_x[300:], new_y[300:]
print("old task:", len(old_x), "new task:", len(train_x), "test:", len(test_x))

"""
## The pretrained network

`keras.applications` has weights that were trained on ImageNet. To run without a
network connection, this tutorial trains the same architecture itself, on the old task
and slightly moved and turned images of it. With a connection, replace this cell by
`base = keras.applications.MobileNet(alpha=0.25, include_top=False, pooling="avg")` and
give it color images of 224x224 pixels.
"""

base = keras.applications.MobileNet(
    input_shape=(32, 32, 1), alpha=0.25, weights=None, include_top=False, pooling="avg"
)
for layer in base.layers:
    if isinstance(layer, layers.BatchNormalization):
        layer.momentum = 0.9  # the statistics follow faster: there are few batches

moved = [layers.RandomTranslation(0.12, 0.12), layers.RandomRotation(0.05)]
pretrained = keras.Sequential([*moved, base, layers.Dense(5, activation="softmax")])
schedule = keras.optimizers.schedules.CosineDecay(3e-3, PRETRAIN_EPOCHS * 44)
optimizer = keras.optimizers.Adam(schedule)
pretrained.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
pretrained.fit(
    old_x[:700], old_y[:700], epochs=PRETRAIN_EPOCHS, batch_size=16, verbose=0
)

result = pretrained.evaluate(old_x[700:], old_y[700:], verbose=0, return_dict=True)
print(f"old task: accuracy {result['accuracy']:.1%}")

"""
## Transfer it

First a new output layer is trained on the frozen network, then all of it.
`training=False` lets each BatchNormalization keep its statistics.
"""

inputs = keras.Input((32, 32, 1), name="image")
outputs = layers.Dense(5, activation="softmax", name="digit")
model = keras.Model(inputs, outputs(base(inputs, training=False)))


def print_accuracy(name, network):
    result = network.evaluate(test_x, test_y, verbose=0, return_dict=True)
    print(f"{name}: accuracy {result['accuracy']:.1%}")


for trainable, rate in ((False, 1e-2), (True, 1e-3)):
    base.trainable = trainable
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train_x, train_y, epochs=EPOCHS, batch_size=16, verbose=0)
    trained = "all layers" if trainable else "output layer"
    print_accuracy(f"{trained} trained", model)

"""
## Prune it

Half of the FLOPs are removed where they cost least. Kernels for phones are fastest with
multiples of 8, so each layer keeps a multiple of 8 filters. Then the network is trained
for some epochs on the 300 images.
"""

pruned = keras_shapley_prune.prune(
    model, train_x, ratio=0.5, of="flops", scope="global", round_to=8, verbose=0
)
share = keras_shapley_prune.count_flops(pruned) / keras_shapley_prune.count_flops(model)
print(f"{share:.1%} of the FLOPs")
print_accuracy("pruned", pruned)
pruned.fit(train_x, train_y, epochs=FIT_EPOCHS, verbose=0)
print_accuracy("pruned and trained", pruned)

"""
## Write files for LiteRT

The weights of a float32 file have 32 bits, those of an int8 file 8, and so have the
activations. To find their ranges, `int8=True` needs some images. They need no labels.
"""

networks = {"original": model, "pruned": pruned}
paths = {}
for name, network in networks.items():
    paths[name, "float32"] = keras_shapley_prune.export_litert(
        network, f"{name}.tflite", verbose=0
    )
    paths[name, "int8"] = keras_shapley_prune.export_litert(
        network, f"{name}_int8.tflite", int8=True, dataset=train_x, verbose=0
    )

"""
## Measure them

The int8 file takes integers. It tells how they are meant: a number is
`scale * (integer - zero_point)`. The outputs are integers too, but the largest integer
is the largest number.
"""


def measure_accuracy(path):
    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (target,) = interpreter.get_output_details()
    batch = test_x
    if source["dtype"] == np.int8:
        scale, zero_point = source["quantization"]
        batch = np.round(batch / scale + zero_point).clip(-128, 127).astype("int8")
    found = []
    for image in batch:
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"]).argmax())
    return np.mean(found == test_y)


"""
`measure_latency` times the files of both networks in turn, so that other programs on
the machine slow both. This is the time on the processor of this machine, and not on
that of a phone.
"""

print(f"{'':20}{'KB':>8}{'accuracy':>10}{'microseconds':>14}")
for numbers in ("float32", "int8"):
    seconds = keras_shapley_prune.measure_latency(
        [model, pruned], train_x, runtime=Runtime("litert", int8=numbers == "int8")
    )
    for name, latency in zip(networks, seconds, strict=True):
        path = paths[name, numbers]
        size, accuracy = path.stat().st_size / 1000, measure_accuracy(path)
        label = f"{name} {numbers}"
        print(f"{label:20}{size:8.0f}{accuracy:10.1%}{1e6 * latency:14.0f}")

"""
Half of the FLOPs is half of the time here, and the file is a quarter as large, since it
was the widest layers that had filters to spare. Quantization makes it smaller again,
and costs next to no accuracy.

## What to read next

- [Latency as a budget](../docs/latency.md): ask for milliseconds in the place of FLOPs,
  and time the network on the device itself.
- [Serve it, or put it on a device](../docs/deployment.md): what LiteRT and its
  quantizer can and cannot do.
- [Train after pruning, towards the original](iterative_pruning.py): a better way to win
  accuracy back than the plain `fit` above.
"""
