"""Which ranking keeps a pruned network accurate, with and without repair.

    python benchmarks/ranking_quality.py [--networks fashion_mnist resnet20 resnet8]
        [--seeds 2] [--output benchmarks/results]

All selected layers lose 25, 50 and 75 % of their units at once, nothing is trained.
Each ranking is followed by nothing else, by the means of what leaves folded into the
biases, or by the least-squares repair. 200 calibration images are drawn from the
training set for each seed, accuracy is that on the first 3,000 test images. In the
ResNets the channels inside of the blocks are pruned, in the Fashion-MNIST CNN all
layers. AUC: mean accuracy (1,000 test images) as three layers lose those shares of
their units one at a time, as in the paper, without repair (--auc NETWORKS).

Writes ranking_quality.csv and .png, prints the tables. Rows that are in the CSV already
are not computed again; rankings that take long are kept in the cache folder, which has
to be emptied when rankers have changed.
"""

import argparse
import csv
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import networks
import numpy as np

import keras_shapley_prune as ksp
from keras_shapley_prune import estimators, games

RATIOS = (0.25, 0.5, 0.75)
REPAIRS = (None, "mean", "least_squares")
NUM_EXAMPLES = 200
FIELDS = "network seed ranking repair ratio accuracy seconds".split()
BASELINES = """random l1_norm l2_norm bn_gamma geometric_median mean_activation apoz
    sensitivity taylor taylor_signed taylor_squared leave_one_out
    reconstruction""".split()
DEFAULT = "Shapley, reconstruction, staged"
SHAPLEY = {
    "Shapley, loss": {"game": "loss"},
    "Shapley, loss, mean + 2 std": {"game": games.Loss(reduction="mean+2std")},
    "Shapley, loss, means": {"game": games.Loss(replacement="mean")},
    "Shapley, loss, means, staged": {
        "game": games.Loss(replacement="mean"),
        "estimator": estimators.Permutation(window=0.5),
        "stages": 8,
    },
    "Shapley, KL, gradients": {"game": "kl", "estimator": estimators.Gradient(4)},
    "Shapley, reconstruction": {
        "game": games.Reconstruction(candidates=None),
        "stages": 1,
    },
    DEFAULT: {},
    DEFAULT + ", sequential": {"sequential": True},
}
BY_RATIO = ("staged", "reconstruction")  # depend on how much is to be removed


def make_ranker(name, seed):
    """Returns the ranker of a row of the table."""
    if name in SHAPLEY:
        return ksp.ShapleyRanker(**SHAPLEY[name], seed=seed)
    return ksp.BaselineRanker(name, seed=seed)


def rank_or_load(args, problem, name, seed, channel_map, layers, ratio):
    """Returns the ranking of a row and the seconds it took, once or just now."""
    title = name.replace(" ", "").replace(",", "-").replace("+", "-")
    share = f"{ratio:.2f}" if any(word in name for word in BY_RATIO) else "any"
    where = "all" if layers is problem.layers else "some"
    folder = pathlib.Path(args.cache) / "rankings"
    path = folder / f"{problem.name}_{seed}_{title}_{share}_{where}.json"
    clock = path.with_suffix(".seconds")
    if path.exists() and clock.exists():
        return ksp.Ranking.load(path), float(clock.read_text())
    start = time.perf_counter()
    ranking = rank(problem, name, seed, channel_map, layers, ratio)
    seconds = time.perf_counter() - start
    if isinstance(ranking, ksp.Ranking):
        folder.mkdir(parents=True, exist_ok=True)
        ranking.save(path)
        clock.write_text(str(seconds))
    return ranking, seconds


def rank(problem, name, seed, channel_map, layers, ratio):
    """Returns the ranking of a row; without BN, L1 norms stand in for its gamma."""
    data = problem.calibration(NUM_EXAMPLES, seed)
    groups = channel_map.select_groups(layers)
    if name != "bn_gamma":
        return make_ranker(name, seed).rank(
            problem.model,
            data,
            layers=[group.name for group in groups],
            channel_map=channel_map,
            ratio=ratio,
            verbose=0,
        )
    scores = {}
    for group in groups:
        for criterion in ("bn_gamma", "l1_norm"):
            try:
                ranker = make_ranker(criterion, seed)
                scores |= ranker.rank(problem.model, layers=group.name)
                break
            except ValueError:
                continue
    return scores


def measure(args, problem, seed, name, done, repairs):
    """Yields the rows of one ranking, but for those in `done`."""
    data = problem.calibration(NUM_EXAMPLES, seed)
    channel_map = ksp.trace_channels(problem.model)
    ranking, seconds = None, 0.0
    for ratio in RATIOS:
        wanted = [
            repair
            for repair in repairs
            if (problem.name, seed, name, str(repair), ratio) not in done
        ]
        if not wanted:
            continue
        if ranking is None or any(word in name for word in BY_RATIO):
            ranking, seconds = rank_or_load(
                args, problem, name, seed, channel_map, problem.layers, ratio
            )
        plan = ksp.plan_pruning(problem.model, ranking, ratio, channel_map)
        keep = plan.keep
        for repair in wanted:
            pruned = ksp.repair_channels(
                problem.model, keep, data[0], repair, channel_map, verbose=0
            )
            accuracy = problem.accuracy(pruned)
            yield problem.name, seed, name, str(repair), ratio, accuracy, seconds


