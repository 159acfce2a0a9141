"""Layers of a chain without a skip: left out, or their filters, at equal latency?

    python benchmarks/chains.py --pretrained DIR [--cache DIR]
        [--networks mobilenet cnn chain] [--kinds 1x1 nothing depthwise] [--seeds 2]

A segment is a convolution (in a MobileNet a depthwise and a pointwise one) that returns
as many channels as it reads, and no stride; with the normalization behind it, up to its
last ReLU, which stays. Where a convolution has no padding, the border is cropped. In
place of a segment f there is g:

    nothing    what is before the last ReLU that the segment reads
    1x1        a 1x1 convolution
    depthwise  a depthwise 3x3 convolution, fitted to what the segment returns

The network is built with `g(x) + (f(x) - g(x))`, which computes the same. The second
term is a block to the package, so `repair_channels(model, remove=...)` removes it, and
refits by least squares: what writes last before the addition (the layer before the
segment, or the 1x1 convolution) aims at what f returned, through the ReLU, and all
layers that come after return what they did.

Each segment is replaced alone, with the first draw of 200 unlabelled images; then, with
each draw, the one, two and three that cost least there by the KL divergence from the
original on the calibration images.

`filters for` a kind is what `prune(of="latency", scope="global", target="litert")`
returns, for the very share of the time that these segments leave. `and filters`: one
segment is replaced, and filters are removed until it is as fast as with two. `measured`
is the share of the original's time in LiteRT; accuracy and agreement with the original
are those on test images (3,000, of `mobilenet` the 500 that were not calibrated on).
Nothing is trained, but `chain` itself, on 8,000 images. Rows that are in chains.csv
already are not computed again.
"""

import argparse
import functools
import itertools
import os
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np
import tensorflow as tf
from keras import layers

import keras_shapley_prune as ksp
from keras_shapley_prune.latency.model_timer import ModelTimer
from keras_shapley_prune.rank.resolve_ranker import resolve_ranker

FIELDS = "network seed method segments divergence measured accuracy agreement"
NUM_IMAGES = 200
LITERT = ksp.Runtime("litert")
KINDS = ("1x1", "nothing", "depthwise")
_LINEAR = (layers.Conv2D, layers.DepthwiseConv2D)
_DEEPEST = 0.95  # of each group is ranked, as `prune` does for a budget of latency


def load(args, name):
    """Returns the `Problem` of a name."""
    if name == "mobilenet":
        return networks.imagenet(args)
    return networks.chain(args) if name == "chain" else networks.cifar10(args, name)


def split_steps(model):
    """Returns the layers of a chain, new ones, activations as layers of their own."""
    steps = []
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        config, fused = layer.get_config(), None
        if isinstance(layer, _LINEAR) and config["activation"] != "linear":
            fused = layers.ReLU(name=f"{layer.name}_activation")
            config["activation"] = "linear"
        copy = type(layer).from_config(config)
        copy.build(layer.input.shape)
        copy.set_weights(layer.get_weights())
        steps += [copy] if fused is None else [copy, fused]
    return steps


def find_segments(steps, shape):
    """Returns the segments of a chain.

    Args:
        steps: List of layers, see `split_steps`.
        shape: Tuple, that of the input with the batch.

    Returns:
        List of tuples: the first step, the ReLU that stays (its number), and the steps
        that made what the segment reads, from the convolution before it to its ReLU.
    """
    shapes = [shape]
    for step in steps:
        shapes.append(step.compute_output_shape(shapes[-1]))
    rectified = [i for i, step in enumerate(steps) if isinstance(step, layers.ReLU)]
    full = [i for i, step in enumerate(steps) if type(step) is layers.Conv2D]
    found = []
    for one, other in itertools.pairwise(full):
        before, relu = (
            next((i for i in rectified if i > conv), None) for conv in (one, other)
        )
        if relu is None or before > other:
            continue
        first = before + 1
        if type(steps[first]) is layers.BatchNormalization:  # it reads what a ReLU does
            first += 1
        between, read, returned = steps[first:relu], shapes[first], shapes[relu]
        is_plain = not any(isinstance(step, layers.MaxPooling2D) for step in between)
        strides = {step.strides for step in between if isinstance(step, _LINEAR)}
        is_alike = strides == {(1, 1)} and read[-1] == returned[-1]
        if is_plain and is_alike and read[1] - returned[1] in (0, 2):
            found.append((first, relu, (one, before)))
    return found


