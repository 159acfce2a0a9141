"""How layers are compared under a global budget: accuracy for each kind of costs.

    python benchmarks/allocation.py [--networks ...] [--methods ...] [--budgets ...]
        [--seeds 1] [--pretrained DIR] [--output DIR]

Every network is pruned by a share of its FLOPs, all groups of it, from 200 unlabelled
images, and repaired by least squares. METHODS say in what the removal costs of units
are counted, and so how much each layer loses:

    readers     the share of the variance of the layers that read a group
    outputs     the squared change of the outputs, to first order (the default)
    measured    the same, but each cut of each group is run through the network
    kl          the Shapley values of the outputs by gradients, root mean square
    median      the geometric median, the same share of every layer

Accuracy, and agreement with the original network, are those on the first 3,000 test
images (500 for ImageNet). Writes allocation.csv, and prints the means over the seeds.
Rows that are in the CSV already are not computed again. Seconds are CPU seconds.
"""

import argparse
import csv
import itertools
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import networks
import numpy as np
import tensorflow as tf

import keras_shapley_prune as ksp
from keras_shapley_prune import estimators, games
from keras_shapley_prune.plan.selection import ratios_to_rank
from keras_shapley_prune.rank.calibration import Calibration
from keras_shapley_prune.rank.output_costs.removal_costs import measure_removal_costs
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.trace.graph import run_calls

FIELDS = (
    "network seed method budget accuracy agreement flops rank_seconds repair_seconds"
).split()
NETWORKS = ("resnet20", "resnet44", "resnet56", "resnet8", "resnet32", "mobilenet")
BUDGETS = {"mobilenet": (0.3,), "resnet32": (0.3, 0.5)}
NUM_IMAGES, NUM_TEST = 200, 3000


class MeasuredPass:
    """Runs every cut of every group through the network, instead of an `OutputPass`.

    Args:
        graph: See `OutputPass`.
        changes: See `OutputPass`.
        scale: See `OutputPass`.
        seed: Not used: nothing is drawn.
    """

    def __init__(self, graph, changes, scale, seed=0):
        self._graph, self._changes, self._scale = graph, changes, scale

    def run(self, batches, on_share=None, entry=None):
        """Returns what `OutputPass.run` estimates."""
        totals, count = dict.fromkeys(self._changes, 0.0), 0
        for inputs in batches:
            count += len(inputs[0])
            for name, squares in self._measure(inputs):
                totals[name] = totals[name] + np.array(squares)
        return {name: total / count for name, total in totals.items()}

    def _measure(self, inputs):
        """Yields each group's name and the squared changes at its depths."""
        graph, changes = self._graph, self._changes
        whole = self._finish(graph.feed(inputs), 0, {})
        first = {
            name: min(change.key[0] for change in found)
            for name, found in changes.items()
        }
        values, done = graph.feed(inputs), 0
        for name in sorted(first, key=first.get):
            # What stands before the group is run once, for all of its depths.
            graph.run_between(values, done, first[name])
            done, squares = first[name], []
            for depth in range(len(changes[name][0].changes)):
                cut = self._finish(dict(values), done, _stand_ins(changes[name], depth))
                squares.append(
                    sum(
                        float(tf.reduce_sum((a - b) ** 2))
                        for a, b in zip(cut, whole, strict=True)
                    )
                )
            yield name, squares

    def _finish(self, values, start, stand_ins):
        run_calls(self._graph.calls[start:], values, stand_ins=stand_ins)
        return self._scale(values)


def _stand_ins(changes, depth):
    """Returns what is run in the place of the readers of a group that has been cut."""
    by_call = {}
    for change in changes:
        by_call.setdefault(change.reader.call, []).append(change)
    return {
        call: lambda call, inputs, _, found=found: _run_changed(
            call, inputs, found, depth
        )
        for call, found in by_call.items()
    }


def _run_changed(call, inputs, changes, depth):
    form = None
    for change in changes:
        reader, matrix = change.reader, change.changes[depth]()
        if reader.form is None:  # what it reads is made of the units that are kept
            read = inputs[reader.position]
            inputs[reader.position] = read + read @ matrix[:-1] + matrix[-1]
        else:
            form, refit = reader.form, matrix
    if form is None:
        args, kwargs = call.fill_in(inputs)
        return call.operation(*args, **kwargs)
    read = form.read(call, inputs, {})
    rows = tf.reshape(form.rows(read), [-1, len(refit) - 1]) @ refit[:-1] + refit[-1]
    outputs = form.apply(read)
    return form.activate(outputs + tf.reshape(rows, tf.shape(outputs)))