def measure_layers(args, problem, seed, name, done, repairs):
    """Yields the mean area under the curve over some layers of a network."""
    if (problem.name, seed, name, "layers", 0.0) in done:
        return
    channel_map = ksp.trace_channels(problem.model)
    groups = channel_map.select_groups(problem.layers)
    chosen = [groups[int(i)] for i in np.linspace(0, len(groups) - 1, 3)]
    names = [group.name for group in chosen]
    ranking, seconds = rank_or_load(
        args, problem, name, seed, channel_map, names, max(RATIOS)
    )
    areas = []
    for group in chosen:
        accuracies = []
        for share in RATIOS:
            keep = np.ones(channel_map.num_units, bool)
            gone = ranking[group.name].order[: int(share * group.num_units)]
            keep[group.units[gone]] = False
            pruned = ksp.remove_channels(problem.model, keep, channel_map)
            accuracies.append(problem.accuracy(pruned, 1000))
        areas.append(np.mean(accuracies))
    yield problem.name, seed, name, "layers", 0.0, np.mean(areas), seconds


def read(path):
    """Returns the rows of a CSV file, and an empty list if there is none."""
    return [
        (
            row["network"],
            int(row["seed"]),
            row["ranking"],
            row["repair"],
            float(row["ratio"]),
            float(row["accuracy"]),
            float(row["seconds"]),
        )
        for row in networks.read_csv(path)
    ]


def print_tables(rows):
    """Prints a table for each network, and the means over networks."""
    by_network = list(dict.fromkeys(row[0] for row in rows))
    names = list(dict.fromkeys(row[2] for row in rows))
    columns = [(str(repair), ratio) for repair in REPAIRS for ratio in RATIOS]
    columns.append(("layers", 0.0))
    for network in [*by_network, "mean over networks"]:
        print(f"\n{network}: accuracy in %, at 25 / 50 / 75 % removed")
        titles = ("nothing else", "means folded", "least squares")
        print(f"{'':42}" + "".join(f"{t:>22}" for t in titles) + "   AUC")
        for name in names:
            cells = [_mean_of(rows, network, name, *column) for column in columns]
            if not any(np.isfinite(cells)):
                continue
            shown = [f"{100 * cell:7.1f}" for cell in cells]
            parts = ["".join(shown[i : i + 3]) + " " for i in (0, 3, 6)]
            print(f"{name:42}" + "".join(parts) + shown[9])


def _mean_of(rows, network, name, repair, ratio):
    if network == "mean over networks":
        networks_ = dict.fromkeys(row[0] for row in rows)
        means = [_mean_of(rows, n, name, repair, ratio) for n in networks_]
        return np.mean(means)
    found = [r[5] for r in rows if r[:1] + r[2:5] == (network, name, repair, ratio)]
    return np.mean(found) if found else np.nan


def plot(rows, path):
    """Draws accuracy after repair against the share removed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    by_network = list(dict.fromkeys(row[0] for row in rows))
    figure, panels = plt.subplots(
        1,
        len(by_network),
        figsize=(4 * len(by_network), 4),
        layout="constrained",
        squeeze=False,
    )
    shown = ("random", "l1_norm", "taylor", "reconstruction", "Shapley, loss", DEFAULT)
    for axes, network in zip(panels[0], by_network, strict=True):
        for name in shown:
            for repair, style in (("None", ":"), ("least_squares", "-")):
                values = [_mean_of(rows, network, name, repair, r) for r in RATIOS]
                color = f"C{shown.index(name)}"
                label = name if repair != "None" else None
                axes.plot(RATIOS, values, style, color=color, marker="o", label=label)
        axes.set(title=network, xlabel="share of units removed", ylabel="accuracy")
    panels[0][0].legend(fontsize=7, frameon=False)
    figure.suptitle("solid: after least-squares repair, dotted: nothing else")
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    chosen = ["fashion_mnist", "resnet20", "resnet8"]
    parser.add_argument("--networks", nargs="+", default=chosen)
    parser.add_argument("--auc", nargs="*", default=chosen)
    parser.add_argument("--rankings", nargs="+", default=[*BASELINES, *SHAPLEY])
    ways = [str(repair) for repair in REPAIRS]
    parser.add_argument("--repairs", nargs="+", choices=ways, default=ways)
    parser.add_argument("--seeds", type=int, default=2)
    args = networks.parse_arguments(parser)
    path = args.output / "ranking_quality.csv"
    repairs = [repair for repair in REPAIRS if str(repair) in args.repairs]
    rows = read(path)
    done = {row[:5] for row in rows}
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if not rows:
            writer.writerow(FIELDS)
        for seed in range(args.seeds):
            for network in args.networks:
                problem = networks.NETWORKS[network](args)
                for name in args.rankings:
                    wanted = [measure]
                    if network in args.auc:
                        wanted.append(measure_layers)
                    for measured in wanted:
                        for row in measured(args, problem, seed, name, done, repairs):
                            writer.writerow(row)
                            file.flush()
                            rows.append(row)
    print_tables(rows)
    plot(rows, args.output / "ranking_quality.png")


if __name__ == "__main__":
    main()
