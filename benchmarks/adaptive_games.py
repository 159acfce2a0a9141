"""Games whose draws can be had again and again: what `adaptive.py` plays with.

Exact games have a table of all coalitions of every example. Of large games many draws
are recorded once.
"""

import pathlib

import estimators as exactness
import keras
import numpy as np
import tensorflow as tf

from keras_shapley_prune.inputs.losses import resolve_loss
from keras_shapley_prune.rank.estimators.adaptive import Adaptive, Neighbours
from keras_shapley_prune.rank.estimators.exact import all_coalitions, shapley_weights
from keras_shapley_prune.rank.estimators.permutation import Permutation
from keras_shapley_prune.rank.estimators.walks import draw_ranks
from keras_shapley_prune.rank.games import Loss
from keras_shapley_prune.rank.sampled.game import OutputGame
from keras_shapley_prune.rank.sampled.incremental import plan_incremental
from keras_shapley_prune.rank.sampled.suffix import Suffix
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import trace_channels

BATCH = 40
DRAWS, TRUE_DRAWS = 8, 16  # recorded of a large game, and for its true values


class ExactGame:
    """A game with a table of values.

    Args:
        name: String.
        replaced: Boolean, whether the package takes `Permutation` there.
        table: Float array, shape `(2**n, num_examples)`.
    """

    kind = "exact"

    def __init__(self, name, replaced, table):
        self.name, self.replaced = name, replaced
        self._values = table.T.astype(float)
        self.num_examples, size = self._values.shape
        self.num_units = size.bit_length() - 1
        self.truth = (self._values @ shapley_weights(self.num_units)).mean(axis=0)
        self._bits = 1 << np.arange(self.num_units)

    def start(self, generator, replace=False):
        """Shuffles the examples, or draws as many with replacement."""
        self._generator = generator
        size = self.num_examples
        self._examples = generator.choice(size, size, replace=replace)

    def walk(self, rows):
        """Returns the ranks and the marginals of a walk for each of some examples."""
        examples, active = self._examples[rows], np.ones(self.num_units, bool)
        ranks = draw_ranks(self._generator, len(rows), active)
        gaps = self._values[examples, -1] - self._values[examples, 0]
        ranks = match(ranks, gaps)
        after = self._bits.sum() - np.cumsum(1 << np.argsort(ranks, axis=1), axis=1)
        whole = np.full((len(rows), 1), self._bits.sum())
        numbers = np.concatenate([whole, after], axis=1)
        values = self._values[examples[:, np.newaxis], numbers]
        return ranks, np.take_along_axis(values[:, :-1] - values[:, 1:], ranks, axis=1)

    def neighbours(self, rows):
        """Returns what each unit adds to a random coalition, for some examples."""
        key = self._generator.integers(0, 2**31, 4)
        active = np.zeros(self.num_units, bool)
        inside = Neighbours().draw(key, len(rows), active)
        numbers, examples = inside @ self._bits, self._examples[rows]
        changed = self._values[
            examples[:, np.newaxis], numbers[:, np.newaxis] ^ self._bits
        ]
        gains = self._values[examples, numbers][:, np.newaxis] - changed
        return (2 * inside - 1) * gains