class MeasuredRanker:
    """The default of a global budget, with removal costs by `MeasuredPass`.

    Args:
        seed: Integer.
    """

    def __init__(self, seed):
        self._seed = seed

    def rank(self, model, images, channel_map, **arguments):
        """Returns what `ShapleyRanker.rank` returns."""
        ranking = outputs_ranker(self._seed).rank(
            model, images, channel_map=channel_map, **arguments
        )
        data = Calibration(model, images, None, channel_map, 0.5, 32, False)
        batches = [inputs for inputs, _, _ in data.batches]
        moments = InputMoments(
            channel_map, data.groups, batches, num_copies=2, hold_out=True
        )
        scores = measure_removal_costs(
            moments, dict(ranking), batches, open_pass=MeasuredPass
        )
        return data.make_ranking(scores, "measured outputs")


def readers_ranker(seed):
    game = games.Reconstruction(horizon=0.25, num_copies=2)
    return ksp.ShapleyRanker(game, seed=seed)


def outputs_ranker(seed):
    game = games.Reconstruction(horizon=0.25, num_copies=2, costs="outputs")
    return ksp.ShapleyRanker(game, seed=seed)


def kl_ranker(seed):
    game = games.KL(replacement="mean", reduction="rms")
    return ksp.ShapleyRanker(game, estimators.Gradient(2, window=0.5), seed=seed)


def median_ranker(seed):
    return ksp.BaselineRanker("geometric_median", seed=seed)


METHODS = {  # what makes the ranker of a seed, and the scope of the budget
    "readers": (readers_ranker, "global"),
    "outputs": (outputs_ranker, "global"),
    "measured": (MeasuredRanker, "global"),
    "kl": (kl_ranker, "global"),
    "median": (median_ranker, "layer"),
}


def measure(problem, seed, method, ratios):
    """Yields a row for each budget, of one ranking.

    Args:
        problem: A `Problem`.
        seed: Integer.
        method: String, one of `METHODS`.
        ratios: List of floats, the shares of the FLOPs to remove.
    """
    if not ratios:
        return
    images, _ = problem.calibration(NUM_IMAGES, seed)
    make, scope = METHODS[method]
    channel_map = ksp.trace_channels(problem.model)
    deepest = ksp.PruningBudget(max(ratios), of="flops", scope=scope)
    wanted = ratios_to_rank(channel_map, deepest)
    start = time.process_time()
    ranking = make(seed).rank(
        problem.model, images, channel_map=channel_map, ratio=wanted, verbose=0
    )
    rank_seconds = time.process_time() - start
    predicted = predict(problem, problem.model)
    for ratio in ratios:
        start = time.process_time()
        plan = ksp.plan_pruning(
            problem.model, ranking, ratio, channel_map, of="flops", scope=scope
        )
        pruned = ksp.apply_plan(problem.model, plan, images, verbose=0)
        seconds = time.process_time() - start
        found = predict(problem, pruned)
        accuracy = np.mean(found == problem.test[1][:NUM_TEST])
        flops = ksp.count_flops(pruned) / ksp.count_flops(problem.model)
        shown = [accuracy, np.mean(found == predicted), flops, rank_seconds, seconds]
        yield [problem.name, seed, method, ratio, *(round(float(x), 4) for x in shown)]


def predict(problem, model):
    """Returns the classes that a model sees in the test images."""
    images = problem.test[0][:NUM_TEST]
    return model.predict(images, batch_size=100, verbose=0).argmax(axis=-1)


def read(path):
    """Returns the rows of a CSV file as lists, an empty list if there is none."""
    return [
        [row["network"], int(row["seed"]), row["method"]]
        + [float(row[name]) for name in FIELDS[3:]]
        for row in networks.read_csv(path)
    ]


def print_table(rows):
    """Prints means over seeds, one line for each method and budget of a network."""
    for network, budget in dict.fromkeys((row[0], row[3]) for row in rows):
        print(f"\n{network}, -{budget:.0%} FLOPs: accuracy, agreement, CPU seconds")
        ours = [row for row in rows if (row[0], row[3]) == (network, budget)]
        for method in dict.fromkeys(row[2] for row in ours):
            found = np.array([row[4:] for row in ours if row[2] == method])
            accuracy, agreement, flops, ranked, repaired = found.mean(axis=0)
            print(
                f"{method:10} {accuracy:6.1%} ± {found[:, 0].std():.1%} ({len(found)})"
                f"  {agreement:6.1%}  {flops:.1%} of the FLOPs"
                f"  {ranked:6.1f} + {repaired:.1f} s"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--budgets", nargs="+", type=float, help="shares of the FLOPs")
    parser.add_argument("--seeds", type=int, default=1)
    args = networks.parse_arguments(parser)
    path = args.output / "allocation.csv"
    rows = read(path)
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if not rows:
            writer.writerow(FIELDS)
        for network in args.networks:
            problem = networks.NETWORKS[network](args)
            ratios = args.budgets or BUDGETS.get(network, (0.5,))
            for seed, method in itertools.product(range(args.seeds), args.methods):
                done = {row[3] for row in rows if row[:3] == [network, seed, method]}
                missing = [ratio for ratio in ratios if ratio not in done]
                for row in measure(problem, seed, method, missing):
                    rows.append(row)
                    writer.writerow(row)
                    file.flush()
    print_table(rows)


if __name__ == "__main__":
    main()
