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
from adaptive_rules import BUILT, RULES, Run

import keras_shapley_prune
from keras_shapley_prune import estimators

HEADER = "part game units replaced rule walks removed seeds wrong regret covered"
COSTS = (0.5, 1, 2, 5)
PLAIN_COSTS = (0.125, 0.18, 0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5, 7, 10)
SHARES = (0.25, 0.5, 0.75)


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
