"""The table of the networks that take half of the time, ours and Torch-Pruning's."""

import csv

HEADER = (
    "| | removed from | as cut | BatchNorm | trained | least squares | time, FLOPs |",
    "|---|---|---|---|---|---|---|",
)
AFTERWARDS = ("none", "batchnorm", "trained", "least_squares")
PLACES = {
    ("inside", "global"): "inside of blocks, any",
    ("inside", "channels"): "inside of blocks, alike",
    ("all", "global"): "all layers, any",
    ("all", "channels"): "all layers, alike",
}
OURS = {  # method of latency_accuracy.csv: name, what is removed
    "both": ("**ours: latency**", "all layers, any; whole blocks"),
    "width": ("**ours: latency**", "all layers, any"),
    "flops": ("ours: FLOPs", "all layers, any"),
}


def read(path):
    """Returns the rows of a CSV file as dicts of strings, none if there is no file."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def make_lines(folder, network="resnet20"):
    """Returns the lines of the table in Markdown, from the results in a folder."""
    ways = {}
    for row in read(folder / "latency_accuracy.csv"):
        case = row["network"], row["target"], row["repair"]
        if case == (network, "litert", "least_squares") and row["method"] in OURS:
            ways.setdefault(OURS[row["method"]], []).append(row)
    for row in read(folder / "peers_latency.csv"):
        if row["network"] == network:
            way = f"TP: {row['method']}", PLACES[row["layers"], row["of"]]
            ways.setdefault(way, []).append(row)
    return [*HEADER, *(_line(*way, rows) for way, rows in ways.items())]


def _line(name, place, rows):
    cells = [name, place]
    for repair in AFTERWARDS:
        found = [float(row["accuracy"]) for row in rows if row["repair"] == repair]
        cells.append(" / ".join(_unless_equal(f"{100 * one:.1f}" for one in found)))
    cells.append(", ".join(_shares(rows, share) for share in ("measured", "flops")))
    return "| " + " | ".join(cell or "–" for cell in cells) + " |"


def _shares(rows, name):
    found = [f"{float(row[name]):.2f}".lstrip("0") for row in rows]
    return " / ".join(dict.fromkeys(found))


def _unless_equal(texts):
    texts = list(texts)
    return texts[:1] if len(set(texts)) == 1 else texts