class Builder:
    """Builds the network in which segments are blocks of additions.

    Args:
        model: The `keras.Model`, a chain.
    """

    def __init__(self, model):
        self.steps = split_steps(model)
        self.shape = tuple(model.inputs[0].shape)
        self.segments = find_segments(self.steps, self.shape)
        self.names = [self.steps[first].name for first, _, _ in self.segments]

    def build(self, kind, chosen, images):
        """Returns the network with `g(x) + (f(x) - g(x))` for some segments.

        Args:
            kind: One of `KINDS`.
            chosen: List of the numbers of segments.
            images: Array, what a depthwise convolution is fitted on.
        """
        inputs = keras.Input(self.shape[1:])
        read, ends = {0: inputs}, {}
        for number in chosen:
            first, relu, _ = self.segments[number]
            ends[relu] = number, first
        for index, step in enumerate(self.steps):
            x = read[index]
            if index in ends:
                number, first = ends[index]
                g = self._replace(kind, number, read, x, images, inputs)
                d = layers.Subtract(name=f"less_{self.names[number]}")([x, g])
                x = layers.Add(name=f"cut_{self.names[number]}")([g, d])
                read[index] = x
            read[index + 1] = step(x)
        return keras.Model(inputs, read[len(self.steps)])

    def _replace(self, kind, number, read, y, images, inputs):
        first, _, (conv, before) = self.segments[number]
        name, x = self.names[number], read[first]
        border = (x.shape[1] - y.shape[1]) // 2

        def crop(tensor):
            return layers.Cropping2D(border)(tensor) if border else tensor

        if kind == "1x1":
            made = layers.Conv2D(y.shape[-1], 1, name=f"one_{name}")
            g = made(crop(x))
            made.kernel.assign(np.eye(y.shape[-1])[None, None])
            return g
        if kind == "depthwise":
            padding = "valid" if border else "same"
            made = layers.DepthwiseConv2D(3, padding=padding, name=f"deep_{name}")
            g = made(x)
            fit_depthwise(made, keras.Model(inputs, [x, y]), images[:50])
            return g
        if not border:
            return read[before]
        # The crop comes first, so that the convolution can aim at what comes later.
        config = self.steps[conv].get_config() | {"name": f"again_{name}"}
        copy = layers.Conv2D.from_config(config)
        g = copy(crop(read[conv]))
        copy.set_weights(self.steps[conv].get_weights())
        return g


def fit_depthwise(layer, network, images):
    """Fits a depthwise 3x3 convolution, by least squares for each channel."""
    x, y = (array.numpy() for array in network(images))
    if layer.padding == "same":
        x = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    height, width = y.shape[1:3]
    taps = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    rows = np.stack([*taps, np.ones_like(y)], axis=-1)
    for channel in range(y.shape[-1]):
        a = rows[..., channel, :].reshape(-1, 10).astype("float64")
        b = y[..., channel].ravel()
        xx = a.T @ a + 1e-4 * np.trace(a.T @ a) / 10 * np.eye(10)
        found = np.linalg.solve(xx, a.T @ b)
        kernel = layer.kernel.numpy()
        kernel[:, :, channel, 0] = found[:9].reshape(3, 3)
        bias = layer.bias.numpy()
        bias[channel] = found[9]
        layer.set_weights([kernel, bias])


class Comparison:
    """One network with one draw of images."""

    def __init__(self, problem, seed):
        self.problem, self.model, self.seed = problem, problem.model, seed
        self.images, _ = problem.calibration(NUM_IMAGES, seed)
        self.builder = Builder(self.model)
        self.map = ksp.trace_channels(self.model)
        self.timer = ModelTimer(self.model, LITERT, self.map.graph)
        self.test = problem.test[0][:3000], problem.test[1][:3000]
        self.said = self._say(self.model)
        self.outputs = self.model.predict(self.images, batch_size=50, verbose=0)
        self._table, self._ranking = None, None

    def _say(self, model):
        return model.predict(self.test[0], batch_size=250, verbose=0).argmax(axis=-1)

    def measure(self, model):
        """Returns a row, a list of what is in `FIELDS` after the segments."""
        before, after = self.timer.time_beside(model, 4.0)
        ours = model.predict(self.images, batch_size=50, verbose=0)
        logs = [self._logs(each) for each in (self.outputs, ours)]
        divergence = np.sum(np.exp(logs[0]) * (logs[0] - logs[1]), axis=-1).mean()
        said = self._say(model)
        return [
            f"{divergence:.4f}",
            f"{after / before:.3f}",
            f"{np.mean(said == self.test[1]):.4f}",
            f"{np.mean(said == self.said):.4f}",
        ]

    @staticmethod
    def _logs(outputs):
        sums = outputs.sum(axis=-1)
        is_softmax = np.allclose(sums, 1, atol=1e-3) and outputs.min() >= 0
        if is_softmax:
            return np.log(np.maximum(outputs, 1e-7))
        return tf.nn.log_softmax(outputs).numpy()

    def replace(self, kind, chosen):
        """Returns the network without some segments, repaired."""
        built = self.builder.build(kind, chosen, self.images)
        error = np.abs(built(self.images[:4]) - self.model(self.images[:4])).max()
        assert error < 1e-3 * max(1, np.abs(self.outputs).max()), error
        remove = {f"cut_{self.builder.names[number]}": [0] for number in chosen}
        blocks = ksp.trace_channels(built, "block")
        return ksp.repair_channels(
            built, None, self.images, channel_map=blocks, remove=remove, verbose=0
        )

    def replace_and_narrow(self, kind, number, share):
        """Returns the network without one segment, and with fewer filters.

        Args:
            kind: One of `KINDS`.
            number: Integer, that of the segment.
            share: Float, of the time of what is without the segment.
        """
        return ksp.prune(
            self.replace(kind, [number]),
            self.images,
            1 - share,
            of="latency",
            scope="global",
            target=LITERT,
            verbose=0,
        )

    def narrow(self, share):
        """Returns the network with fewer filters, as `prune` does for a latency.

        Table and ranking are the same for any share.

        Args:
            share: Float, of the original's time that it should take.
        """
        if self._table is None:
            self._table = ksp.measure_latency_table(self.model, LITERT, self.map)
            ranker = resolve_ranker(None, "global")
            ratio = {group.name: _DEEPEST for group in self.map.groups}
            self._ranking = ranker.rank(
                self.model, self.images, channel_map=self.map, ratio=ratio, verbose=0
            )
        plan = ksp.plan_pruning(
            self.model,
            self._ranking,
            1 - share,
            of="latency",
            scope="global",
            target=self._table,
        )
        return ksp.apply_plan(self.model, plan, self.images, verbose=0)


