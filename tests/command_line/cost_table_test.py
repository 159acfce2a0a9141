"""The table of what layers cost."""

import keras
from keras import layers

from keras_shapley_prune import count_flops, trace_channels
from keras_shapley_prune.command_line.cost_table import format_costs


def rows_of(model):
    table = format_costs(model, trace_channels(model))
    assert max(map(len, table.splitlines())) <= 80
    return {line.split()[0]: line.split()[1:] for line in table.splitlines()}


def test_layers_and_total():
    image = keras.Input((6, 6, 1))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = layers.Conv2D(4, 3, padding="same", name="first")(image)
    x = layers.ReLU(name="free")(shared(shared(x)))
    x = layers.BatchNormalization(name="norm")(x)
    model = keras.Model(image, layers.Dense(2, name="last")(layers.Flatten()(x)))
    rows = rows_of(model)
    assert rows["first"] == ["4", "40", "2,592", rows["first"][-1]]
    # Its weights are counted once, its work twice.
    assert rows["shared"][:3] == ["4", "148", f"{2 * 2 * 9 * 4 * 4 * 36:,}"]
    assert rows["norm"] == ["16", "0", "0.0%"]
    assert "free" not in rows
    total = [f"{model.count_params():,}", f"{count_flops(model):,}", "100.0%"]
    assert rows["total"] == total


def test_sizes_that_are_not_known():
    image = keras.Input((None, None, 1))
    model = keras.Sequential([image, layers.Conv2D(4, 3, name="n" * 80)])
    rows = rows_of(model)
    (name,) = set(rows) - {"layer", "total"}
    assert "..." in name and rows[name] == ["4", "40", "?"]
    assert rows["total"] == ["40", "?"]


def test_a_long_name_and_all_columns_fit_80_characters():
    image = keras.Input((6, 6, 1))
    rows_of(keras.Sequential([image, layers.Conv2D(4, 3, name="n" * 80)]))
