"""What it is worth to sample only the units whose side of the cut is open.

    python benchmarks/adaptive.py [--seeds 12] [--tfds DIR]

Rules are simulated on six exact games (groups of 12 to 16 filters, see
`estimators.py`) and two large ones (64 and 128 filters, of which draws were recorded,
and 16 other walks an example stand for the truth): 200 examples, a quarter, half and
three quarters of the units removed. All have the same number of evaluations, counted in
walks: 1 is n + 1 evaluations an example. The two ends of an example's walk are counted
once. A *wrong* unit is removed and should not be; the *regret* is by how much the sum
of the true values of the removed units exceeds the lowest one, as a share of the sum of
all values. *Saved* is 1 - cost / cost of plain permutation sampling with as many wrong
units, between simulated costs.

Then the package's `Adaptive` is compared with `Permutation`, and the share of 95 %
intervals that hold the true value is simulated for 200 examples drawn with replacement
from those of the exact games. Writes adaptive.csv, prints the tables.
"""

import argparse
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import adaptive_games
import estimators as exactness
import networks
import numpy as np
from scipy.special import ndtr

import keras_shapley_prune
from keras_shapley_prune import estimators
from keras_shapley_prune.rank.table import SampleTable

HEADER = "part game units replaced rule walks removed seeds wrong regret covered"
COSTS = (0.5, 1, 2, 5)
PLAIN_COSTS = (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5, 7, 10)
SHARES = (0.25, 0.5, 0.75)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def within(width):
    """Returns the rule that units within so many standard errors are open."""
    return lambda distances, errors, counts, later: distances < width * errors


def by_gain(gain_of, later_cost):
    """Returns the rule that opens the units that gain most for each evaluation.

    Args:
        gain_of: Callable: distances to the cut, their standard errors, and what these
            will be -> what a unit gains.
        later_cost: Callable: share of units -> share of the evaluations.
    """

    def choose(distances, errors, counts, later):
        errors = np.maximum(errors, 1e-15)
        after = errors * np.sqrt(counts / (counts + later))
        gains = gain_of(distances, errors, after)
        order, shares = np.argsort(-gains), np.arange(1, len(gains) + 1) / len(gains)
        best = np.argmax(np.cumsum(gains[order]) / later_cost(shares, len(gains)))
        return np.isin(np.arange(len(gains)), order[: best + 1])

    return choose


def fewer_wrong(distances, errors, after):
    """Returns by how much the probability falls that a unit is on the wrong side."""
    moves = np.sqrt(np.maximum(errors**2 - after**2, 0))
    moved = np.abs(distances + moves * _NODES[:, np.newaxis])
    return ndtr(-distances / errors) - _WEIGHTS @ ndtr(-moved / after)


def less_regret(distances, errors, after):
    """Returns the value of information (knowledge gradient) of a unit's samples."""
    moves = np.sqrt(np.maximum(errors**2 - after**2, 1e-30))
    scaled = distances / moves
    density = np.exp(-(scaled**2) / 2) / np.sqrt(2 * np.pi)
    return moves * (density - scaled * ndtr(-scaled))


def walk_cost(shares, size):
    """Returns the coalitions before and after so many units of a walk."""
    return 1 + (size - 1) * (1 - (1 - shares) ** 2)


def neighbour_cost(shares, size):
    """Returns the coalitions of so many neighbours."""
    return 1 + shares * size


# Name -> rule, kind of the first draws, kind of the later ones, and the share of the
# examples before the rule is applied.
RULES = {
    "permutation": (None, "walk", "walk", 0.25),
    "all neighbours": (None, "neighbours", "neighbours", 0.25),
    "walks, 1.5 errors": (within(1.5), "walk", "walk", 0.25),
    "walks, 2 errors": (within(2), "walk", "walk", 0.25),
    "walks, 3 errors": (within(3), "walk", "walk", 0.25),
    "walks, fewer wrong": (by_gain(fewer_wrong, walk_cost), "walk", "walk", 0.25),
    "walks, less regret": (by_gain(less_regret, walk_cost), "walk", "walk", 0.25),
    "walks, 2 errors, after all examples": (within(2), "walk", "walk", 1),
    "neighbours, 1.5 errors": (within(1.5), "walk", "neighbours", 0.25),
    "neighbours, 2 errors": (within(2), "walk", "neighbours", 0.25),
    "neighbours, 3 errors": (within(3), "walk", "neighbours", 0.25),
    "neighbours, fewer wrong": (
        by_gain(fewer_wrong, neighbour_cost),
        "walk",
        "neighbours",
        0.25,
    ),
    "neighbours, less regret": (
        by_gain(less_regret, neighbour_cost),
        "walk",
        "neighbours",
        0.25,
    ),
    "neighbours, 2 errors, after all examples": (within(2), "walk", "neighbours", 1),
    "neighbours from the start, 2 errors": (
        within(2),
        "neighbours",
        "neighbours",
        0.25,
    ),
}
BUILT = "neighbours, 2 errors"


