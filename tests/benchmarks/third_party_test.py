import sys

import keras
import numpy as np
import pytest
from keras import layers
from scripts import ROOT, load


@pytest.fixture(scope="module")
def script():
    """The script itself; what it imports is on the path as long as it is used."""
    path = list(sys.path)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield load(ROOT / "benchmarks" / "third_party.py")
    sys.path[:] = path


@pytest.fixture(scope="module")
def measures(script):
    return sys.modules["third_party_measures"]


@pytest.fixture(scope="module")
def models(script):
    return sys.modules["third_party_models"]


class Mixed(layers.Layer):
    """Its units are not known, and only its code knows what it does."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 7), initializer="uniform")

    def call(self, x):
        return keras.ops.tanh(x @ self.kernel)


def build():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(5, 3)(x)
    # With a regularizer of what it returns `to_functional` keeps it as it is.
    x = Mixed(activity_regularizer="l2")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(x))


def row(name, **changes):
    found = {
        "package": "p",
        "family": "f",
        "name": name,
        "share": "1.0000",
        "unknown": "0",
    }
    found |= {"half": "1.0e-07", "third": "3.0e-07", "status": "ok", "reasons": ""}
    return found | changes


def test_a_network_is_measured(measures, models):
    found = measures.measure(models.Constructor("p", "f", "n", build))
    assert found["status"] == "ok"
    assert float(found["half"]) < 1e-5 and float(found["third"]) < 1e-5
    assert (found["units"], found["outputs"], found["removable"]) == (15, 4, 6)
    assert found["share"] == f"{6 / 11:.4f}"
    assert float(found["unknown"]) == pytest.approx(35 / found["parameters"], abs=1e-4)
    assert "Mixed is not a registered layer" in found["reasons"]


def test_a_network_that_cannot_be_copied_has_its_share_all_the_same(measures, models):
    class NoConfig(layers.Layer):
        def __init__(self, function):
            super().__init__(activity_regularizer="l2")
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return x * self.scale

    def build():
        inputs = keras.Input((3,))
        x = NoConfig(np.tanh)(layers.Dense(6)(inputs))
        return keras.Model(inputs, layers.Dense(2)(layers.Dense(4)(x)))

    found = measures.measure(models.Constructor("p", "f", "n", build))
    assert found["status"].startswith("error: ValueError: Expected a model whose")
    assert found["share"] == "0.4000"


@pytest.mark.parametrize(
    ("outputs", "differences", "status"),
    [
        ([[[1.0], [2.0]]], {"half": 1e-6}, "ok"),
        ([[[1.0], [2.0]]], {"half": 1e-3}, "mismatch"),
        ([[[1.0], [2.0]]], {"half": np.nan}, "not finite"),
        ([[[0.0], [0.0]]], {"half": 0.0}, "zero output"),
        ([[[1.0], [1.0]]], {"half": 0.0}, "outputs do not depend on the input"),
    ],
)
def test_what_is_told_of_outputs(measures, outputs, differences, status):
    outputs = [np.array(values, "float32") for values in outputs]
    assert measures.judge(outputs, differences) == status


def test_numbers_of_layers_do_not_make_reasons_differ(measures):
    reason = "`block_12/add_3` joins it;\n 3 x 4"
    assert measures.plain(reason) == "`block_N/add_N` joins it, 3 x 4"


def test_networks_come_from_small_to_large(models):
    names = "RegNetX032 RegNetX002", "NetLarge NetXLarge NetTiny", "yolov8s yolov8n"
    ordered = [sorted(line.split(), key=models.size_of) for line in names]
    assert ordered == [
        ["RegNetX002", "RegNetX032"],
        ["NetTiny", "NetLarge", "NetXLarge"],
        ["yolov8n", "yolov8s"],
    ]


@pytest.mark.parametrize(
    ("redo", "todo"), [(None, "c"), ("failed", "bc"), ("all", "bc"), ("a", "")]
)
def test_only_what_is_missing_or_wanted_again_is_measured(script, models, redo, todo):
    rows = [row("a"), row("b", status="mismatch")]
    names = "a" if redo == "a" else "bc"
    chosen = [models.Constructor("p", "f", name, None) for name in names]
    kept, found = script.select(rows, chosen, None if redo == "a" else redo)
    assert "".join(c.name for c in found) == todo
    again = {"failed": "b", "all": "b"}.get(redo, "")
    assert [r["name"] for r in kept] == [n for n in "ab" if n not in again]


def test_the_table_has_a_line_a_family(script):
    rows = [
        row(
            "a",
            reasons="`add_N` joins it ×2; `add` joins it ×1; runs along it (`x`) ×1",
        ),
        row("b", share="0.5000", unknown="0.0312", reasons="runs along it ×9"),
        row("c", share="", half="", third="", status="skipped: more than 6 GiB"),
    ]
    first, *_, line, _, reasons = script.summarize(rows).splitlines()
    assert first == "3 networks, 2 compared, 0 mismatches."
    assert line == "| p f | 3 | 2 | 50.0%, 75.0% | 3e-07 |"
    assert reasons == (
        "- p f: runs along it (10); … joins it (3); up to 3% of the parameters in what "
        "is not followed; skipped: more than 6 GiB"
    )
