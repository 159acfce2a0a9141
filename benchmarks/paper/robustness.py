"""Layer-wise robustness: the layers of a VGG-16 lose their units one by one.

    python benchmarks/paper/robustness.py [--full] [--seeds 1] [--images 50]
        [--walks 4] [--test-images 100] [--depths 8] [--rankings ...] [--layers ...]

The second experiment of "Shapley Value as Principled Metric for Structured Network
Pruning" (Ancona et al., arXiv 2006.01795, figures 2 and 3). Each hidden layer is pruned
alone: its units are set to zero one by one, the lowest first, behind its ReLU, and
nothing is repaired. The area under the curve (AUC) is the mean, over the removals of
all layers, of how much higher the loss on test images is than that of the whole
network. Then, for some rankings and depths, the layer is pruned with the default
repair.

`--walks` is the number of images of the paper's estimator, which is nearly all that
this costs: five permutations of the units, for each of which the part of the network
behind the layer is run after each removal. Ours get as many evaluations, or a
hundredth of them. `--depths` is the number of depths at which a curve is measured;
between them it is taken to be straight. `--full` is the paper's form, 1,000 images
everywhere and each removal, and takes some days of one core.

The network is that of vgg16.py, which trains it if it is not in the cache. Rankings are
kept in the cache too. Writes paper_robustness.csv, paper_robustness_repair.csv and
paper_robustness.png; runs that are in the tables already are not done again.
"""

import argparse
import dataclasses
import itertools
import os
import pathlib
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras_shapley_prune as ksp
from keras_shapley_prune import estimators, games

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
from networks import parse_arguments
from paper import vgg16
from paper.robustness_curves import Curve, sum_increases
from paper.robustness_tables import (
    ALL_GRADIENTS,
    CRITERIA,
    DEFAULT,
    DRAWN,
    GRADIENTS,
    PUBLISHED,
    RANKINGS,
    SPREAD,
    SPREAD_GRADIENTS,
    format_tables,
    plot,
)
from paper.runs import Runs, print_versions

REPAIRED = ("weight norm (L2)", PUBLISHED, DEFAULT)
NUM_PERMUTATIONS = 5
# Rankings of staged games differ in what they are made for: for nearly all units.
RANKED = 0.99
COLUMNS = "ranking seed layer units images evaluations seconds increase losses"
REPAIR_COLUMNS = "ranking layer ratio removed masked repaired"


