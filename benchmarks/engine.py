"""What the ranker's machinery costs on top of the network it evaluates.

    python benchmarks/engine.py [--pretrained DIR] [--output benchmarks/results]
    python benchmarks/engine.py --pretrained DIR --plans  # some parts

Four parts; without an option for one of them, all are run:

--steps     One evaluation of the compiled step of a walk against a bare compiled
            forward pass of the same part of the network on the same batch of 32, taking
            turns, medians; early, middle and late groups of VGG16-BN (32x32), ResNet-20
            and MobileNetV2 (96x96, random weights). "incremental" is the step that
            subtracts what a unit contributes to a layer that reads it, where the ranker
            takes it. Also the FLOPs that a step touches, as a share of those of the
            suffix, and the seconds to trace the step.
--plans     The seconds that `plan` predicts against those that `rank` takes: on the
            networks that its constants were set on, and on others (engine_plans.py).
--vgg       The time to rank all groups of VGG16-BN on 200 images: measured, or planned
            where it would take too long (marked), beside what the paper's estimator
            needs (5 shared permutations, 1,000 images).
--estimate  The estimate of the time left after the first tenth, against what it then
            took.

All seconds are CPU seconds of one core, to which the process is bound: what others do
on the machine is not in them. Each part writes a file when it is complete: engine.csv,
engine_plans.csv, engine_vgg.csv, engine_estimate.csv; and the first engine.png.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np
import tensorflow as tf
from keras import layers

import keras_shapley_prune as ksp
from keras_shapley_prune.inputs.losses import resolve_loss
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.plan.flops import count_call_flops
from keras_shapley_prune.rank.estimators import (
    Gradient,
    Permutation,
    SharedPermutation,
)
from keras_shapley_prune.rank.sampled.game import OutputGame
from keras_shapley_prune.rank.sampled.incremental import plan_incremental
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.rank.sampled.values import LossValue
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.graph import run_calls

BATCH, STEPS, ROUNDS = 32, 12, 3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def vgg16_bn():
    """VGG16 with batch normalization for 32x32 images, random weights."""
    model = keras.Sequential([keras.Input((32, 32, 3))])
    for width, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            networks.add_convolution(model, width)
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(10))
    model.compile("sgd", LOSS)
    return model


def mobilenet_v2():
    """MobileNetV2 at 96x96, random weights, 10 logits."""
    model = keras.applications.MobileNetV2(
        (96, 96, 3), weights=None, classes=10, classifier_activation=None
    )
    model.compile("sgd", LOSS)
    return model


def load_models(args):
    """Yields `(name, model)`."""
    yield "VGG16-BN", vgg16_bn()
    yield "ResNet-20", networks.cifar10(args, "resnet20").model
    yield "MobileNetV2", mobilenet_v2()


def random_data(model, count):
    """Returns random images and labels."""
    generator = np.random.default_rng(0)
    images = generator.normal(size=(count, *model.input_shape[1:])).astype("float32")
    return images, generator.integers(0, 10, count)


def time_steps(name, model):
    """Yields a row for an early, a middle and a late group of a model."""
    channel_map = ksp.trace_channels(model)
    groups = sorted(channel_map.groups, key=lambda g: Suffix(channel_map, g).start)
    images, labels = (tf.constant(array) for array in random_data(model, BATCH))
    value = LossValue(resolve_loss(model))
    for place, position in zip(("early", "middle", "late"), (0.1, 0.5, 1), strict=True):
        group = groups[round(position * (len(groups) - 1))]
        suffix = Suffix(channel_map, group)
        frontier = ForwardPass(channel_map.graph, [[images]])
        frontier.advance(suffix.start)
        cut = suffix.cut_values(frontier.values(0))

        @tf.function(autograph=False)
        def bare(cut, labels, suffix=suffix):
            values = dict(zip(suffix.cut, cut, strict=True))
            run_calls(suffix.calls, values)
            outputs = [values[tensor] for tensor in channel_map.graph.outputs]
            return value(labels, outputs, None, ())

        steps = min(STEPS, group.num_units)
        estimator = Permutation(window=steps / group.num_units)
        active = np.ones(group.num_units, bool)
        ranks = estimator.draw([0, 0, 0, 0, 0], BATCH, active)
        count = estimator.num_evaluations(group.num_units)
        timed = {"bare": lambda f=bare, c=cut: f(c, labels).numpy()}
        traces = {}
        chosen = plan_incremental(suffix)
        for kind, walk in (("step", None), ("incremental", chosen)):
            if kind == "incremental" and walk is None:
                continue
            game = OutputGame(suffix, value, estimator, BATCH, walk)
            start = time.process_time()
            data = cut, labels, (), ()
            game.estimate(ranks, data)
            traces[kind] = time.process_time() - start
            timed[kind] = lambda g=game, d=data, r=ranks: g.estimate(r, d)
        seconds = {kind: [] for kind in timed}
        for _ in range(ROUNDS):
            for kind, run in timed.items():
                repeats = count if kind == "bare" else 1
                start = time.process_time()
                for _ in range(repeats):
                    run()
                seconds[kind].append((time.process_time() - start) / count)
        per_evaluation = {kind: np.median(s) for kind, s in seconds.items()}
        for kind in traces:
            ratio = np.median(np.divide(seconds[kind], seconds["bare"]))
            yield (
                name,
                place,
                group.name,
                group.num_units,
                kind,
                BATCH / per_evaluation[kind],
                BATCH / per_evaluation["bare"],
                ratio - 1,
                traces[kind],
                touched_flops(suffix, chosen if kind == "incremental" else None),
            )


def touched_flops(suffix, walk):
    """Returns the FLOPs of one step of a walk, as a share of those of its suffix."""
    flops = {call: count_call_flops(call) for call in suffix.calls}
    whole = sum(flops.values())
    if walk is None:
        return 1.0
    # One unit's part of the layer, instead of all of it.
    return 1 - flops[walk.call] / whole * (1 - 1 / suffix.num_units)


def rank_vgg(num_examples=200, longest=300):
    """Yields `(method, evaluations, seconds, measured?)` of ranking VGG16-BN."""
    model = vgg16_bn()
    data = random_data(model, num_examples)
    rankers = {
        "reconstruction, 32 stages": ksp.ShapleyRanker(),
        "gradient, 1 draw": ksp.ShapleyRanker("loss", "gradient"),
        "gradient, 8 draws": ksp.ShapleyRanker("loss", Gradient(num_draws=8)),
        "permutation, 1 walk": ksp.ShapleyRanker("loss"),
    }
    for name, chosen in rankers.items():
        plan = chosen.estimate_cost(model, data)
        seconds, measured = plan.seconds, plan.seconds < longest
        if measured:
            start = time.process_time()
            chosen.rank(model, data, verbose=0)
            seconds = time.process_time() - start
        yield name, plan.evaluations, plan.seconds, seconds, measured
    papers = ksp.ShapleyRanker("loss", SharedPermutation(num_draws=5))
    plan = papers.estimate_cost(model, random_data(model, 1000))
    yield (
        "paper's: 5 shared, 1,000 images",
        plan.evaluations,
        plan.seconds,
        plan.seconds,
        0,
    )


def check_estimate(args, num_examples=64):
    """Returns the seconds left as estimated after a tenth, and as they were."""
    model = networks.cifar10(args, "resnet20").model
    marks = []

    class Watched(Progress):
        def begin(self, step, seconds=None):
            super().begin(step, seconds)
            self.began, self.share = time.process_time(), 0.0

        def add(self, share):
            self.share += share
            marks.append((time.process_time(), self.share))
            if len(marks) == 1 or marks[-2][1] < 0.1 <= marks[-1][1]:
                spent = marks[-1][0] - self.began
                args.guess = marks[-1][0], spent * (1 - self.share) / self.share

    ksp.ShapleyRanker("loss").rank(
        model, random_data(model, num_examples), progress=Watched(0)
    )
    moment, guess = args.guess
    return guess, time.process_time() - moment


def plot(rows, path):
    """Draws the overhead of each group's step."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    names = [f"{row[0]} {row[1]}\n{row[4]}" for row in rows]
    axes.bar(names, [100 * row[7] for row in rows])
    axes.axhline(15, color="0.5", linestyle="--", linewidth=1)
    axes.tick_params("x", rotation=90, labelsize=7)
    axes.set_ylabel("time over a bare forward pass, %")
    figure.savefig(path, dpi=110)


