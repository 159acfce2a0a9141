"""Tests of the benchmark of chains, and of what is written down of it."""

import csv
import sys

import keras
import numpy as np
import pytest
from keras import layers
from scripts import ROOT, load

import keras_shapley_prune as ksp


@pytest.fixture(scope="module")
def chains():
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield load(ROOT / "benchmarks" / "chains.py")
    sys.path[:] = path


def build_chain(padding):
    """Returns a chain with one segment: 4 to 8 channels, 8 to 8, 8 to 4."""
    keras.utils.set_random_seed(0)
    made = [
        layers.Conv2D(n, 3, padding=padding, activation="relu", name=f"conv{n}{i}")
        for i, n in enumerate((4, 8, 8, 4))
    ]
    return keras.Sequential([keras.Input((12, 12, 3)), *made, layers.Flatten()])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("kind", ["nothing", "1x1", "depthwise"])
def test_what_has_blocks_computes_the_same_and_can_lose_them(chains, padding, kind):
    model, images = build_chain(padding), np.random.rand(5, 12, 12, 3)
    builder = chains.Builder(model)
    assert builder.names == ["conv82"]
    built = builder.build(kind, [0], images.astype("float32"))
    np.testing.assert_allclose(built(images), model(images), atol=1e-5)
    cut = ksp.remove_channels(built, remove={"cut_conv82": [0]})
    assert cut.outputs[0].shape == model.outputs[0].shape
    assert "conv82" not in {layer.name for layer in cut.layers}


def show(row):
    """Returns accuracy in %, and the share of the time, as the page has them."""
    share = f"{float(row['measured']):.2f}".lstrip("0")
    return f"{100 * float(row['accuracy']):.1f} ({share})"


def test_the_page_shows_what_was_measured():
    page = (ROOT / "docs" / "what_can_be_pruned.md").read_text(encoding="utf-8")
    results = ROOT / "benchmarks" / "results" / "chains.csv"
    with open(results, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {(r["network"], r["seed"], r["method"], r["segments"]): r for r in rows}
    for (network, seed, method, segments), row in found.items():
        kind = method.removeprefix("filters for ")
        if kind != method and row["measured"]:
            replaced = found[network, seed, kind, segments]
            shown = f"| {show(replaced)} | {show(row)} |"
            assert shown in page, (network, seed, kind, segments, shown)
        elif method.endswith(" and filters"):
            assert f"| {show(row)} |" in page, row
