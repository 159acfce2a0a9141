"""Tests of numbers before and after, as text."""

import pytest

from keras_shapley_prune.plan.quantities import (
    Quantity,
    describe_cost,
    describe_sizes,
    format_bytes,
    format_seconds,
)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (29_066 * 4, "116 kB"),
        (1_250_000, "1.25 MB"),
        (3.2e12, "3.2e+03 GB"),
    ],
)
def test_bytes(count, text):
    assert format_bytes(count) == text


def test_seconds():
    assert format_seconds(0.00123) == "1.23 ms"
    assert format_seconds(2) == "2,000.00 ms"


def test_change():
    assert str(Quantity("parameters", 2000, 500)) == "2,000 → 500 (-75.0%)"
    assert (
        str(Quantity("accuracy", 0.9, 0.875, "metric")) == "0.9000 → 0.8750 (-0.0250)"
    )
    assert str(Quantity("file size", 2000, 1000, "bytes")) == "2 kB → 1 kB (-50.0%)"
    assert str(Quantity("batch", 0.002, 0.001, "seconds")).endswith("1.00 ms (-50.0%)")
    assert describe_cost(0, 0) == "0 → 0"


def test_unknown():
    quantity = Quantity("file size", None, 7, "bytes", "unknown: why")
    assert not quantity.is_known and str(quantity) == "unknown: why"
    assert "spatial size" in describe_cost(None, None)


def test_sizes():
    sizes = describe_sizes({"image": (32, None, 3), "steps": (5,)})
    assert sizes == "image of (32, ?, 3), steps of (5)"
    assert str(Quantity("", 4, 2, sizes="x of (5)")) == "4 → 2 (-50.0%) for x of (5)"
    missing = str(Quantity("", None, None, sizes=sizes))
    assert missing.endswith(f": {sizes}; data or `input_shape` gives it")
