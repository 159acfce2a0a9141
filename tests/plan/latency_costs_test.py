"""Tests of the cost model of latency, against clocks of which all is known."""

import keras
import numpy as np
import pytest
from clocks import SteppedClock, build_residual, linear_clock
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.latency.measure_table import measure_latency_table
from keras_shapley_prune.plan.latency_costs import LatencyCosts
from keras_shapley_prune.trace.tracer import trace_channels


def draw_keep(channel_map, seed):
    """Returns a `keep` that no table has."""
    generator = np.random.default_rng(seed)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        least = group.fewest
        count = generator.integers(least, group.num_units + 1)
        keep[generator.permutation(group.units)[count:]] = False
    return keep


def build_branches():
    """A network with a concatenation, separable convolutions and a flatten."""
    inputs = keras.Input((6, 6, 2))
    left = layers.SeparableConv2D(12, 3, padding="same", activation="relu")(inputs)
    right = layers.MaxPooling2D(3, 1, padding="same")(layers.Conv2D(20, 1)(inputs))
    x = layers.Conv2D(16, 3)(layers.Concatenate()([left, right]))
    x = layers.Dense(24, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize("build", [build_residual, build_branches])
def test_what_is_a_sum_of_products_is_predicted_exactly(build):
    model = build()
    channel_map = trace_channels(model)
    table = measure_latency_table(model, linear_clock, channel_map)
    costs = LatencyCosts(channel_map, table)
    assert costs.count() == pytest.approx(linear_clock(model), rel=0.01)
    for seed in range(3):
        keep = draw_keep(channel_map, seed)
        seconds = linear_clock(remove_channels(model, keep, channel_map))
        assert costs.count(keep) == pytest.approx(seconds, rel=0.03)


def test_blocks():
    model = build_residual(width=16)
    channel_map = trace_channels(model, "both")
    table = measure_latency_table(model, linear_clock, channel_map)
    costs = LatencyCosts(channel_map, table)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.blocks[0].unit] = False
    seconds = linear_clock(remove_channels(model, keep, channel_map))
    assert costs.count(keep) == pytest.approx(seconds, rel=0.05)
    # The same table serves a map that knows of no blocks.
    only_filters = trace_channels(model)
    others = LatencyCosts(only_filters, table)
    assert others.count() == pytest.approx(costs.count(), rel=0.05)


def test_blocks_alone():
    model = build_residual(width=16)
    both, blocks = (trace_channels(model, kind) for kind in ("both", "block"))
    keep = np.ones(blocks.num_units, bool)
    keep[blocks.blocks[1].unit] = False
    seconds = linear_clock(remove_channels(model, keep, blocks))
    # The table of one map serves the other, and so does one of its own.
    for measured in (both, blocks):
        table = measure_latency_table(model, linear_clock, measured)
        costs = LatencyCosts(blocks, table)
        assert costs.count(keep) == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize("step", [1, 4, 8, 16])
def test_the_step_is_found(step):
    model = build_residual(width=64)
    channel_map = trace_channels(model)
    table = measure_latency_table(model, SteppedClock(step), channel_map)
    assert LatencyCosts(channel_map, table).step == step


@pytest.mark.parametrize("step", [8, 16])
def test_filters_that_are_computed_at_once(step):
    model, clock = build_residual(width=64), SteppedClock(step)
    channel_map = trace_channels(model)
    table = measure_latency_table(model, clock, channel_map)
    costs = LatencyCosts(channel_map, table)
    for seed in range(3):
        keep = draw_keep(channel_map, seed)
        seconds = clock(remove_channels(model, keep, channel_map))
        assert costs.count(keep) == pytest.approx(seconds, rel=0.05)


def test_a_piece_that_takes_longer_alone_than_in_the_network():
    def clock(model):
        alone = not any(isinstance(layer, layers.Conv2D) for layer in model.layers)
        scales = any(isinstance(layer, layers.Rescaling) for layer in model.layers)
        return linear_clock(model) + (1e-2 if alone and scales else 0)

    model = build_residual()
    channel_map = trace_channels(model)
    costs = LatencyCosts(channel_map, measure_latency_table(model, clock, channel_map))
    keep = draw_keep(channel_map, 0)
    seconds = clock(remove_channels(model, keep, channel_map))
    assert costs.count(keep) == pytest.approx(seconds, rel=0.03)


def test_prices_are_what_a_unit_saves():
    model = build_residual()
    channel_map = trace_channels(model)
    table = measure_latency_table(model, linear_clock, channel_map)
    costs = LatencyCosts(channel_map, table)
    (group, *_) = channel_map.groups
    taken, lengths = costs.lengths_of(group.units[:1]), costs.lengths()
    saved = costs.total(lengths) - costs.total(lengths - taken)
    assert taken @ costs.prices(lengths) == pytest.approx(saved, rel=0.2)
    assert saved > 0


def test_sizes_that_are_not_known():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3)(layers.Conv2D(8, 3)(inputs))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    with pytest.raises(ValueError, match="size"):
        measure_latency_table(model, "tensorflow")
