"""How accurate pruned networks are: repairs, budgets, and few images.

    python benchmarks/accuracy.py TABLE [--networks ...] [--rows ...] [--ratios ...]
        [--seeds 3] [--output DIR]

Nothing is trained but by "mimic", no label is used. Calibration images are drawn from
the training set, anew for each seed; accuracy is that on the first 3,000 test images.
In the ResNets the channels inside of the blocks are pruned, else all layers. TABLE is

    layers  25, 50, 75 % of the units of each layer, from 200 and from 50 images,
            without repair, with least squares and (200 images) with mimic
    flops   25, 50, 75 % of the FLOPs of the whole network: every layer alike against
            global, for some rankings. Draws accuracy_flops.png
    images  10 to 500 images: repaired against not
    mimic   30, 50, 75 % of the FLOPs of the whole network, global, all layers: least
            squares, and then training for 2,000 and for 300 steps
    units   half of all units, global, all layers: least squares and mimic

Writes accuracy_TABLE.csv, and prints the means over the seeds. Rows that are in the CSV
already are not computed again.
"""

import argparse
import csv
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import networks
import numpy as np

import keras_shapley_prune as ksp

RATIOS = (0.25, 0.5, 0.75)
FIELDS = "network seed num_images row ratio accuracy flops seconds".split()
RANKINGS = ("default", "l1_norm", "geometric_median", "taylor", "random")


def prune(problem, seed, num_images, ratio, ranking="default", **arguments):
    """Returns the accuracy, the share of FLOPs left, and the seconds of `prune`."""
    x, y = problem.calibration(num_images, seed)
    ranker = None
    if ranking != "default":
        ranker = ksp.BaselineRanker(ranking, seed=seed)
    data = (x, y) if ranking == "taylor" else x
    start = time.perf_counter()
    pruned = ksp.prune(
        problem.model,
        data,
        ratio,
        ranker=ranker,
        verbose=0,
        **({"layers": problem.layers} | arguments),
    )
    seconds = time.perf_counter() - start
    flops = ksp.count_flops(pruned) / ksp.count_flops(problem.model)
    return problem.accuracy(pruned), flops, seconds


def layers_table():
    """Yields `(number of images, row, ratio, arguments)`."""
    for ratio in RATIOS:
        for num_images in (200, 50):
            for repair in (None, "least_squares", "mimic"):
                if repair == "mimic" and num_images == 50:
                    continue
                yield num_images, str(repair), ratio, {"repair": repair}


def flops_table():
    """Yields `(number of images, row, ratio, arguments)`."""
    for ratio in RATIOS:
        for ranking in RANKINGS:
            arguments = {"of": "flops", "ranking": ranking}
            yield 200, f"{ranking}, per layer", ratio, arguments
        arguments = {"of": "flops", "scope": "global"}
        yield 200, "default, global", ratio, arguments


def images_table():
    """Yields `(number of images, row, ratio, arguments)`."""
    for ratio in RATIOS[:2]:
        for num_images in (10, 20, 50, 100, 200, 500):
            for repair in (None, "least_squares"):
                yield num_images, str(repair), ratio, {"repair": repair}


def mimic_table():
    """Yields `(number of images, row, ratio, arguments)`."""
    repairs = {
        "least squares": "least_squares",
        "mimic": "mimic",
        "mimic, 300 steps": ksp.Mimic(num_steps=300),
    }
    for ratio in (0.3, *RATIOS[1:]):
        for way, repair in repairs.items():
            budget = {"of": "flops", "scope": "global", "layers": None}
            yield 200, way, ratio, budget | {"repair": repair}


def units_table():
    """Yields `(number of images, row, ratio, arguments)`."""
    for repair in ("least_squares", "mimic"):
        yield 200, repair, 0.5, {"scope": "global", "layers": None, "repair": repair}


TABLES = {
    "layers": layers_table,
    "flops": flops_table,
    "images": images_table,
    "mimic": mimic_table,
    "units": units_table,
}


def read(path):
    """Returns the rows of a CSV file as lists, an empty list if there is none."""
    return [
        [r["network"], int(r["seed"]), int(r["num_images"]), r["row"]]
        + [float(r[name]) for name in FIELDS[4:]]
        for r in networks.read_csv(path)
    ]


def print_table(rows):
    """Prints mean accuracies over seeds, one line for each way."""
    for network in dict.fromkeys(row[0] for row in rows):
        ours = [row for row in rows if row[0] == network]
        ratios = sorted({row[4] for row in ours})
        shares = " / ".join(f"{ratio:.0%}" for ratio in ratios)
        print(f"\n{network}: accuracy in % (seeds), at {shares} removed")
        for num_images, way in dict.fromkeys((row[2], row[3]) for row in ours):
            cells = []
            for ratio in ratios:
                found = [
                    r for r in ours if (r[2], r[3], r[4]) == (num_images, way, ratio)
                ]
                accuracies = [100 * row[5] for row in found]
                if not found:
                    continue
                cells.append(
                    f"{np.mean(accuracies):6.1f} ± {np.std(accuracies):3.1f} "
                    f"({len(found)}, {np.mean([row[6] for row in found]):4.0%} FLOPs)"
                )
            print(f"{num_images:4d} images  {way:28}" + "  ".join(cells))


def plot(rows, path):
    """Draws accuracy against the FLOPs that are left."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = list(dict.fromkeys(row[0] for row in rows))
    size = 3.6 * len(found), 3.6
    figure, panels = plt.subplots(
        1, len(found), figsize=size, layout="constrained", squeeze=False
    )
    for axes, network in zip(panels[0], found, strict=True):
        for way in dict.fromkeys(row[3] for row in rows):
            points = {}
            for row in rows:
                if (row[0], row[3]) == (network, way):
                    points.setdefault(row[4], []).append((row[6], row[5]))
            if not points:
                continue
            left, accuracy = np.transpose([np.mean(p, axis=0) for p in points.values()])
            style = "-o" if way.startswith("default") else ":."
            axes.plot(100 * left, 100 * accuracy, style, label=way)
        axes.set(title=network, xlabel="FLOPs left, %", ylabel="accuracy, %")
    panels[0][0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", choices=list(TABLES))
    chosen = ["fashion_mnist", "resnet20", "resnet8"]
    parser.add_argument("--networks", nargs="+", default=chosen)
    parser.add_argument("--rows", nargs="+", help="only these rows of the table")
    parser.add_argument("--ratios", nargs="+", type=float, help="only these, as rows")
    parser.add_argument("--seeds", type=int, default=3)
    args = networks.parse_arguments(parser)
    path = args.output / f"accuracy_{args.table}.csv"
    rows = read(path)
    done = {tuple(row[:5]) for row in rows}
    with open(path, "a", newline="") as file:
        writer = csv.writer(file)
        if not rows:
            writer.writerow(FIELDS)
        for seed in range(args.seeds):
            for network in args.networks:
                problem = networks.NETWORKS[network](args)
                for num_images, way, ratio, arguments in TABLES[args.table]():
                    key = problem.name, seed, num_images, way, ratio
                    wanted = way in (args.rows or [way])
                    if (
                        key in done
                        or not wanted
                        or ratio not in (args.ratios or [ratio])
                    ):
                        continue
                    found = prune(problem, seed, num_images, ratio, **arguments)
                    rows.append([*key, *found])
                    writer.writerow(rows[-1])
                    file.flush()
    print_table(rows)
    if args.table == "flops":
        plot(rows, args.output / "accuracy_flops.png")


if __name__ == "__main__":
    main()
