"""The examples in the docstrings of public names run as they are."""

import inspect
import re
import shutil
import textwrap

import keras
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.layer_types import registry

NAMES = keras_shapley_prune.__all__
MADE_BY_THE_PACKAGE = {  # and not by a user, or shown where they are made
    "ChannelMap",
    "GroupScores",
}
LONG = ("measure_latency_table", "mimic", "prune_until")  # they time, train, search
NEEDED = {
    "Runtime": ["ai_edge_litert.interpreter", "litert_quantizer"],
    "compare": ["ai_edge_litert.interpreter"],
    "export_litert": ["ai_edge_litert.interpreter", "litert_quantizer"],
    "plot_ablation": ["matplotlib"],
    "plot_frontier": ["matplotlib"],
    "plot_ranking": ["matplotlib"],
    "measure_ablation": ["matplotlib"],
    "measure_frontier": ["matplotlib"],
    "to_tf_keras": ["tensorflow_model_optimization", "tf_keras"],
}


def example_of(name):
    text = inspect.getdoc(getattr(keras_shapley_prune, name))
    _, found, example = text.partition("\nExample:\n\n")
    code = re.fullmatch(r"```python\n(.*?)```\s*", example, re.DOTALL)
    assert bool(code) == bool(found), f"{name}: one ```python block, and no more"
    return code and textwrap.dedent(code[1])


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the examples take as given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1), name="image"),
            layers.Conv2D(12, 3, activation="relu", name="conv2d"),
            layers.Conv2D(32, 3, activation="relu", name="conv2d_1"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    images = np.random.default_rng(0).random((40, 6, 6, 1), "float32")
    labels = np.arange(40) % 3
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    ranking = ranker.rank(model, verbose=0)
    plan = keras_shapley_prune.plan_pruning(model, ranking)
    plan.save("plan.json")
    pruned = keras_shapley_prune.apply_plan(model, plan, repair=None, verify=False)
    return {
        "keras": keras,
        "keras_shapley_prune": keras_shapley_prune,
        "np": np,
        "model": model,
        "images": images,
        "labels": labels,
        "x": images,
        "y": labels,
        "x_val": images,
        "y_val": labels,
        "dataset": (images, labels),
        "ranker": ranker,
        "ranking": ranking,
        "pruned": pruned,
    }


@pytest.mark.sweep(5)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
        for name in NAMES
        if name not in MADE_BY_THE_PACKAGE
    ],
)
def test_example_runs(name, names):
    for package in NEEDED.get(name, ()):
        pytest.importorskip(package)
    if name == "plot_channels" and shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    code = example_of(name)
    assert code, f"{name} has no example"
    assert name.lower() in code.lower()
    exec(compile(code, f"example of {name}", "exec"), names)
