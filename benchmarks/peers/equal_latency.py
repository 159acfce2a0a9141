"""Torch-Pruning's networks beside ours at an equal measured latency.

    python benchmarks/peers/equal_latency.py [--environments DIR] [--pretrained DIR]
        [--networks resnet20] [--layers inside all] [--of global channels]
        [--methods "L1 norm" ...] [--seeds 2]
        [--repairs none batchnorm trained least_squares]

Torch-Pruning cuts a network to many sizes (`torch_pruning_paths.py`, in its own
environment). They are carried over to Keras, with the outputs compared, and timed by
LiteRT beside the original. The size whose time is nearest to half is found by
bisection. It stands here as it was cut, with BatchNorm statistics from 200 images, and
trained on them; with `least_squares`, the same channels are removed and repaired by
this package. Needs what `export.py` wrote. Rows that are in peers_latency.csv already
are not computed again. Ours are in latency_accuracy.csv.

    layers  inside: the first layers of the blocks; all: tied channels too
    of      global: over all layers; channels: the same share of each layer
"""

import argparse
import functools
import itertools
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import keras
import networks
import numpy as np

import keras_shapley_prune as ksp
from keras_shapley_prune.latency.model_timer import ModelTimer

FIELDS = (
    "network target ratio seed layers of method repair "
    "measured accuracy agreement flops params seconds"
)
RATIO = 0.5
WITHIN = 0.02  # of the time: farther off is not equal
NEAR = 0.01  # of the time: no closer one is looked for
NUM_TIMINGS = 3  # of a network: the median counts
NUM_TEST = 3000
METHODS = ("L1 norm", "group L2 norm")
NEED_DATA = ("Taylor",)


def from_torch_arrays(model, arrays):
    """Returns a Keras model like another, with the weights and widths of PyTorch.

    Args:
        model: A `keras.Model` of convolutions, dense layers and batch normalizations.
        arrays: What `export.to_torch_arrays` returns, of a model with the same layers
            and perhaps fewer channels.
    """

    def resize(layer):
        config = layer.get_config()
        for size in ("filters", "units"):
            if size in config:
                config[size] = len(arrays[f"{layer.name}.weight"])
        return type(layer).from_config(config)

    resized = keras.models.clone_model(model, clone_function=resize)
    for layer in resized.layers:
        if not layer.weights:
            continue
        names = {"gamma": "weight", "beta": "bias", "kernel": "weight"}
        names |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
        for weight in layer.weights:
            name = names.get(weight.name, weight.name)
            array = arrays[f"{layer.name}.{name}"]
            if weight.name == "kernel":
                array = array.transpose((2, 3, 1, 0) if array.ndim == 4 else (1, 0))
            weight.assign(array)
    return resized


def read(model, images, path):
    """Returns the Keras model of a file of `torch_pruning_paths.py`, and its seconds.

    Raises:
        ValueError: If the outputs are not those of PyTorch.
    """
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    weights = {k[2:]: value for k, value in arrays.items() if k.startswith("w/")}
    carried = from_torch_arrays(model, weights)
    expected = arrays["expected"]
    received = keras.ops.convert_to_numpy(carried(images[: len(expected)]))
    off = np.abs(received - expected).max() / np.abs(expected).max()
    if off > 1e-4:
        raise ValueError(
            f"Expected outputs equal to PyTorch's. Received: {off}, {path}"
        )
    return carried, float(arrays["seconds"])


def find_removed(model, smaller):
    """Returns the channels that a network has lost, for `repair_channels`.

    Args:
        model: A ResNet of `networks.cifar10`; no channels of its layers are equal.
        smaller: The same with some channels removed, and nothing else changed.

    Returns:
        A dict: name of a layer -> list of its removed channels.
    """
    removed = {}
    for group in ksp.trace_channels(model).groups:
        name = next(name for name in group.producers if "_conv" in name)
        norm = name.replace("_conv", "_bn")
        old, new = (
            np.stack(one.get_layer(norm).get_weights()) for one in (model, smaller)
        )
        is_kept = (old[:, :, None] == new[:, None]).all(axis=0).any(axis=1)
        if is_kept.sum() != new.shape[1]:
            raise ValueError(f"Expected channels of the original. Received: {norm}")
        removed[name] = np.flatnonzero(~is_kept).tolist()
    return removed


def find_equal(paths, time_share):
    """Returns the file whose share of the time is nearest to what is asked for.

    Args:
        paths: List of files, of networks from large to small.
        time_share: Callable, takes a file and returns its share of the time.

    Returns:
        A tuple of file and share.
    """
    low, high, tried = 0, len(paths) - 1, {}
    while low <= high:
        middle = (low + high) // 2
        tried[middle] = time_share(paths[middle])
        if abs(tried[middle] - (1 - RATIO)) < NEAR:
            break
        if tried[middle] > 1 - RATIO:
            low = middle + 1
        else:
            high = middle - 1
    best = min(tried, key=lambda number: abs(tried[number] - (1 - RATIO)))
    return paths[best], tried[best]


