"""What the rows of `estimators.py` say: tables, and how far the paper's order is."""

import itertools

import numpy as np
from networks import read_csv

PREFIX = "shapiq "  # of the names of its estimators
SHOWN_COSTS = (0.05, 0.25, 1, 5)
PAPER = ("shared_permutation", 5)  # the estimator of the paper, and its permutations
KINDS = ("exact", "large")


def read_rows(path):
    """Returns the rows of `estimators.csv`, with numbers."""
    rows = []
    for row in read_csv(path):
        kind, game, group, name, cost, seed, *scores = row.values()
        where = kind, game, group, name, float(cost), int(seed)
        rows.append((*where, *map(float, scores)))
    return rows


def summarize(rows):
    """Returns dict: `(kind, estimator, cost)` -> mean relMSE, tau, overlap.

    What could not be estimated in some of the games has no mean that compares, and is
    left out.
    """
    cells, games = {}, {}
    for kind, name, group, estimator, cost, seed, *scores in rows:
        cells.setdefault((kind, estimator, cost), []).append(scores)
        games.setdefault(kind, set()).add((name, group, seed))
    whole = {key: c for key, c in cells.items() if len(c) == len(games[key[0]])}
    return {key: np.mean(scores, axis=0) for key, scores in whole.items()}


def print_table(summary):
    """Prints relMSE / tau / overlap for each estimator and cost."""
    for kind in KINDS:
        names = dict.fromkeys(e for k, e, _ in summary if k == kind)
        print(f"\n{kind} games: relMSE / tau / overlap, by cost in walks")
        print(" " * 30 + "".join(f"{cost:>22}" for cost in SHOWN_COSTS))
        for name in names:
            cells = [summary.get((kind, name, cost)) for cost in SHOWN_COSTS]
            shown = [
                "" if c is None else "{:.2g} / {:.2f} / {:.2f}".format(*c)
                for c in cells
            ]
            print(f"{name:30}" + "".join(f"{text:>22}" for text in shown))


def print_halves(rows):
    """Prints whether our errors are at most half of those of the best of shapiq."""
    print("\nour relative MSE, over that of the best estimator of shapiq at that cost")
    for kind, cost in itertools.product(KINDS, SHOWN_COSTS):
        for line in compare_with_best(rows, kind, cost):
            print(line)


def compare_with_best(rows, kind, cost):
    """Yields a line for each of our estimators: how it compares at one cost.

    Two comparisons: of the means over all games and seeds with the estimator of shapiq
    whose mean is lowest; and pair by pair, each game and seed, with the estimator of
    shapiq that is best on that very game (lowest mean over the seeds).

    Args:
        rows: List of the rows of `estimators.csv`.
        kind: String, `"exact"` or `"large"`.
        cost: Float, in walks.
    """
    errors = {}  # estimator -> (game, group) -> seed -> relMSE
    for found, name, group, estimator, at, seed, error, *_ in rows:
        if (found, at) == (kind, cost):
            games = errors.setdefault(estimator, {})
            games.setdefault((name, group), {})[seed] = error
    theirs = {name: e for name, e in errors.items() if name.startswith(PREFIX)}
    games = {game for found in errors.values() for game in found}
    # One that cannot run in some game has no mean that compares.
    whole = {n: _mean_error(e) for n, e in theirs.items() if set(e) == games}
    if not whole:
        return
    best = min(whole, key=whole.get)
    for name in (name for name in errors if name not in theirs):
        ratio = _mean_error(errors[name]) / whole[best]
        pairs = []
        for game, seeds in errors[name].items():
            rivals = [found[game] for found in theirs.values() if game in found]
            rival = min(rivals, key=lambda found: np.mean(list(found.values())))
            pairs += [e / rival[s] for s, e in seeds.items() if s in rival]
        met = "yes" if ratio <= 0.5 else "NO "
        pair_count = sum(pair <= 0.5 for pair in pairs)
        yield (
            f"{kind} {cost:>4} walks: at most half? {met} {name:20} {ratio:8.3g} of "
            f"{best[len(PREFIX) :]}; paired with the best of each game: median "
            f"{np.median(pairs):.3g}, at most half in {pair_count} of {len(pairs)}"
        )


def compare_means(rows, kind, cost):
    """Returns our mean errors, over that of the best estimator of shapiq.

    Args:
        rows: See `compare_with_best`.
        kind: See `compare_with_best`.
        cost: See `compare_with_best`.

    Returns:
        Tuple of the name of the best of shapiq, and a dict: estimator -> ratio.
    """
    means = {
        name: mean[0]
        for (found, name, at), mean in summarize(rows).items()
        if (found, at) == (kind, cost)
    }
    theirs = {name: e for name, e in means.items() if name.startswith(PREFIX)}
    best = min(theirs, key=theirs.get)
    return best, {n: e / theirs[best] for n, e in means.items() if n not in theirs}