class Run:
    """One simulated ranking.

    Args:
        game: An `ExactGame` or a `RecordedGame`.
        rule: One of `RULES`.
        num_removed: Integer.
        walks: Float, the evaluations that may be spent.
        generator: A `numpy.random.Generator`.
        replace: Boolean, whether examples are drawn with replacement.
    """

    def __init__(self, game, rule, num_removed, walks, generator, replace=False):
        self._game, self._num_removed, self._generator = game, num_removed, generator
        self._choose, self._first, self._later, share = rule
        self._fewest = share * game.num_examples
        self._left = walks * game.num_examples * (game.num_units + 1)
        self._has_ends = np.zeros(game.num_examples, bool)
        self.table = SampleTable(game.num_examples, game.num_units)
        game.start(generator, replace)

    def play(self):
        """Draws until nothing is left, and returns the table."""
        batches = np.arange(self._game.num_examples)
        batches = np.split(batches, len(batches) // adaptive_games.BATCH)
        for draw, rows in enumerate(itertools.cycle(batches)):
            seen = draw * adaptive_games.BATCH
            sampled = self._find_sampled(seen)
            try:
                samples, cost = self._draw(rows, sampled, seen)
            except IndexError:  # there are no more recorded draws
                break
            if cost <= 0 or self._left <= 0:
                break
            # The last batch is drawn for as many of its examples as can be paid for.
            kept = self._generator.permutation(len(rows))
            kept = kept[: int(len(rows) * min(self._left / cost, 1))]
            counted = np.broadcast_to(sampled, samples.shape)
            self.table.add(rows[kept], samples[kept], counted[kept])
            self._left -= cost
        return self.table

    def _find_sampled(self, seen):
        if self._choose is None or seen < self._fewest:
            return np.ones(self._game.num_units, bool)
        values, errors = self.table.estimate()
        cut = np.sort(values)[self._num_removed - 1 : self._num_removed + 1].mean()
        counts = self.table.count.sum(axis=0)
        distances = np.abs(values - cut)
        return self._choose(distances, errors, counts, adaptive_games.BATCH)

    def _draw(self, rows, sampled, seen):
        """Returns the samples of a batch, and what they cost."""
        is_later = self._choose is not None and seen >= self._fewest
        if not sampled.any():
            return None, 0
        if (self._later if is_later else self._first) == "neighbours":
            return self._game.neighbours(rows), len(rows) * (1 + sampled.sum())
        ranks, samples = self._game.walk(rows)
        needed = np.zeros((len(rows), ranks.shape[1] + 1), bool)
        for step in (ranks[:, sampled], ranks[:, sampled] + 1):
            np.put_along_axis(needed, step, True, axis=1)
        # The ends tell which example gets which walk.
        needed[:, [0, -1]] = ~self._has_ends[rows, np.newaxis]
        self._has_ends[rows] = True
        return samples, needed.sum()


def score(values, truth, num_removed):
    """Returns the share of wrong units and the regret."""
    removed, best = (
        np.argsort(v, kind="stable")[:num_removed] for v in (values, truth)
    )
    wrong = 1 - len(np.intersect1d(removed, best)) / num_removed
    return wrong, (truth[removed].sum() - truth[best].sum()) / truth.sum()


def simulate(game, seeds):
    """Yields a row for each rule, cost, share and seed of a game."""
    where = game.kind, game.name, game.num_units, int(game.replaced)
    for name, rule in RULES.items():
        costs = PLAIN_COSTS if name == "permutation" else COSTS
        # As many draws of large games as that are not recorded.
        costs = [c for c in costs if game.kind == "exact" or c < 5]
        for cost, share, seed in itertools.product(costs, SHARES, range(seeds)):
            count = round(share * game.num_units)
            generator = np.random.default_rng(seed)
            values, _ = Run(game, rule, count, cost, generator).play().estimate()
            yield *where, name, cost, share, seed, *score(values, game.truth, count), ""


def measure_coverage(game, seeds):
    """Yields rows with the share of the units whose intervals hold the true value."""
    where = "coverage", game.name, game.num_units, int(game.replaced)
    for name, cost, seed in itertools.product(
        ("permutation", BUILT), COSTS, range(seeds)
    ):
        count, generator = game.num_units // 2, np.random.default_rng(1000 + seed)
        run = Run(game, RULES[name], count, cost, generator, replace=True)
        values, errors = run.play().estimate()
        covered = np.mean(np.abs(values - game.truth) <= 1.96 * errors)
        yield *where, name, cost, 0.5, seed, *score(values, game.truth, count), covered


def measure_package(args, games):
    """Yields rows of the package's two estimators, one draw each.

    Args:
        args: Parsed options.
        games: Dict: name of a game -> game.
    """
    for name, model, data, *_ in exactness.load_problems(args):
        names = [layer.name for layer in model.layers if hasattr(layer, "filters")]
        for group in names:
            game = games.get(f"{name} {group}")
            if game is None or game.replaced:
                continue
            where = f"package {game.kind}", game.name, game.num_units, 0
            cases = itertools.product(("Permutation", "Adaptive"), SHARES)
            for (kind, share), seed in itertools.product(
                cases, range(args.package_seeds)
            ):
                estimator = getattr(estimators, kind)()
                ranker = keras_shapley_prune.ShapleyRanker("loss", estimator, seed=seed)
                found = ranker.rank(model, data, layers=group, ratio=share, verbose=0)
                count = round(share * game.num_units)
                scores = score(found[group].values, game.truth, count)
                yield *where, kind, 1, share, seed, *scores, ""


def average(rows):
    """Returns the means over the seeds, and how many they are in place of the seed."""
    cells = {}
    for *where, _seed, wrong, regret, covered in rows:
        cells.setdefault(tuple(where), []).append((wrong, regret, covered or 0))
    means = {where: np.mean(found, axis=0).round(5) for where, found in cells.items()}
    return [
        (*where, len(cells[where]), *mean[:2], mean[2] or "")
        for where, mean in means.items()
    ]


def summarize(rows, part, replaced=None):
    """Returns dict: `(rule, walks)` -> means of wrong units, regret and coverage.

    Games count alike.
    """
    cells = {}
    for row in rows:
        if row[0] == part and replaced in (None, int(row[3])):
            cells.setdefault((row[4], float(row[5])), []).append(row[8:])
    return {
        key: [
            np.mean([float(v) for v in column if v != ""] or np.nan)
            for column in zip(*found, strict=True)
        ]
        for key, found in cells.items()
    }


def find_saved(summary, rule, cost):
    """Returns which share of the evaluations a rule saves; NaN beyond what was run."""
    costs = sorted(c for name, c in summary if name == "permutation")
    # Noise may lift a curve; it is made to fall.
    wrong = np.minimum.accumulate([summary["permutation", c][0] for c in costs])
    wanted = summary[rule, cost][0]
    if wanted > wrong[0]:
        return np.nan
    plain = np.exp(np.interp(-wanted, -wrong, np.log(costs)))
    return 1 - cost / plain


def table_lines(rows):
    """Returns the lines of a table: wrong units in % (saved evaluations in %).

    Args:
        rows: List of rows, of numbers or of strings.
    """
    parts = {
        "exact": summarize(rows, "exact", 0),
        "large": summarize(rows, "large"),
        "cheap": summarize(rows, "exact", 1),
    }
    columns = [(p, c) for p in parts for c in COSTS if ("permutation", c) in parts[p]]
    lines = [
        "| rule | " + " | ".join(f"{part}, {cost:g}" for part, cost in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for rule in RULES:
        cells = []
        for part, cost in columns:
            cells.append(f"{100 * parts[part][rule, cost][0]:.1f}")
            if rule != "permutation":
                saved = find_saved(parts[part], rule, cost)
                cells[-1] += f" ({100 * saved:+.0f})"
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    return lines


def other_lines(rows):
    """Returns lines on the package itself and on the intervals, a list of strings."""
    lines = ["| | walks | wrong units | regret | covered |", "|---|---|---|---|---|"]
    for part in ("package exact", "package large", "coverage"):
        for (rule, cost), found in summarize(rows, part, 0).items():
            shown = [f"{100 * found[0]:.1f} %", f"{100 * found[1]:.2f} %"]
            is_covered = part == "coverage"
            shown.append(f"{100 * found[2]:.1f} %" if is_covered else "")
            shown = [f"{part}: {rule}", f"{cost:g}", *shown]
            lines.append("| " + " | ".join(shown) + " |")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--package-seeds", type=int, default=4)
    args = networks.parse_arguments(parser)
    rows, games = [], {}
    for game in adaptive_games.load_games(args):
        games[game.name] = game
        rows += simulate(game, args.seeds)
        if game.kind == "exact":
            rows += measure_coverage(game, 4 * args.seeds)
        print(game.name, flush=True)
    rows += measure_package(args, games)
    rows = average(rows)
    networks.write_csv(args.output / "adaptive.csv", HEADER, rows)
    print("\n".join([*table_lines(rows), "", *other_lines(rows)]))


if __name__ == "__main__":
    main()