class Case:
    """One way of Torch-Pruning to cut one network, in a folder of its own."""

    def __init__(self, args, problem, timer, words):
        self._problem, self._timer = problem, timer
        self._folder = pathlib.Path(args.cache) / "peers" / "paths" / "-".join(words)
        self._words = words
        python = args.environments / "torch" / "bin" / "python"
        script = pathlib.Path(__file__).with_name("torch_pruning_paths.py")
        self._command = [python, script, "--folder", self._folder]

    def _run(self, *arguments):
        command = [str(part) for part in (*self._command, *arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def _answers(self, model):
        x = self._problem.test[0][:NUM_TEST]
        return model.predict(x, batch_size=250, verbose=0).argmax(axis=-1)

    @functools.cached_property
    def _wanted(self):
        return self._answers(self._problem.model)

    def _read(self, path):
        return read(self._problem.model, self._problem.test[0], path)

    def _time_share(self, path):
        pruned, _ = self._read(path)
        timed = [self._timer.time_beside(pruned) for _ in range(NUM_TIMINGS)]
        share = float(np.median([after / before for before, after in timed]))
        print(f"  {path.stem}: {share:.3f}", flush=True)
        return share

    def find(self):
        """Returns the file of the network that takes half of the time, and its share.

        It is timed once more, and the share is `None` if that is not near a half. What
        was found is kept in the folder, for the repairs of a later run.
        """
        kept = self._folder / "found.txt"
        if not kept.exists():
            if not self._folder.exists():
                self._run("--cut", ",".join(self._words))
            paths = sorted(self._folder.glob("[0-9][0-9][0-9].npz"))
            path, _ = find_equal(paths, self._time_share)
            kept.write_text(f"{path.name} {self._time_share(path):.3f}")
        name, share = kept.read_text().split()
        share = float(share)
        if abs(share - (1 - RATIO)) > WITHIN:
            print(f"not near {1 - RATIO}: {self._words}, {share}", flush=True)
            share = None
        return self._folder / name, share

    def measure(self, path, share, repair, seed):
        """Returns a row, a list of what is in `FIELDS` after the repair."""
        model = self._problem.model
        pruned, seconds = self._read(path)
        if repair == "least_squares":
            start = time.process_time()
            removed = find_removed(model, pruned)
            images, _ = self._problem.calibration(200, seed)
            pruned = ksp.repair_channels(model, None, images, remove=removed, verbose=0)
            seconds += time.process_time() - start
        elif repair != "none":
            network = self._words[0]
            self._run("--repair", f"{path.stem},{repair},{network},{seed}")
            repaired = path.with_name(f"{path.stem}-{repair}-{seed}.npz")
            pruned, more = self._read(repaired)
            seconds += more
        y = self._problem.test[1][:NUM_TEST]
        found, wanted = self._answers(pruned), self._wanted
        return [
            f"{share:.3f}",
            f"{np.mean(found == y):.4f}",
            f"{np.mean(found == wanted):.4f}",
            f"{ksp.count_flops(pruned) / ksp.count_flops(model):.3f}",
            f"{pruned.count_params() / model.count_params():.3f}",
            f"{seconds:.1f}",
        ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["resnet20"])
    parser.add_argument("--layers", nargs="+", default=["inside", "all"])
    parser.add_argument("--of", nargs="+", default=["global", "channels"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--repairs", nargs="+", default=["none", "batchnorm"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--environments", type=pathlib.Path, default="/root/peers")
    args = networks.parse_arguments(parser)
    path = args.output / "peers_latency.csv"
    rows = [list(row.values()) for row in networks.read_csv(path)]
    for network in args.networks:
        problem = networks.NETWORKS[network](args)
        graph = ksp.trace_channels(problem.model).graph
        timer = ModelTimer(problem.model, ksp.Runtime("litert"), graph)
        found = {}
        for layers, of, method, seed, repair in itertools.product(
            args.layers, args.of, args.methods, range(args.seeds), args.repairs
        ):
            keys = [network, "litert", str(RATIO), str(seed), layers, of, method]
            if [*keys, repair] in [row[:8] for row in rows]:
                continue
            # Norms read no images: one network for all draws.
            drawn = seed if method in NEED_DATA else 0
            words = (network, layers, of, str(drawn), method)
            case = Case(args, problem, timer, words)
            if words not in found:
                found[words] = case.find()
            path_found, share = found[words]
            if share is not None:
                values = case.measure(path_found, share, repair, seed)
                rows.append([*keys, repair, *values])
                print(*rows[-1], flush=True)
                networks.write_csv(path, FIELDS, rows)


if __name__ == "__main__":
    main()
