"""What the noise of Shapley walks consists of, and what takes it off.

    python benchmarks/control_variates.py [--seeds 6] [--tfds DIR] [--pretrained DIR]

First, why: of the noise of single walks (the difference of two walks of one example),
the share that is explained by

- refit: what the same walk costs in the closed-form reconstruction game, in which the
  layers that read the group are refitted, on the moments of all examples;
- lost: what it costs in the closed-form game of the example itself, in which nothing is
  refitted (`Permutation(control_variate=True)`);
- step: the step of the walk and its square, which antithetic walks balance anyway;
- class: the mean game of the example's class (where all coalitions are known).

Then what helps: the relative squared error of the estimates with walks given to the
examples batch by batch (as under a `StopWhen`), with walks given to examples of one
class, and with the control variate; and of gradients with and without it. Exact games
have all coalitions evaluated; of the others 24 permutations an example with another
seed stand for the truth. The control variate was chosen on the CNNs and the last group
of the ResNet.

Writes control_variates_why.csv and control_variates.csv.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import rankings_page
import tensorflow as tf
from estimators import load_problems, score
from networks import cifar10, parse_arguments, write_csv
from paper.runs import print_versions

from keras_shapley_prune import ShapleyRanker, StopWhen
from keras_shapley_prune.rank.closed_form.source import find_games
from keras_shapley_prune.rank.estimators import Gradient, Permutation
from keras_shapley_prune.rank.estimators.exact import all_coalitions, shapley_weights
from keras_shapley_prune.rank.estimators.walks import draw_ranks
from keras_shapley_prune.rank.games.resolve_game import resolve_game
from keras_shapley_prune.rank.sampled.contributions import Contributions
from keras_shapley_prune.rank.sampled.game import OutputGame
from keras_shapley_prune.rank.sampled.incremental import find_readers
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels

NEVER = StopWhen(evaluations=10**15)
# Name, estimator, stopping rule: a rule, even one that never applies, divides draws.
VARIANTS = (
    ("walks, by batches", Permutation(control_variate=False), NEVER),
    ("walks, by classes", Permutation(control_variate=False), None),
    ("walks, by classes, control variate", Permutation(), None),
    ("gradients", Gradient(control_variate=False), None),
    ("gradients, control variate", Gradient(), None),
)
ALMOST = Permutation(window=0.999999)  # walks as they are drawn, whole


def find_problems(args):
    """Yields `(network, model, data, names of layers, whether exact)`."""
    for name, model, data, _, names, exact in load_problems(args):
        yield name, model, data, names, exact
    problem = cifar10(args, "resnet20")
    chosen = [problem.layers[i] for i in (2, 5, 8)]
    yield "resnet20", problem.model, problem.calibration(200, 0), chosen, False


class Played:
    """One group of a model, ready to be played.

    Args:
        model: A `keras.Model`.
        data: Tuple `(x, y)`.
        group: A `ChannelGroup`.
        game: `"loss"` or `"kl"`.
    """

    def __init__(self, model, data, group, game):
        self.group, self.labels = group, np.ravel(data[1])
        channel_map = trace_channels(model)
        suffix = Suffix(channel_map, group)
        network = ForwardPass(channel_map.graph, [[keras.ops.array(data[0])]])
        network.advance(suffix.start)
        cut = suffix.cut_values(network.values(0))
        outputs = keras.tree.flatten(model(data[0]))
        self._data = cut, tf.constant(data[1]), (), outputs
        value = resolve_game(game).open_value(model)
        self._game = OutputGame(suffix, value, ALMOST, 200)
        self.contributions = list(
            Contributions(suffix, list(find_readers(suffix))).of(cut)
        )
        batches = [[keras.ops.array(data[0])]]
        moments = InputMoments(channel_map, channel_map.groups, batches)
        self.games = find_games(moments, group, RIDGE)
        self._suffix, self._value, self._cut = suffix, value, cut

    def walk(self, ranks):
        """Returns what each unit is worth in a walk, `(examples, num_units)`."""
        return self._game.estimate(ranks, self._data).astype(float)

    def values_of_all(self):
        """Returns the value of each coalition for each example, `(2**n, examples)`."""
        _, *rest = self._data

        @tf.function
        def value(coalition):
            every = tf.repeat(coalition[tf.newaxis], len(self.labels), axis=0)
            labels, _, reference = rest
            return self._value(
                labels, self._suffix.run(self._cut, every), None, reference
            )

        coalitions = all_coalitions(self.group.num_units)
        return np.stack([value(tf.constant(c)).numpy() for c in coalitions])


def explain(played, table=None, seed=0):
    """Returns shares of the walks' noise: refit, lost, step and class explain them.

    Args:
        played: A `Played`.
        table: What `Played.values_of_all` returned, or `None`.
        seed: Integer.
    """
    count, num_units = len(played.labels), played.group.num_units
    everything = np.ones(num_units, bool)
    generator = np.random.default_rng(seed)
    # Every fourth is the first of a block: independent of each other.
    pair = [draw_ranks(generator, 4 * count, everything)[::4] for _ in range(2)]
    noise = played.walk(pair[0]) - played.walk(pair[1])
    refit, lost, step = [], [], []
    for ranks in pair:
        orders = np.argsort(ranks, axis=1)
        costs = np.zeros(noise.shape)
        for example, order in enumerate(orders):
            costs[example, order] = sum(game.walk(order) for game in played.games)
        refit.append(costs)
        controls = zip(played.contributions, ranks, strict=True)
        lost.append(np.stack([Permutation().control(*found) for found in controls]))
        step.append(ranks / num_units)
    found = [
        _share(noise, [refit[0] - refit[1]]),
        _share(noise, [lost[0] - lost[1]]),
        _share(noise, [step[0] - step[1], step[0] ** 2 - step[1] ** 2]),
    ]
    if table is None:
        return [*found, np.nan]
    classes = _means_of_others(table, played.labels)
    walks = [_walk_table(classes, ranks) for ranks in pair]
    return [*found, 1 - np.sum((noise - walks[0] + walks[1]) ** 2) / np.sum(noise**2)]


def _share(noise, explaining):
    """Returns the share of noise that a regression explains, unit by unit."""
    left = 0.0
    for unit in range(noise.shape[1]):
        columns = np.stack([found[:, unit] for found in explaining], axis=1)
        fit = np.linalg.lstsq(columns, noise[:, unit], rcond=None)[0]
        rest = np.sum((noise[:, unit] - columns @ fit) ** 2)
        left += rest * len(noise) / (len(noise) - len(explaining))
    return 1 - left / np.sum(noise**2)


def _means_of_others(table, labels):
    """Returns, for each example, the mean game of the others of its class."""
    means = np.empty(table.shape)
    for example, label in enumerate(labels):
        others = labels == label
        others[example] = False
        means[:, example] = table[:, others].mean(axis=1)
    return means


def _walk_table(table, ranks):
    """Returns what each unit is worth in walks, of the values of all coalitions."""
    orders, found = np.argsort(ranks, axis=1), np.zeros(ranks.shape)
    examples = np.arange(len(ranks))
    state = np.full(len(ranks), len(table) - 1)
    for units in orders.T:
        left = state - (1 << units)
        found[examples, units] = table[state, examples] - table[left, examples]
        state = left
    return found


def rank(model, data, group, game, estimator, stop=None, seed=0):
    """Returns the scores of one group."""
    ranker = ShapleyRanker(game, estimator, stop=stop, batch_size=32, seed=seed)
    return ranker.rank(model, data, layers=group.name, verbose=0)[group.name]


def measure(args):
    """Yields `(kind, row)`: the rows of both tables."""
    for name, model, data, names, exact in find_problems(args):
        for group in trace_channels(model).select_groups(names):
            # Where all coalitions are evaluated both games are nearly the same.
            for game in ("loss",) if exact else ("loss", "kl"):
                where = name, group.name, group.num_units, game
                played, table = Played(model, data, group, game), None
                if exact:
                    table = played.values_of_all()
                    weights = shapley_weights(group.num_units)
                    truth = weights.T @ table.mean(axis=1)
                else:
                    many = Permutation(num_draws=24)
                    truth = rank(model, data, group, game, many, seed=999).values
                yield "why", [*where, *explain(played, table)]
                for variant, estimator, stop in VARIANTS:
                    for seed in range(args.seeds):
                        found = rank(model, data, group, game, estimator, stop, seed)
                        scores = score(found.values, truth)
                        yield "error", [*where, variant, seed, *scores]


def main():
    """Measures and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=6)
    args = parse_arguments(parser)
    print_versions(seeds=args.seeds, examples=200)
    found = {"why": [], "error": []}
    for kind, row in measure(args):
        found[kind].append(row)
        if kind == "why":
            shares = " ".join(f"{share:.3f}" for share in row[4:])
            print(*row[:4], "refit, lost, step, class:", shares, flush=True)
    write_csv(
        args.output / "control_variates_why.csv",
        "network group units game refit lost step class",
        found["why"],
    )
    write_csv(
        args.output / "control_variates.csv",
        "network group units game variant seed relmse tau overlap",
        found["error"],
    )
    print(rankings_page.show_causes(args.output))
    print(rankings_page.show_errors(args.output))


if __name__ == "__main__":
    main()