class Rows:
    """The rows of the file: what is there is not measured again."""

    def __init__(self, path):
        self.path = path
        self._rows = [list(row.values()) for row in networks.read_csv(path)]

    def find(self, comparison, method, names, make):
        """Returns a row, which is measured if it is not there.

        Args:
            comparison: A `Comparison`.
            method: String.
            names: List of the names of segments.
            make: Callable that returns the network.
        """
        case = [comparison.problem.name, str(comparison.seed), method, " ".join(names)]
        for row in self._rows:
            if row[:4] == case:
                return row
        try:
            row = case + comparison.measure(make())
        except ValueError as error:  # filters alone do not make it as fast
            row = [*case, "", "", "", ""]
            print(*case, error, flush=True)
        print(*row, flush=True)
        self._rows.append(row)
        networks.write_csv(self.path, FIELDS, sorted(self._rows, key=self._place))
        return row

    @staticmethod
    def _place(row):
        method = row[2].removeprefix("filters for ").removesuffix(" and filters")
        place = ("original", *KINDS).index(method)
        return row[0], row[1], place, len(row[3].split()), row[3], row[2] != method


def measure_kind(comparisons, rows, kind, most):
    """Measures what a kind of replacement costs, and filters at the same latency.

    Args:
        comparisons: List of `Comparison`, one for each draw. The first one chooses.
        rows: The `Rows`.
        kind: One of `KINDS`.
        most: Integer, how many segments are replaced at most.
    """
    names, costs = comparisons[0].builder.names, {}
    for number, name in enumerate(names):
        make = functools.partial(comparisons[0].replace, kind, [number])
        row = rows.find(comparisons[0], kind, [name], make)
        costs[number] = float(row[4])
    if kind == "depthwise":
        return
    order = sorted(costs, key=costs.get)
    for count in range(1, min(most, len(order)) + 1):
        chosen = sorted(order[:count])
        named = [names[number] for number in chosen]
        for each in comparisons:
            make = functools.partial(each.replace, kind, chosen)
            share = float(rows.find(each, kind, named, make)[5])
            make = functools.partial(each.narrow, share)
            beside = rows.find(each, f"filters for {kind}", named, make)
            if count == 2 and beside[5]:
                first = names[order[0]]
                alone = rows.find(each, kind, [first], None)
                share = float(beside[5]) / float(alone[5])
                make = functools.partial(each.replace_and_narrow, kind, order[0], share)
                rows.find(each, f"{kind} and filters", named, make)


def main():
    """Measures what is not in chains.csv yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["cnn", "chain", "mobilenet"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--most", type=int, default=3)
    args = networks.parse_arguments(parser)
    rows = Rows(args.output / "chains.csv")
    for name in args.networks:
        problem = load(args, name)
        comparisons = [Comparison(problem, seed) for seed in range(args.seeds)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            same = functools.partial(getattr, problem, "model")
            rows.find(comparisons[0], "original", [], same)
            for kind in args.kinds:
                measure_kind(comparisons, rows, kind, args.most)


if __name__ == "__main__":
    main()