@dataclasses.dataclass
class Robustness:
    """The experiment on one network.

    Args:
        problem: A `networks.Problem`.
        settings: Parsed options: `images`, `walks`, `test_images` and `depths`.
        folder: A `pathlib.Path`, where rankings are kept.
    """

    problem: object
    settings: object
    folder: pathlib.Path

    def __post_init__(self):
        self.model = self.problem.model
        self.channel_map = ksp.trace_channels(self.model)
        self.units = {g.name: g.num_units for g in self.channel_map.groups}
        self.test = tuple(
            part[: self.settings.test_images] for part in self.problem.test
        )
        self._curves = {}

    def run(self, name, seed, layer):
        """Returns the one row of a ranking of a layer."""
        ranking, num_images, seconds = self.rank(name, seed, layer)
        scores = ranking[layer]
        counts, losses = self.curve(layer).measure(scores.order, self.settings.depths)
        row = (
            self.units[layer],
            num_images,
            scores.num_evaluations,
            f"{seconds:.1f}",
            sum_increases(counts, losses),
            " ".join(f"{loss:.4f}" for loss in losses),
        )
        return [row]

    def rank(self, name, seed, layer):
        """Returns a `Ranking`, its number of images and CPU seconds (0 if kept)."""
        ranker, num_images = self.ranker(name, seed, layer)
        place = f"{RANKINGS.index(name)}_{seed}_{layer}_{num_images}.json"
        path = self.folder / place
        if path.exists():
            return ksp.Ranking.load(path), num_images, 0.0
        data = self.problem.calibration(num_images, seed)
        start = time.process_time()
        ranking = ranker.rank(
            self.model,
            data,
            layers=[layer],
            channel_map=self.channel_map,
            ratio=RANKED,
            verbose=0,
        )
        seconds = time.process_time() - start
        path.parent.mkdir(parents=True, exist_ok=True)
        ranking.save(path)
        return ranking, num_images, seconds

    def ranker(self, name, seed, layer):
        """Returns a ranker, and on how many images it ranks a layer."""
        walks = self.settings.walks
        if name in CRITERIA:
            ranker = ksp.BaselineRanker(CRITERIA[name], seed=seed)
            return ranker, self.settings.images
        if name == DEFAULT:
            return ksp.ShapleyRanker(seed=seed), self.settings.images
        if name == PUBLISHED:
            estimator, num_images = (
                estimators.SharedPermutation(NUM_PERMUTATIONS),
                walks,
            )
        elif name in (ALL_GRADIENTS, SPREAD_GRADIENTS):
            estimator, num_images = estimators.Gradient(), self.settings.images
        elif name == GRADIENTS:
            # A gradient is counted as five evaluations.
            number = max(round((self.units[layer] + 1) * walks / 100), 2)
            num_images = min(number, self.settings.images)
            estimator = estimators.Gradient(round(number / num_images))
        else:
            # An order for each of five times as many images costs the same.
            estimator, num_images = estimators.Permutation(), NUM_PERMUTATIONS * walks
        spread = name in (SPREAD, SPREAD_GRADIENTS)
        reduction = "mean+2std" if spread else "mean"
        game = games.Loss(reduction=reduction)
        return ksp.ShapleyRanker(game, estimator, seed=seed), num_images

    def curve(self, layer):
        """Returns the `Curve` of a layer, on the test images."""
        if layer not in self._curves:
            self._curves[layer] = Curve(self.model, layer, self.test)
        return self._curves[layer]

    def repair(self, name, layer, ratio):
        """Returns the one row of a layer that is pruned: with and without repair."""
        ranking, *_ = self.rank(name, 0, layer)
        images, _ = self.problem.calibration(self.settings.images, 0)
        pruned = ksp.prune(
            self.model, images, ratio, layers=[layer], ranker=ranking, verbose=0
        )
        left = pruned.get_layer(layer).kernel.shape[-1]
        removed = self.units[layer] - left
        curve = self.curve(layer)
        masked = curve.loss(ranking[layer].order[:removed])
        whole, repaired = curve.loss([]), pruned.evaluate(*self.test, verbose=0)[0]
        return [(removed, masked - whole, repaired - whole)]


def parse():
    """Returns the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--walks", type=int, default=4)
    parser.add_argument("--test-images", type=int, default=100)
    parser.add_argument("--depths", type=int, default=8)
    vgg16.add_options(parser)
    parser.add_argument("--rankings", nargs="+", default=RANKINGS, choices=RANKINGS)
    parser.add_argument("--repaired", nargs="*", default=REPAIRED, choices=RANKINGS)
    parser.add_argument("--ratios", nargs="*", type=float, default=(0.25, 0.5, 0.75))
    parser.add_argument("--layers", nargs="+", default=None)
    args = parse_arguments(parser)
    if args.full:
        args.images = args.walks = args.test_images = 1000
        args.seeds, args.depths = 3, 512
    return args


def main():
    """Measures what is missing, prints the tables and draws."""
    args = parse()
    problem = vgg16.load(args)
    experiment = Robustness(problem, args, pathlib.Path(args.cache) / "robustness")
    loss, accuracy = problem.model.evaluate(*experiment.test, verbose=0)
    names = ("images", "walks", "test_images", "depths")
    print_versions(**{name: getattr(args, name) for name in names})
    print(f"whole network: loss {loss:.4f}, accuracy {accuracy:.4f}")
    layers = args.layers or list(experiment.units)
    keys = [
        (name, seed, layer)
        for seed in range(args.seeds)
        for name in args.rankings
        for layer in reversed(layers)
        if seed == 0 or name in DRAWN
    ]
    runs = Runs(args.output / "paper_robustness.csv", COLUMNS, 3)
    runs.run(keys, experiment.run)
    repairs = Runs(args.output / "paper_robustness_repair.csv", REPAIR_COLUMNS, 3)
    keys = itertools.product(reversed(layers), args.repaired, args.ratios)
    keys = [(name, layer, ratio) for layer, name, ratio in keys]
    repairs.run(keys, experiment.repair)
    print(*format_tables(runs.rows, repairs.rows), sep="\n")
    plot(runs.rows, args.output / "paper_robustness.png")


if __name__ == "__main__":
    main()
