"""Which blocks of a network can be removed: what games foresee, and what is chosen.

    python benchmarks/blocks.py --pretrained DIR [--parts games folded ...]

`games`: on ResNet-20, 24 networks without one to four blocks are repaired by least
squares with 60 unlabelled images. How well does each game foresee their order, by the
KL divergence from the original on 1,000 test images? A coalition is worth minus the KL
divergence, or the squared change of the outputs, as the network is without the blocks,
or with what repair makes up for: the statistics of the normalizations are taken anew,
or linear layers brought to the moments that they had. The games are played on the same
images. `folded`: the same without normalizations (`fold_normalization`).

`chosen`: on ResNet-56, 4, 8 and 12 of 27 blocks are removed, with 100 images: those
that `ShapleyRanker()` values least, at random (mean of three draws), and the last ones.
Accuracy is that on 2,000 test images.

Nothing is trained. Rows that are in blocks.csv already are not computed again.
"""

import argparse
import dataclasses
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import networks
import numpy as np
import scipy.stats
import tensorflow as tf

import keras_shapley_prune as ksp
from keras_shapley_prune.rank.blocks.block_game import BlockGame
from keras_shapley_prune.rank.blocks.block_values import AllCoalitions

FIELDS = "part network case number value seconds"
NUM_CUTS, NUM_DRAWS = 24, 3
DEPTHS = (4, 8, 12)


class KLGame(BlockGame):
    """A coalition is worth minus the KL divergence of its outputs."""

    def _compare(self, ours, whole):
        found = 0.0
        for one, other in zip(ours, whole, strict=True):
            logs, expected = tf.nn.log_softmax(one), tf.nn.log_softmax(other)
            found += tf.reduce_sum(tf.exp(expected) * (expected - logs), axis=-1)
        return found.numpy()


GAMES = {"KL": KLGame, "squared change": BlockGame}
MADE_UP = {"as it is": False, "made up": True}


def keep_without(channel_map, blocks):
    """Returns `keep`, without the blocks of some numbers."""
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[list(blocks)]] = False
    return keep


def repair(model, channel_map, blocks, images):
    """Returns the network without some blocks, repaired."""
    keep = keep_without(channel_map, blocks)
    return ksp.repair_channels(model, keep, images, channel_map=channel_map, verbose=0)


def divergence(model, other, images):
    """Returns the mean KL divergence of a network from another one."""
    ours, theirs = (
        tf.nn.log_softmax(one.predict(images, batch_size=250, verbose=0))
        for one in (model, other)
    )
    found = tf.reduce_sum(tf.exp(theirs) * (theirs - ours), axis=-1)
    return float(tf.reduce_mean(found))


def compare_games(problem):
    """Yields rows, from `case` on: what is foreseen, and what is chosen first."""
    model, (images, _) = problem.model, problem.calibration(60, 0)
    channel_map = ksp.trace_channels(model, "block")
    (group,), test = channel_map.groups, problem.test[0][:1000]
    generator = np.random.default_rng(0)
    cuts = [(block,) for block in range(group.num_units)]
    while len(cuts) < NUM_CUTS:
        size = 2 + len(cuts) % 3
        chosen = generator.permutation(group.num_units)[:size]
        cuts.append(tuple(sorted(chosen.tolist())))
    cuts = list(dict.fromkeys(cuts))
    real = [
        divergence(repair(model, channel_map, blocks, images), model, test)
        for blocks in cuts
    ]
    wanted = [keep_without(channel_map, blocks)[group.units] for blocks in cuts]
    for name, game in GAMES.items():
        for how, made_up in MADE_UP.items():
            start = time.process_time()
            opened = game(channel_map, group, [[tf.constant(images)]], made_up)
            worth = opened.evaluate(np.array(wanted)).mean(axis=0)
            found = scipy.stats.spearmanr(-worth, real).statistic
            every = AllCoalitions(group.num_units, 0.5)
            values, _ = every.estimate(opened.evaluate(every.coalitions))
            first = np.argsort(values)[:3].tolist()
            accuracy = problem.accuracy(repair(model, channel_map, first, images), 1000)
            seconds = time.process_time() - start
            yield f"{name}, {how}: correlation", len(cuts), found, seconds
            yield f"{name}, {how}: accuracy without", first, accuracy, seconds


def compare_folded_games(problem):
    """Yields rows as `compare_games` does, of a network without normalizations."""
    model = ksp.fold_normalization(problem.model)
    yield from compare_games(dataclasses.replace(problem, model=model))


def compare_choices(problem):
    """Yields rows, from `case` on: accuracy without some blocks."""
    model, (images, _) = problem.model, problem.calibration(100, 0)
    channel_map = ksp.trace_channels(model, "block")
    start = time.process_time()
    ranking = ksp.ShapleyRanker().rank(
        model, images, channel_map=channel_map, verbose=0
    )
    yield "ranking", 0, problem.accuracy(model, 2000), time.process_time() - start
    (group,), generator = channel_map.groups, np.random.default_rng(0)
    orders = {
        "these values": [ranking[group.name].order],
        "at random": [generator.permutation(group.num_units) for _ in range(NUM_DRAWS)],
        "the last": [np.arange(group.num_units)[::-1]],
    }
    for depth in DEPTHS:
        for name, several in orders.items():
            start = time.process_time()
            found = []
            for order in several:
                pruned = repair(model, channel_map, order[:depth].tolist(), images)
                found.append(problem.accuracy(pruned, 2000))
            yield name, depth, np.mean(found), time.process_time() - start


PARTS = {
    "games": ("resnet20", compare_games),
    "folded": ("resnet20", compare_folded_games),
    "chosen": ("resnet56", compare_choices),
}


def main():
    """Measures what is not in blocks.csv yet, and prints all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    args = networks.parse_arguments(parser)
    path = args.output / "blocks.csv"
    rows = [list(row.values()) for row in networks.read_csv(path)]
    for part in args.parts:
        if part in [row[0] for row in rows]:
            continue
        network, measure = PARTS[part]
        keras.utils.set_random_seed(0)
        problem = networks.cifar10(args, network)
        for case, number, value, seconds in measure(problem):
            row = [part, network, case, number, f"{value:.4f}", f"{seconds:.0f}"]
            print(*row, flush=True)
            rows.append(row)
        networks.write_csv(path, FIELDS, rows)
    for row in rows:
        print(*row)


if __name__ == "__main__":
    main()
