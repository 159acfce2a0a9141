"""Pruning with few images: ranked, repaired and fine-tuned on the same ones.

    python benchmarks/paper/low_data.py [--full] [--networks fashion_small resnet8]
        [--images 10 100 1000] [--ratios 0.3 0.5 0.7] [--seeds 0 1 2]

The last experiment of "Shapley Value as Principled Metric for Structured Network
Pruning" (Ancona et al., arXiv 2006.01795): a trained network loses the same share of
the filters of every layer, and is fine-tuned on the few images that there are. Nothing
else is read of the training set. Rankings:

    random, l2_norm   read no images
    taylor, apoz      the mean absolute gradient times activation; the share of
                      positive activations
    shapley           Shapley values of the loss, the paper's, but with a permutation
                      for each image in place of five that all images share
    default           the ranking of `prune`: what the refitted network loses

Each is measured without repair, as in the paper, and with `prune`'s least squares;
before and after fine-tuning: 100 steps of Adam, 32 images each, flipped at random.
Accuracy is that on the first 2,000 test images. Without `--full`, three ratios, three
numbers of images, one seed, one network: some minutes. `--full` takes hours. Writes
paper_low_data.csv and .png; the same command goes on where it was stopped.
"""

import argparse
import functools
import itertools
import math
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

import keras_shapley_prune as ksp
from keras_shapley_prune import estimators

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from networks import NETWORKS, parse_arguments, without_tuning
from paper.low_data_tables import RANKINGS, RATIOS, WAYS, list_lines, plot
from paper.runs import Runs, print_versions

REDUCED = {
    "networks": ["resnet8"],
    "images": [10, 100, 1000],
    "ratios": [0.3, 0.5, 0.7],
    "seeds": [0],
}
FULL = {
    "networks": ["fashion_small", "resnet8", "resnet20"],
    "images": [10, 50, 100, 500, 1000],
    "ratios": RATIOS,
    "seeds": [0, 1, 2],
}
COLUMNS = f"network images seed ranking ratio {' '.join(WAYS)} params seconds"
NUM_STEPS, BATCH_SIZE, NUM_TESTED = 100, 32, 2000


def make_ranker(ranking, seed):
    """Returns the ranker of a name of `RANKINGS`."""
    if ranking == "default":
        return ksp.ShapleyRanker(seed=seed)
    if ranking == "shapley":
        walks = estimators.Permutation(num_draws=1)
        return ksp.ShapleyRanker("loss", walks, seed=seed)
    return ksp.BaselineRanker(ranking, seed=seed)


class Tuner:
    """Fine-tunes networks of one shape on a few images: it is compiled once.

    Rankings cut other filters, but as many of each layer.

    Args:
        model: A `keras.Model` of that shape, a classifier compiled with its loss.
        num_steps: Integer.

    Attributes:
        model: A copy of it, the network that was given or tuned last.
    """

    def __init__(self, model, num_steps=NUM_STEPS):
        self.model, self._num_steps = keras.models.clone_model(model), num_steps
        for layer in self.model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                # At the 0.99 of some networks a third would be the original's.
                layer.momentum = 0.9
        schedule = keras.optimizers.schedules.CosineDecay(1e-3, num_steps)
        self.model.compile(
            keras.optimizers.Adam(schedule),
            model.loss,
            steps_per_execution=math.gcd(num_steps, 25),
        )
        self._optimizer = self.model.optimizer
        self._optimizer.build(self.model.trainable_variables)
        self._start = [variable.numpy() for variable in self._optimizer.variables]

    def tune(self, data, seed):
        """Trains `model` on images `(x, y)`, flipped at random."""
        for variable, value in zip(self._optimizer.variables, self._start, strict=True):
            variable.assign(value)
        keras.utils.set_random_seed(seed)
        batches = tf.data.Dataset.from_tensor_slices(data).shuffle(len(data[0]))
        batches = without_tuning(batches.repeat().batch(BATCH_SIZE).map(flip))
        options = {"steps_per_epoch": self._num_steps, "shuffle": False}
        self.model.fit(batches, **options, verbose=0)


def flip(x, y):
    """Returns the images of a batch, some of them flipped, and their labels."""
    return tf.image.random_flip_left_right(x), y


def measure(problem, data, ranking, ratio, seed, tuners):
    """Returns the values of the columns behind the key, those of one cut.

    Args:
        problem: A `networks.Problem`.
        data: Tuple `(x, y)`, all images there are.
        ranking: A `Ranking`.
        ratio: Float, the share of every layer to remove.
        seed: Integer, of the fine-tuning.
        tuners: Dict: number of parameters -> `Tuner`, to which this adds.
    """
    start, accuracies = time.process_time(), []
    options = {"ratio": ratio, "ranker": ranking, "verbose": 0}
    for repair in (None, "least_squares"):
        pruned = ksp.prune(problem.model, data[0], repair=repair, **options)
        num_params = pruned.count_params()
        if num_params not in tuners:
            tuners[num_params] = Tuner(pruned)
        tuner = tuners[num_params]
        tuner.model.set_weights(pruned.get_weights())
        accuracies.append(problem.accuracy(tuner.model, NUM_TESTED))
        tuner.tune(data, seed)
        accuracies.append(problem.accuracy(tuner.model, NUM_TESTED))
    left = num_params / problem.model.count_params()
    return [*accuracies, left, round(time.process_time() - start)]


def measure_network(name, args, runs):
    """Measures what the table does not have of a network yet."""
    problem, tuners = NETWORKS[name](args), {}
    whole = problem.accuracy(problem.model, NUM_TESTED)
    print(f"{name}: accuracy {whole:.4f} before pruning")

    @functools.lru_cache(maxsize=1)
    def rank(images, seed, ranking):
        data = problem.calibration(images, seed)
        ranker = make_ranker(ranking, seed)
        return data, ranker.rank(problem.model, data, ratio=0.9, verbose=0)

    def run(name, images, seed, ranking, ratio):
        # All ratios cut the same ranking, which is made for the deepest cut.
        data, found = rank(images, seed, ranking)
        return [measure(problem, data, found, ratio, seed, tuners)]

    # Seeds first: a run that is stopped early has all rankings of the seeds it has.
    keys = itertools.product(args.seeds, args.images, args.rankings, args.ratios)
    runs.run([(name, n, seed, *key) for seed, n, *key in keys], run)


def main():
    """Measures what the table does not have yet, prints and draws."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all of it, hours")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS)
    parser.add_argument("--images", nargs="+", type=int)
    parser.add_argument("--ratios", nargs="+", type=float)
    parser.add_argument("--rankings", nargs="+", choices=RANKINGS, default=RANKINGS)
    parser.add_argument("--seeds", nargs="+", type=int)
    args = parse_arguments(parser)
    for name, value in (FULL if args.full else REDUCED).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    print_versions(seeds=args.seeds, steps=NUM_STEPS, batch=BATCH_SIZE)
    runs = Runs(args.output / "paper_low_data.csv", COLUMNS, num_keys=5)
    for name in args.networks:
        measure_network(name, args, runs)
    print(*list_lines(runs.rows), sep="\n")
    plot(runs.rows, args.networks[0], args.output / "paper_low_data.png")


if __name__ == "__main__":
    main()