def _mean_error(games):
    """Returns the mean of a dict: game -> seed -> error."""
    return np.mean([error for seeds in games.values() for error in seeds.values()])


def costs_of_paper_order(rows, lasting=False):
    """Finds at what cost each estimator orders the filters as the paper's does.

    Args:
        rows: List of the rows of `estimators.csv`.
        lasting: Boolean, whether all higher costs have to reach it, too. With few
            seeds, a low cost may reach it by luck.

    Returns:
        Dict: `(kind, game, group)` -> dict: estimator of ours -> the lowest cost in
        walks at which the mean over the seeds of Kendall's tau is at least that of
        the paper's five shared permutations, `None` if that is at none of the costs.
    """
    taus = {}
    for kind, name, group, estimator, cost, _, _, tau, _ in rows:
        games = taus.setdefault((kind, name, group), {})
        games.setdefault(estimator, {}).setdefault(cost, []).append(tau)
    found = {}
    for game, estimators in taus.items():
        if PAPER[1] not in estimators.get(PAPER[0], {}):
            continue
        wanted, found[game] = np.mean(estimators[PAPER[0]][PAPER[1]]), {}
        for estimator, costs in estimators.items():
            if estimator != PAPER[0] and not estimator.startswith(PREFIX):
                good = {c for c, values in costs.items() if np.mean(values) >= wanted}
                if lasting:
                    worse = max(costs.keys() - good, default=0)
                    good = {cost for cost in good if cost > worse}
                found[game][estimator] = min(good, default=None)
    return found


def print_paper_order(rows):
    """Prints the costs at which the order of the paper's estimator is reached."""
    for lasting in (False, True):
        found = costs_of_paper_order(rows, lasting)
        names = dict.fromkeys(name for costs in found.values() for name in costs)
        which = "and at all higher ones" if lasting else "at that cost"
        print(f"\nlowest cost with the tau of 5 shared permutations (5 walks), {which}")
        print(" " * 34 + "".join(f"{name:>20}" for name in names))
        for (_, name, group), costs in found.items():
            shown = [costs.get(estimator) for estimator in names]
            cells = ["more than all" if cost is None else f"{cost:g}" for cost in shown]
            line = "".join(f"{text:>20}" for text in cells)
            print(f"{name + ' ' + group:34}{line}")
        reached = sum(
            any(cost is not None and cost <= 1 / 20 for cost in costs.values())
            for costs in found.values()
        )
        print(f"by any of them within 1/20 walk: in {reached} of {len(found)} games")


def print_coverage(rows):
    """Prints the share of units within their 95 % intervals, by game."""
    games = list(dict.fromkeys(row[0] for row in rows))
    print("\nunits within the 95 % interval, by game: " + ", ".join(games))
    for kind in dict.fromkeys(row[1:3] for row in rows):
        shares = [
            np.mean([r[4] for r in rows if (r[0], *r[1:3]) == (game, *kind)])
            for game in games
        ]
        shown = " ".join(f"{share:.3f}" for share in shares)
        print(f"{kind[0]:20} {kind[1]} draw(s): {np.mean(shares):.3f}   ({shown})")


def plot(summary, path):
    """Draws relMSE against cost: ours in colors, those of shapiq in gray."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for axes, kind in zip(panels, KINDS, strict=True):
        lowest, highest = {}, 10.0
        for name in dict.fromkeys(e for k, e, _ in summary if k == kind):
            costs = [c for k, e, c in summary if (k, e) == (kind, name)]
            errors = [summary[kind, name, c][0] for c in costs]
            if not name.startswith(PREFIX):
                axes.plot(costs, errors, marker="o", markersize=3, label=name)
                highest = max(highest, *errors)
                continue
            axes.plot(costs, errors, "--", color="0.75", linewidth=0.8)
            for cost, error in zip(costs, errors, strict=True):
                lowest[cost] = min(error, lowest.get(cost, error))
        best = sorted(lowest.items())
        label = "shapiq: the best at each cost, and all"
        axes.plot(*zip(*best, strict=True), "--", color="black", label=label)
        # Some regressions on too few coalitions are off by any factor.
        axes.set(xscale="log", yscale="log", xlabel="cost (walks an example)")
        axes.set_ylim(top=10 * highest)
        axes.set_title(f"{kind} games")
        axes.set_ylabel("relative MSE")
        axes.legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)
