"""Tests of the comparison of two models on the runtime that will run them."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from comparisons import RUNTIME
from keras import layers

from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.report.runtime_comparison import (
    RuntimeComparison,
    TimedQuantity,
    compare_on,
)
from keras_shapley_prune.trace.recording import record_graph


def dense(units, inputs=6):
    row = keras.Input((inputs,), name="row")
    return keras.Model(row, layers.Dense(inputs)(layers.Dense(units)(row)))


def on(runtime, *pair, examples=None):
    return compare_on(runtime, pair, record_graph(pair[0]), examples)


def test_of_litert_the_files_are_compared_too():
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")
    pair = dense(900, 400), dense(200, 400)
    found = on(Runtime("litert", batch_size=4), *pair)
    before, after = found.seconds
    assert 0 < after < before
    (low, high), _ = found.quartiles
    assert low <= before <= high
    # The weights are almost all of the file.
    for size, model in zip(found.file_size, pair, strict=True):
        assert 3.9 * model.count_params() < size < 4 * model.count_params() + 5000
    assert found.name == "LiteRT" and found.batch_size == 4 and not found.unknown
    assert found.description == Runtime("litert", 4).describe()
    titles = [quantity.title for quantity in found.quantities]
    assert titles == ["LiteRT file", "LiteRT, batch of 4"]


def test_tensorflow_has_no_file():
    found = on(Runtime(batch_size=2), dense(4), dense(2))
    assert found.file_size is None and found.num_runs >= 3
    assert [q.title for q in found.quantities] == ["TensorFlow, batch of 2"]


def test_by_a_function_of_the_user():
    def my_phone(model):
        return model.count_params() / 1000

    found = on(my_phone, dense(4), dense(2))
    assert found == RuntimeComparison(
        "my_phone", "the function 'my_phone'", None, (0.058, 0.032), num_runs=1
    )
    assert str(found.quantities[0]) == "58.0 ms → 32.0 ms (-44.8%)"

    def broken(model):
        raise ValueError("no phone")

    with pytest.raises(ValueError, match="no phone"):
        on(broken, dense(4), dense(2))


def test_what_litert_cannot_do_is_unknown_and_says_why():
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")
    inputs = keras.Input((3,))
    gamma = layers.Lambda(lambda x: tf.math.igamma(x, x), output_shape=(3,))
    model = keras.Model(inputs, gamma(inputs), name="odd")
    found = on(Runtime("litert"), model, model)
    assert found.seconds == (None, None) and found.file_size is None
    assert "LiteRT has built in" in found.unknown and "\n" not in found.unknown
    (latency,) = found.quantities
    assert not latency.is_known and str(latency).startswith("unknown: Argument")


def test_an_open_size_is_that_of_the_data():
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")
    inputs = keras.Input((None, None, 3), name="image")
    x = layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)))
    for runtime in (Runtime(), Runtime("litert")):
        found = on(runtime, model, model)
        assert "`dataset` should hold examples, as the model takes any" in found.unknown
        assert on(runtime, model, model, examples=np.zeros((2, 7, 5, 3))).num_runs > 2


@pytest.mark.sweep(1)
@pytest.mark.parametrize("name", ["tensorflow", "litert"])
def test_several_inputs_and_outputs(name):
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs [litert]")
    model = models.build(models.two_ends)
    for examples in (None, models.inputs_of(model, 3)):
        assert on(Runtime(name), model, model, examples=examples).num_runs > 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.2345, "1,234 ms"),
        (0.0512, "51.2 ms"),
        (0.00512, "5.12 ms"),
        (0.000512, "0.512 ms"),
        (0.0000512, "0.0512 ms"),
    ],
)
def test_times_have_three_digits(seconds, text):
    assert TimedQuantity("t", seconds, seconds, "seconds").texts == (text, text)


def test_the_spread_is_shown():
    assert RUNTIME.quantities[1].spread == (
        "half of the runs: 12.0 to 13.0 → 5.00 to 5.50 ms"
    )