class RecordedGame:
    """A game of which draws were recorded; those of a run are all different.

    Args:
        name: String.
        replaced: Boolean, whether the package takes `Permutation` there.
        recorded: Dict of arrays, see `record`.
    """

    kind = "large"

    def __init__(self, name, replaced, recorded):
        self.name, self.replaced = name, replaced
        self._ranks, self._walks = recorded["ranks"], recorded["walks"].astype(float)
        self._neighbours = recorded["neighbours"].astype(float)
        self.truth = recorded["truth"].mean(axis=0)
        _, self.num_examples, self.num_units = self._walks.shape

    def start(self, generator, replace=False):
        """Shuffles the batches, in which walks are matched, and the draws of each."""
        batches = np.arange(self.num_examples).reshape(-1, BATCH)
        self._examples = generator.permutation(batches).ravel()
        self._left = {
            kind: [list(generator.permutation(DRAWS)) for _ in batches]
            for kind in ("walk", "neighbours")
        }

    def walk(self, rows):
        """Returns the ranks and the marginals of a walk for each of some examples."""
        draw, examples = (
            self._left["walk"][rows[0] // BATCH].pop(),
            self._examples[rows],
        )
        return self._ranks[draw, examples], self._walks[draw, examples]

    def neighbours(self, rows):
        """Returns what each unit adds to a random coalition, for some examples."""
        draw = self._left["neighbours"][rows[0] // BATCH].pop()
        return self._neighbours[draw, self._examples[rows]]


def match(ranks, gaps):
    """Gives the walks of a batch to the examples in the order of what these share."""
    return ranks[np.argsort(np.argsort(gaps, kind="stable"), kind="stable")]


def load_games(args):
    """Yields all games; what took long to find is kept in the cache."""
    folder = pathlib.Path(args.cache)
    for name, model, data, *_, exact in exactness.load_problems(args):
        channel_map = trace_channels(model)
        groups = channel_map.groups if exact else channel_map.groups[3:5]
        for group in groups:
            suffix = Suffix(channel_map, group)
            walk = plan_incremental(suffix)
            replaced = not isinstance(Adaptive().for_group(walk), Adaptive)
            full_name = f"{name} {group.name}"
            path = folder / f"adaptive_{full_name.replace(' ', '_')}.npz"
            if not path.exists():
                find = tabulate if exact else record
                cut = open_cut(channel_map, suffix, data[0])
                np.savez(path, **find(suffix, model, cut, data[1]))
            with np.load(path) as found:
                found = dict(found)
            if exact:
                yield ExactGame(full_name, replaced, found["table"])
            else:
                yield RecordedGame(full_name, replaced, found)


def open_cut(channel_map, suffix, images):
    """Returns what enters the suffix."""
    frontier = ForwardPass(channel_map.graph, [[keras.ops.array(images)]])
    frontier.advance(suffix.start)
    return suffix.cut_values(frontier.values(0))


def tabulate(suffix, model, cut, labels):
    """Returns the value of every coalition on every example."""
    loss = resolve_loss(model)

    @tf.function
    def value(coalition):
        outputs = suffix.run(cut, tf.repeat(coalition[tf.newaxis], len(labels), axis=0))
        return -loss(labels, outputs)

    coalitions = all_coalitions(suffix.num_units)
    values = [value(tf.constant(coalition)).numpy() for coalition in coalitions]
    return {"table": np.stack(values).astype("float32")}


def record(suffix, model, cut, labels):
    """Returns draws of both kinds, and the mean of many other walks."""
    value, walk = Loss().open_value(model), plan_incremental(suffix)
    generator = np.random.default_rng(0)
    games = [
        OutputGame(suffix, value, estimator, BATCH, walk)
        for estimator in (Permutation(), Neighbours())
    ]
    parts = []
    for first in range(0, len(labels), BATCH):
        rows = slice(first, first + BATCH)
        batch = [part[rows] for part in cut], tf.constant(labels[rows]), (), ()
        parts.append(_record_batch(games, batch, generator))
    # The examples stand behind the draws.
    return {
        name: np.concatenate([p[name] for p in parts], axis=-2) for name in parts[0]
    }


def _record_batch(games, batch, generator):
    walks, neighbours = games
    active = np.ones(walks.suffix.num_units, bool)
    ends = walks.ends(active, batch).astype("float32")

    def draw_walk():
        ranks = match(draw_ranks(generator, BATCH, active), ends[:, 0] - ends[:, 1])
        return ranks, walks.estimate(ranks, batch, None, (ends, ranks))

    drawn = [draw_walk() for _ in range(DRAWS)]
    keys = generator.integers(0, 2**31, (DRAWS, 4))
    coalitions = [Neighbours().draw(key, BATCH, active) for key in keys]
    return {
        "ranks": np.stack([ranks for ranks, _ in drawn]),
        "walks": np.stack([samples for _, samples in drawn]),
        "neighbours": np.stack([neighbours.estimate(c, batch) for c in coalitions]),
        "truth": np.mean([draw_walk()[1] for _ in range(TRUE_DRAWS)], axis=0),
    }
