"""Tables and a picture of the layer-wise robustness: what is written down of it."""

import numpy as np
from paper.robustness_curves import spread_counts

PUBLISHED = "SV, the paper's estimator"
OURS = "SV, an order for each image"
SPREAD = "SV, mean + 2 std"
GRADIENTS = "SV, gradients, 1/100 of the evaluations"
ALL_GRADIENTS = "SV, gradients, one an image"
SPREAD_GRADIENTS = "SV, gradients, mean + 2 std"
DEFAULT = "default: SV, reconstruction"
CRITERIA = {
    "weight norm (L2)": "l2_norm",
    "random": "random",
    "sensitivity": "sensitivity",
    "Taylor": "taylor",
    "Taylor, signed": "taylor_signed",
    "APoZ": "apoz",
}
SHAPLEY = (
    DEFAULT,
    GRADIENTS,
    PUBLISHED,
    OURS,
    SPREAD,
    ALL_GRADIENTS,
    SPREAD_GRADIENTS,
)
RANKINGS = (*CRITERIA, *SHAPLEY)
SHOWN = 0.5  # the ratio of which each layer is shown
DRAWN = ("random", *SHAPLEY)  # these are run with several seeds
# The notebook's, AUC of a VGG-16 with 92.5 % on its 1,000 test images.
ORIGINAL = dict(zip(CRITERIA, (0.47, 0.48, 0.47, 0.47, 0.64, 0.56), strict=True))
ORIGINAL |= {PUBLISHED: 0.35, SPREAD: 0.31}


def areas(rows):
    """Returns a dict: ranking -> array of the AUC of each seed.

    Args:
        rows: Lists of strings, the values of `COLUMNS`. Rankings or seeds of which a
            layer is missing are left out.
    """
    layers = {row[2] for row in rows}
    found = {}
    for name, seed in dict.fromkeys((row[0], row[1]) for row in rows):
        own = [row for row in rows if row[:2] == [name, seed]]
        if len(own) == len(layers):
            area = sum(float(row[7]) for row in own) / sum(int(row[3]) for row in own)
            found.setdefault(name, []).append(area)
    return {name: np.array(values) for name, values in found.items()}


def layer_means(rows):
    """Returns a dict: layer -> dict: ranking -> mean increase a removal, over seeds."""
    found = {}
    for name, _, layer, units, *_, increase, _ in rows:
        mean = float(increase) / int(units)
        found.setdefault(layer, {}).setdefault(name, []).append(mean)
    return {
        layer: {name: float(np.mean(values)) for name, values in by_name.items()}
        for layer, by_name in found.items()
    }


def format_tables(rows, repair_rows):
    """Returns the lines of four tables: AUC, layers, and two of what repair changes."""
    lines = ["| ranking | AUC | seeds | original | evaluations | CPU s |"]
    for name, values in sorted(areas(rows).items(), key=lambda item: item[1].mean()):
        own = [row for row in rows if row[0] == name]
        evaluations = sum(int(row[5]) for row in own) / len(values)
        seconds = sum(float(row[6]) for row in own) / len(values)
        spread = f" ± {values.std():.3f}" if len(values) > 1 else ""
        original = f"{ORIGINAL[name]:.2f}" if name in ORIGINAL else "–"
        lines.append(
            f"| {name} | {values.mean():.3f}{spread} | {len(values)} | {original} | "
            f"{evaluations:,.0f} | {seconds:,.0f} |"
        )
    table = layer_means(rows)
    names = [n for n in RANKINGS if any(n in means for means in table.values())]
    lines.append("| layer | " + " | ".join(names) + " |")
    for layer, means in sorted(table.items(), key=lambda item: _number(item[0])):
        texts = [f"{means[n]:.2f}" if n in means else "–" for n in names]
        best = min(texts, key=lambda text: (text == "–", text))
        texts = [f"**{text}**" if text == best else text for text in texts]
        lines.append(f"| {layer} | " + " | ".join(texts) + " |")
    lines.append("| ranking | removed | layers | without repair | with repair |")
    for (name, ratio), rises in sorted(
        repair_rises(repair_rows).items(),
        key=lambda item: (RANKINGS.index(item[0][0]), item[0][1]),
    ):
        masked, repaired = np.mean(rises, axis=0)
        share = f"{float(ratio):.0%}"
        lines.append(
            f"| {name} | {share} | {len(rises)} | {masked:.3f} | {repaired:.3f} |"
        )
    return lines + repair_lines(repair_rows)


def repair_lines(rows):
    """Returns the lines of a table: rises of the loss without / with repair, by layer.

    Args:
        rows: Lists of strings, the values of `REPAIR_COLUMNS`. Those of `SHOWN` count.
    """
    shown = {
        (layer, name): f"{float(masked):.2f} / {float(repaired):.2f}"
        for name, layer, ratio, _, masked, repaired in rows
        if float(ratio) == SHOWN
    }
    names = sorted({name for _, name in shown}, key=RANKINGS.index)
    lines = ["| layer, half of it removed | " + " | ".join(names) + " |"]
    for layer in sorted({layer for layer, _ in shown}, key=_number):
        texts = [shown.get((layer, name), "–") for name in names]
        lines.append(f"| {layer} | " + " | ".join(texts) + " |")
    return lines


def _number(layer):
    # "conv2" comes before "conv10", and "dense1" after all of them.
    return layer.rstrip("0123456789"), int(layer.lstrip("abcdefghijklmnopqrstuvwxyz"))


def repair_rises(rows):
    """Returns a dict: (ranking, ratio) -> rises of the loss, without and with repair.

    One row a layer, of the layers that all rankings have at that ratio.
    """
    found = {}
    for name, layer, ratio, _, masked, repaired in rows:
        rises = float(masked), float(repaired)
        found.setdefault((name, ratio), {})[layer] = rises
    shared = {}
    for (_, ratio), rises in found.items():
        shared[ratio] = shared.get(ratio, set(rises)) & set(rises)
    return {
        key: np.array([rises[layer] for layer in sorted(shared[key[1]])])
        for key, rises in found.items()
        if shared[key[1]]
    }


def plot(rows, path):
    """Draws a panel for each layer: the loss against the share that is removed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    layers = sorted(layer_means(rows), key=_number)
    figure, panels = pyplot.subplots(
        3, -(-len(layers) // 3), figsize=(13, 7.5), layout="constrained", squeeze=False
    )
    for panel, layer in zip(panels.flat, layers, strict=False):
        for number, name in enumerate(RANKINGS):
            own = [row for row in rows if row[0] == name and row[2] == layer]
            if own:
                losses = np.mean([np.array(r[8].split(), float) for r in own], axis=0)
                shares = spread_counts(int(own[0][3]), len(losses) - 1) / int(own[0][3])
                style = "-" if name not in CRITERIA else ":"
                color = pyplot.get_cmap("tab20")(number)
                panel.plot(
                    shares, losses, style, color=color, label=name, linewidth=1.3
                )
        panel.set_title(layer, fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1, panels.shape[1] // 2].set_xlabel(
        "share of the layer's units that is zero"
    )
    figure.supylabel("loss on test images")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=80)
