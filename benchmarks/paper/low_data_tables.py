"""Tables and a picture of pruning with few images: what is written down of it."""

import itertools

import numpy as np

RANKINGS = ("random", "l2_norm", "taylor", "apoz", "shapley", "default")
RATIOS = [tenths / 10 for tenths in range(1, 10)]  # of the full experiment
SHOWN = (0.3, 0.5, 0.7)  # of these, in the tables
WAYS = ("cut", "cut_tuned", "repaired", "repaired_tuned")
TITLES = ("no repair", "no repair, fine-tuned", "repaired", "repaired, fine-tuned")


def average(rows):
    """Returns means over the seeds.

    Args:
        rows: The rows of the table, lists of strings.

    Returns:
        Dict: `(network, images, ranking, ratio)`, strings -> array of the accuracies
        of `WAYS` in %, and the number of seeds.
    """
    found = {}
    for network, images, _, ranking, ratio, *values in rows:
        key = network, images, ranking, ratio
        found.setdefault(key, []).append(values[: len(WAYS)])
    return {
        key: [*(100 * np.mean(np.array(values, float), axis=0)), len(values)]
        for key, values in found.items()
    }


def list_lines(rows):
    """Returns the lines of Markdown tables: means over the seeds, in %.

    Args:
        rows: The rows of the table, lists of strings.
    """
    means, lines = average(rows), list_mean_lines(rows)
    means = {key: m for key, m in means.items() if float(key[-1]) in SHOWN}
    for network, position in itertools.product(
        dict.fromkeys(key[0] for key in means), range(len(WAYS))
    ):
        known = {key[1:]: m for key, m in means.items() if key[0] == network}
        cuts = {}  # number of images -> the ratios that were measured
        for images, _, ratio in sorted(known, key=lambda key: (int(key[0]), key[2])):
            cuts.setdefault(images, {})[ratio] = f"{float(ratio):.0%}".rstrip("%")
        titles = [f"{n} images: {' / '.join(r.values())} %" for n, r in cuts.items()]
        lines += ["", f"{network}, {TITLES[position]}:", ""]
        lines += [f"| ranking | {' | '.join(titles)} |", "|---" * len(titles) + "|---|"]
        for ranking in dict.fromkeys(name for _, name, _ in known):
            cells = [
                " / ".join(
                    f"{known[key][position]:.1f}"
                    for key in sorted(known)
                    if key[:2] == (images, ranking)
                )
                for images in cuts
            ]
            lines.append(f"| {ranking} | {' | '.join(cells)} |")
    return lines


def list_mean_lines(rows):
    """Returns the lines of tables of the mean over all ratios, where all are measured.

    Args:
        rows: The rows of the table, lists of strings.
    """
    cells, lines = {}, []
    for (network, images, ranking, _), means in average(rows).items():
        cells.setdefault((network, int(images)), {}).setdefault(ranking, []).append(
            means[: len(WAYS)]
        )
    for network in dict.fromkeys(network for network, _ in cells):
        counts = sorted(n for name, n in cells if name == network)
        whole = [
            n
            for n in counts
            if all(len(m) == len(RATIOS) for m in cells[network, n].values())
        ]
        if not whole:
            continue
        lines += ["", f"{network}, {' / '.join(TITLES)}:", ""]
        lines += [f"| ranking | {' | '.join(f'{n} images' for n in whole)} |"]
        lines += ["|---" * len(whole) + "|---|"]
        for ranking in cells[network, whole[0]]:
            texts = [
                " / ".join(f"{m:.1f}" for m in np.mean(cells[network, n][ranking], 0))
                for n in whole
            ]
            lines.append(f"| {ranking} | {' | '.join(texts)} |")
    return lines


def plot(rows, network, path):
    """Draws a panel for each number of images and way, a line for each ranking."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    means = {key[1:]: m for key, m in average(rows).items() if key[0] == network}
    counts = sorted({key[0] for key in means}, key=int)
    figure, panels = pyplot.subplots(
        len(counts),
        len(WAYS),
        figsize=(11, 2.4 * len(counts)),
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for (row, images), column in itertools.product(enumerate(counts), range(len(WAYS))):
        panel = panels[row][column]
        for ranking in RANKINGS:
            points = sorted(
                (float(ratio), values[column])
                for (count, name, ratio), values in means.items()
                if (count, name) == (images, ranking)
            )
            style = "o-" if ranking in ("shapley", "default") else ".:"
            panel.plot(*np.transpose(points), style, ms=4, label=ranking)
            panel.set_xticks([ratio for ratio, _ in points])
        panel.set_title(f"{images} images, {TITLES[column]}", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][0].legend(frameon=False, fontsize=7)
    figure.supxlabel("share of every layer's filters removed")
    figure.supylabel("accuracy, %")
    figure.savefig(path, dpi=90)
