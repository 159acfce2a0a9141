"""
Title: Rank and prune on several machines
Description: The same script on every machine, the examples shared out among them.
Accelerator: None

## Introduction

A ranking is a sum over examples. `tf.distribute` spreads it: each worker looks at its
share of the examples, and TensorFlow adds up what all have found. The script is the
same on every worker; which of them it is, it learns from the environment variable
`TF_CONFIG`, which a cluster sets. In the scope of the strategy, `prune` and the rankers
do the rest.

Started without `TF_CONFIG`, this script plays the cluster: it starts itself as often as
`--workers` says, on this machine.

    python -m pip install ".[examples]"
    python examples/multi_worker.py --workers 2
"""

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

"""
## The cluster

On a cluster this part is not needed. Every worker gets the addresses of all of them,
and its own number. Worker 0 is the *chief*: it writes what is written once.
"""


def start_workers(count, arguments):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    workers = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        command = [sys.executable, __file__, *arguments]
        environment = {**os.environ, "TF_CONFIG": config}
        workers.append(subprocess.Popen(command, env=environment))
    return max(worker.wait() for worker in workers)


"""
## The data and the network

Every worker reads the same data, in the same order, and has the same weights: it is
checked. Not to be done: giving each worker another part of the data. A network that is
trained before, as here by the chief, is read from a file that all can see.
"""


def load_digits():
    import numpy as np
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8, 1).astype("float32") / 16
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order]
    return (images[500:], labels[500:]), (images[:500], labels[:500])


def train(path, epochs):
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*load_digits()[0], epochs=epochs, verbose=0)
    model.save(path)


"""
## The work of a worker

`MultiWorkerMirroredStrategy` is made first, before TensorFlow computes anything. Within
its scope each call is made by all workers alike, and returns the same on all of them.
`checkpoint=` names a folder on a disk that all workers see. If one of them is killed,
the others end with a `WorkerLostError`; started again, all go on from there.
"""


def work(folder):
    import keras
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    import keras_shapley_prune

    is_chief = strategy.cluster_resolver.task_id == 0
    model = keras.models.load_model(folder / "digits.keras")
    (images, labels), held_out = load_digits()
    with strategy.scope():
        ranker = keras_shapley_prune.ShapleyRanker("loss")
        ranking = ranker.rank(
            model,
            (images[:200], labels[:200]),
            verbose=0,
            checkpoint=folder / "ranking",
        )
        plan = keras_shapley_prune.plan_pruning(model, ranking, ratio=0.5, of="flops")
        pruned = keras_shapley_prune.apply_plan(
            model, plan, images[:200], verbose=0, checkpoint=folder / "repair"
        )
    if is_chief:
        print(f"{strategy.num_replicas_in_sync} workers")
        print(ranking)
        # What was made in the scope is run by all workers together; what is loaded
        # outside of it, by one.
        pruned.save(folder / "pruned.keras")
        pruned = keras.models.load_model(folder / "pruned.keras")
        for name, one in (("original", model), ("pruned", pruned)):
            flops = keras_shapley_prune.count_flops(one)
            accuracy = one.evaluate(*held_out, verbose=0)[1]
            print(f"{name:10} {flops:>10,} FLOPs {100 * accuracy:5.1f}%")
    with strategy.scope():  # others wait: who ends first would look lost
        strategy.reduce("SUM", tf.constant(0.0), axis=None)


"""
## Run
"""


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--folder", type=pathlib.Path)
    args = parser.parse_args(arguments)
    if os.environ.get("TF_CONFIG"):
        work(args.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        folder = args.folder or pathlib.Path(folder)
        train(folder / "digits.keras", args.epochs)
        if start_workers(args.workers, ["--folder", str(folder)]):
            sys.exit("a worker failed, see above")


if __name__ == "__main__":
    main()
