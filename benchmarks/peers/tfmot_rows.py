"""tfmot's rows of the comparison: zeros instead of smaller shapes.

    ENVIRONMENT/bin/python benchmarks/peers/tfmot_rows.py [--pretrained DIR]

`prune_low_magnitude` with a constant sparsity, its masks computed in one step of `fit`
with learning rate 0, so that nothing is trained, then `strip_pruning`. The network is
Keras 3's, copied with `to_tf_keras`, as tfmot knows only tf_keras. Sparsity is of
single weights: the same ratio as a share of weights, not of channels. Appends to
peers.csv, prints parameters, zeros, and bytes of the weights as they are and zipped.
"""

import argparse
import os
import pathlib
import sys
import time
import zlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))

import keras
import numpy as np
import table
import tensorflow_model_optimization as tfmot
import tf_keras

import keras_shapley_prune as ksp

PEER = "tfmot"
RATIOS = (0.25, 0.5, 0.75)
sparsity = tfmot.sparsity.keras


def prune(model, ratio, images):
    """Returns a network of the same shapes, the share `ratio` of its weights 0."""
    for layer in model.layers:
        layer.trainable = not isinstance(layer, tf_keras.layers.BatchNormalization)
    wrapped = sparsity.prune_low_magnitude(
        model, sparsity.ConstantSparsity(ratio, begin_step=0, frequency=1)
    )
    wrapped.compile(tf_keras.optimizers.SGD(0.0), "mse")
    targets = np.zeros((len(images), 10), "float32")
    callbacks = [sparsity.UpdatePruningStep()]
    wrapped.fit(images, targets, 200, epochs=2, callbacks=callbacks, verbose=0)
    return sparsity.strip_pruning(wrapped)


def describe(model):
    """Returns parameters, zeros among them, bytes of the weights, bytes zipped."""
    values = [np.asarray(value) for value in model.get_weights()]
    raw = b"".join(value.tobytes() for value in values)
    zeros = sum(int((value == 0).sum()) for value in values)
    return model.count_params(), zeros, len(raw), len(zlib.compress(raw, 9))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pretrained", type=pathlib.Path, default="../shared/data")
    args = table.parse_arguments(parser)
    rows = table.Table(args.output / "peers.csv")
    path = args.pretrained / "resnet20_cifar10.keras"
    original = keras.models.load_model(path, compile=False)
    with np.load(args.cache / "peers" / "resnet20.npz") as file:
        images, x_test, y_test = (file[k] for k in ("x_0", "x_test", "y_test"))
    print("parameters, zeros, bytes, bytes zipped")
    print("before", *describe(ksp.to_tf_keras(original)))
    for ratio in RATIOS:
        start = time.perf_counter()
        model = prune(ksp.to_tf_keras(original), ratio, images)
        seconds = time.perf_counter() - start
        print(f"{ratio:.0%}", *describe(model))
        predicted = model.predict(x_test, 250, verbose=0).argmax(1)
        left = 1.0, model.count_params() / original.count_params()
        key = PEER, "resnet20", "all", "magnitude", "none", "single weights", ratio, 0
        if not rows.has(*key):
            rows.add(*key, float(np.mean(predicted == y_test)), *left, seconds)


if __name__ == "__main__":
    main()