def measure_steps(args):
    """Yields the rows of the steps, prints them and draws them."""
    print("evaluations of one example a second: the ranker's step, a bare forward pass")
    rows = []
    for name, model in load_models(args):
        for row in time_steps(name, model):
            rows.append(row)
            print(
                f"{row[0]:12} {row[1]:7} {row[2]:24} {row[3]:4d} {row[4]:12}"
                f"{row[5]:11,.0f}{row[6]:11,.0f}  {row[7]:+7.1%}  trace {row[8]:.1f} s"
                f"  FLOPs {row[9]:.1%}",
                flush=True,
            )
            yield row
    plot(rows, args.output / "engine.png")


def measure_plans(args):
    """Yields the rows of engine_plans.py, and prints them."""
    import engine_plans

    print("constants set on it?, network, game, examples, seconds planned, taken")
    for row in engine_plans.measure(args):
        *names, num_images, known, planned, taken = row
        print(
            f"{'yes' if known else 'no':4}",
            "{:23} {:15} {:12}".format(*names),
            f"{num_images:4d}{planned:8.1f}{taken:8.1f}  ratio {planned / taken:.2f}",
            flush=True,
        )
        yield row


def measure_estimate(args):
    """Yields one row: the seconds left as estimated, and as they were."""
    guess, truth = check_estimate(args)
    print(f"seconds left after a tenth: estimated {guess:.0f}, it took {truth:.0f}")
    yield "ResNet-20", guess, truth


def measure_vgg(args):
    """Yields the rows of VGG16-BN, and prints them."""
    print("ranking all groups of VGG16-BN: evaluations, seconds planned, seconds")
    for row in rank_vgg():
        name, evaluations, planned, seconds, measured = row
        how = "measured" if measured else "planned only"
        print(
            f"{name:34}{evaluations:14,}{planned:10,.1f}{seconds:10,.1f}  {how}",
            flush=True,
        )
        yield row


PARTS = {  # option: what yields the rows, file, header
    "steps": (
        measure_steps,
        "engine.csv",
        "network place group units step rate bare_rate overhead trace_seconds "
        "flops_of_suffix",
    ),
    "plans": (
        measure_plans,
        "engine_plans.csv",
        "network game estimator images constants_set_on_it planned taken",
    ),
    "vgg": (
        measure_vgg,
        "engine_vgg.csv",
        "method evaluations planned seconds measured",
    ),
    "estimate": (measure_estimate, "engine_estimate.csv", "network estimated taken"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for part in PARTS:
        parser.add_argument(f"--{part}", action="store_true")
    args = networks.parse_arguments(parser)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    chosen = [part for part in PARTS if getattr(args, part)]
    for part in chosen or PARTS:
        measure, file, header = PARTS[part]
        print(f"\n== {part}", flush=True)
        networks.write_csv(args.output / file, header, list(measure(args)))


if __name__ == "__main__":
    main()
