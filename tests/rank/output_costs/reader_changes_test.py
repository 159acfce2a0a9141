"""Tests of how readers change when a group is cut and they are refitted."""

import cut_readers
import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.rank.output_costs.reader_changes import (
    count_depths,
    find_changes,
)
from keras_shapley_prune.repair import readers
from keras_shapley_prune.repair.moments import InputMoments
from keras_shapley_prune.repair.ridge import RIDGE
from keras_shapley_prune.trace.array_store import ArrayStore
from keras_shapley_prune.trace.tracer import trace_channels


def hidden(*heads, copied=False, num_examples=60):
    """Returns a model of five units that some layers read, its data, and the rows."""
    inputs = keras.Input((6,))
    x = layers.Dense(5, activation="tanh", name="units")(inputs)
    model = models.randomize(keras.Model(inputs, [head(x) for head in heads]))
    units = model.get_layer("units")
    if copied:  # the second unit does what the first one does
        kernel, bias = units.get_weights()
        kernel[:, 1], bias[1] = kernel[:, 0], bias[0]
        units.set_weights([kernel, bias])
    generator = np.random.default_rng(1)
    data = generator.normal(size=(num_examples, 6)).astype("float32")
    return model, data, units(data).numpy().astype("float64")


def find(model, data, order, counts, name="units"):
    """Returns the changes of the readers of a group, arrays by reader and depth."""
    channel_map = trace_channels(model)
    (group,) = [g for g in channel_map.groups if g.name == name]
    moments = InputMoments(channel_map, [group], cut_readers.to_batches(model, data))
    changes = find_changes(moments, group, np.array(order), counts, ArrayStore(2**30))
    return changes, [[get() for get in change.changes] for change in changes]


@pytest.mark.parametrize(
    ("num_units", "expected"),
    [
        (2, [1]),
        (3, [1, 2]),
        (5, [1, 2, 4]),
        (8, [1, 2, 3, 4, 6, 7]),
        (64, [4, 8, 16, 24, 32, 45, 58]),
    ],
)
def test_some_depths_are_measured(num_units, expected):
    assert count_depths(num_units) == expected


def test_one_unit_is_always_kept():
    for num_units in range(2, 300):
        counts = count_depths(num_units)
        assert counts == sorted(set(counts))
        assert (counts[0], counts[-1]) >= (1, 1)
        assert counts[-1] < num_units


def test_it_is_the_ridge_regression_on_the_units_that_are_kept():
    model, data, rows = hidden(layers.Dense(3, name="reader"))
    order, counts = [3, 0, 4, 1, 2], [1, 3]
    _, ((first, second),) = find(model, data, order, counts)
    kernel = model.get_layer("reader").kernel.numpy().astype("float64")
    x = rows - rows.mean(axis=0)
    for change, stay in ((first, [0, 1, 2, 4]), (second, [1, 2])):
        xx = x[:, stay].T @ x[:, stay] / len(x)
        strength = RIDGE * np.trace(xx) / len(xx)
        wanted = x[:, stay].T @ (x @ kernel) / len(x) + strength * kernel[stay]
        expected = -kernel
        expected[stay] += np.linalg.solve(xx + strength * np.eye(len(xx)), wanted)
        np.testing.assert_allclose(change[:-1], expected, atol=1e-4)


@pytest.mark.parametrize("max_columns", [2400, 4])
def test_the_bias_keeps_the_mean(monkeypatch, max_columns):
    monkeypatch.setattr(readers, "MAX_COLUMNS", max_columns)
    model, data, rows = hidden(layers.Dense(3))
    ((reader,), (found,)) = find(model, data, [0, 1, 2, 3, 4], [1, 2, 4])
    assert (reader.reader.form is None) == (max_columns == 4)
    for change in found:
        added = rows @ change[:-1] + change[-1]
        assert np.abs(added).max() > 1e-2
        np.testing.assert_allclose(added.mean(axis=0), 0, atol=1e-5)


def test_a_copy_costs_nothing_until_both_are_removed():
    model, data, rows = hidden(layers.Dense(3), copied=True)
    _, ((one, both),) = find(model, data, [0, 1, 2, 3, 4], [1, 2])
    _, ((other,),) = find(model, data, [3, 1, 2, 0, 4], [1])
    lost = [
        np.mean((rows @ change[:-1] + change[-1]) ** 2) for change in (one, both, other)
    ]
    assert lost[0] < 0.01 * min(lost[1:])


def test_what_is_read_itself_is_made_of_what_is_kept(monkeypatch):
    """A removed channel is put together of the others, which stay as they are."""
    monkeypatch.setattr(readers, "MAX_COLUMNS", 4)
    model, data, rows = hidden(layers.Dense(3))
    ((change,), ((found,),)) = find(model, data, [3, 0, 1, 2, 4], [1])
    assert change.reader.form is None
    np.testing.assert_array_equal(found[:, [0, 1, 2, 4]], 0)
    made = (rows + rows @ found[:-1] + found[-1])[:, 3]
    left = np.mean((made - rows[:, 3]) ** 2)
    assert 0 < left < rows[:, 3].var()


def test_taps_of_a_wide_layer_are_not_told_apart(monkeypatch):
    monkeypatch.setattr(readers, "MAX_COLUMNS", 20)
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, activation="relu", name="units")(inputs)
    model = models.randomize(keras.Model(inputs, layers.Conv2D(3, 3)(x)))
    ((change,), ((found,),)) = find(model, models.images(model, 9), [0, 1, 2, 3], [2])
    assert change.reader.form is None
    assert found.shape == (5, 4)
    assert found[:, :2].any(axis=0).all()
    assert not found[:, 2:].any()


def _beside(reader):
    """Returns a model of two layers side by side, and the kernel that reads both."""
    inputs = keras.Input((6, 6, 2))
    x, y = (layers.Conv2D(4, 3, activation="relu", name=n)(inputs) for n in "xy")
    model = keras.Model(inputs, reader(layers.Concatenate()([x, y])))
    kernel = models.randomize(model).layers[-1].kernel.numpy()
    return model, models.images(model, 9), kernel.reshape(-1, kernel.shape[-1])


def test_units_of_other_groups_make_up_for_it_too():
    model, data, kernel = _beside(layers.Dense(3))
    _, ((found,),) = find(model, data, [2, 0, 1, 3], [1], "y")
    removed = np.arange(8) == 6
    np.testing.assert_allclose(found[:-1][removed], -kernel[removed], rtol=1e-6)
    assert np.abs(found[:4]).min() > 1e-4
    assert not np.isclose(found[:-1][~removed], -kernel[~removed]).any()


def test_each_group_of_a_convolution_is_refitted_by_itself():
    model, data, kernel = _beside(layers.Conv2D(6, 1, groups=2))
    _, ((found,),) = find(model, data, [0, 1, 2, 3], [1], "x")  # x and y are tied
    assert not found[:4, 3:].any()
    assert not found[4:8, :3].any()
    for row, half in ((0, slice(0, 3)), (4, slice(3, 6))):
        np.testing.assert_allclose(found[row, half], -kernel[0, half], rtol=1e-6)
        assert found[row + 1 : row + 4, half].all()
