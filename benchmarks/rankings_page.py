"""Prints the tables of docs/rankings.md, in Markdown, from their files.

    python benchmarks/rankings_page.py [--output benchmarks/results]

Each table is of one file: ranking_quality.csv, control_variates_why.csv,
control_variates.csv, estimators.csv and coverage.csv. A test holds that the page has
them as they are printed here.
"""

import argparse
import pathlib

import numpy as np
from estimator_reports import (
    KINDS,
    PREFIX,
    compare_means,
    costs_of_paper_order,
    read_rows,
    summarize,
)
from networks import read_csv

OURS = (
    "permutation",
    "gradient",
    "gradient, order only",
    "corrected_gradient",
    "shared_permutation",
)
COSTS = {"exact": (0.25, 1, 5), "large": (0.05, 0.25, 1, 5)}
WALKS = {0.05: "1/20 walk", 0.25: "1/4 walk", 1: "1 walk", 5: "5 walks"}
RANKINGS = {
    "Shapley, reconstruction, staged": "**default: Shapley, reconstruction**",
    "reconstruction": "greedy reconstruction (OBS)",
    "geometric_median": "geometric median (FPGM)",
    "l1_norm": "L1 norm",
    "taylor": "Taylor",
    "Shapley, loss": "Shapley, loss",
    "random": "random",
}
NETWORKS = {
    "fashion_mnist_0": "Fashion-MNIST CNN",
    "resnet20": "ResNet-20",
    "resnet8": "ResNet-8",
}


def show_quality(folder):
    """Returns the accuracy of each ranking after least-squares repair."""
    found = {
        (row["network"], row["ranking"], float(row["ratio"])): float(row["accuracy"])
        for row in read_csv(folder / "ranking_quality.csv")
        if row["repair"] == "least_squares" and row["seed"] == "0"
    }
    rows = []
    for name, title in RANKINGS.items():
        table = [
            [100 * found[network, name, ratio] for ratio in (0.25, 0.5, 0.75)]
            for network in NETWORKS
        ]
        table.append(np.mean(table, axis=0))
        rows.append([title, *(" / ".join(f"{a:.1f}" for a in line) for line in table)])
    return to_markdown(["", *NETWORKS.values(), "mean"], rows)


def show_causes(folder):
    """Returns the shares of the walks' noise that are explained."""
    rows = []
    for row in read_csv(folder / "control_variates_why.csv"):
        shares = [float(row[name]) for name in ("refit", "lost", "step", "class")]
        cells = ["" if np.isnan(share) else f"{100 * share:.0f} %" for share in shares]
        rows.append([_name_game(row), *cells])
    head = ["group (filters), game", "refitted", "not refitted", "step", "class"]
    return to_markdown(head, rows)


def show_errors(folder):
    """Returns the mean relative squared error of each variant of the estimators."""
    games, variants = {}, {}
    for row in read_csv(folder / "control_variates.csv"):
        found = games.setdefault(_name_game(row), {})
        found.setdefault(row["variant"], []).append(float(row["relmse"]))
        variants[row["variant"]] = None
    rows = [
        [name, *(f"{np.mean(found[variant]):.3g}" for variant in variants)]
        for name, found in games.items()
    ]
    return to_markdown(["group (filters), game", *variants], rows)


def show_estimators(folder, kind):
    """Returns the errors and the order of all estimators, by cost."""
    summary, rows = summarize(read_rows(folder / "estimators.csv")), []
    names = dict.fromkeys(name for found, name, _ in summary if found == kind)
    for name in [*OURS, *(name for name in names if name.startswith(PREFIX))]:
        cells = [summary.get((kind, name, cost)) for cost in COSTS[kind]]
        shown = ["" if c is None else f"{c[0]:.2g} / {c[1]:.2f}" for c in cells]
        if any(shown):
            rows.append([f"`{name}`" if name in OURS else name, *shown])
    return to_markdown([f"{kind} games", *(WALKS[c] for c in COSTS[kind])], rows)


def show_halves(folder):
    """Returns our errors over those of the best estimator of shapiq."""
    rows, measured = [], read_rows(folder / "estimators.csv")
    for kind in KINDS:
        for cost in (0.25, 1, 5):
            best, ratios = compare_means(measured, kind, cost)
            cells = [f"{ratios[name]:.2g}" if name in ratios else "" for name in OURS]
            rows.append([f"{kind}, {WALKS[cost]}", best.removeprefix(PREFIX), *cells])
    return to_markdown(["", "best of shapiq", *(f"`{n}`" for n in OURS)], rows)


def show_paper_order(folder):
    """Returns the costs at which the order of the paper's estimator is reached."""
    rows, names = [], OURS[:4]
    measured = read_rows(folder / "estimators.csv")
    found = costs_of_paper_order(measured)
    lasting = costs_of_paper_order(measured, lasting=True)
    for game, costs in found.items():
        cells = []
        for name in names:
            pair = [costs.get(name), lasting[game].get(name)]
            shown = ["–" if cost is None else f"{cost:g}" for cost in pair]
            cells.append(shown[0] if shown[0] == shown[1] else " (".join(shown) + ")")
        rows.append([" ".join(game[1:]), *cells])
    return to_markdown(["game", *(f"`{name}`" for name in names)], rows)


def show_coverage(folder):
    """Returns the share of the units within their 95 % intervals."""
    shares = {}
    for row in read_csv(folder / "coverage.csv"):
        shares.setdefault((row["estimator"], row["draws"]), {}).setdefault(
            row["game"], []
        ).append(float(row["covered"]))
    rows = []
    for (name, draws), games in shares.items():
        means = [100 * np.mean(found) for found in games.values()]
        spread = f"{min(means):.1f} to {max(means):.1f}"
        rows.append([f"`{name}`", draws, f"{np.mean(means):.1f} %", spread])
    return to_markdown(["", "draws", "covered", "of single games"], rows)


def to_markdown(head, rows):
    """Returns a table, of lists of strings."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _name_game(row):
    return f"{row['network']}, {row['group']} ({row['units']}), {row['game']}"


def show_all(folder):
    """Returns all tables of the page, in its order."""
    return [
        show_quality(folder),
        show_causes(folder),
        show_errors(folder),
        *(show_estimators(folder, kind) for kind in KINDS),
        show_halves(folder),
        show_paper_order(folder),
        show_coverage(folder),
    ]


def main():
    """Prints all tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, default="benchmarks/results")
    print("\n\n".join(show_all(pathlib.Path(parser.parse_args().output))))


if __name__ == "__main__":
    main()
