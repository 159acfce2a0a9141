"""Tests of costs that are known before surgery."""

import dataclasses

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.sizes import give_sizes
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "builder",
    [
        models.residual,
        models.autoencoder,
        models.nested,
        models.attentive,
        models.recurrent,
    ],
)
def test_costs_are_those_of_the_cut_model(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    costs = {of: CostModel(channel_map, of) for of in ("params", "flops", "bytes")}
    for seed, fraction in enumerate((0.0, 0.3, 0.7)):
        keep = models.random_keep(channel_map, fraction, seed=seed)
        cut = remove_channels(model, keep, channel_map)
        assert costs["params"].count(keep) == cut.count_params()
        assert costs["bytes"].count(keep) == 4 * cut.count_params()
        assert costs["flops"].count(keep) == count_flops(cut)


def test_units_are_those_that_can_be_removed():
    channel_map = trace_channels(models.build(models.chain))
    keep = np.ones(channel_map.num_units, bool)
    costs = CostModel(channel_map, "units")
    assert costs.count(keep) == sum(g.num_units for g in channel_map.groups)
    keep[channel_map.groups[1].units[:3]] = False
    assert costs.count(keep) == sum(g.num_units for g in channel_map.groups) - 3


@pytest.mark.sweep(3)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_prices_are_what_a_unit_saves(builder):
    channel_map = trace_channels(models.build(builder))
    keep = models.random_keep(channel_map, 0.3)
    for of in ("params", "flops"):
        costs = CostModel(channel_map, of)
        lengths = costs.lengths(keep)
        prices = costs.prices(lengths)
        for axis in range(1, len(lengths)):
            step = np.zeros(len(lengths))
            step[axis] = 1e-3
            slope = _raw(costs, lengths + step) - _raw(costs, lengths - step)
            np.testing.assert_allclose(prices[axis], slope / 2e-3, rtol=1e-5)


def _raw(costs, lengths):
    return costs._factors @ lengths[costs._products].prod(axis=1)


def test_half_precision_weights_have_half_the_bytes():
    layer = layers.Dense(5, dtype="bfloat16")
    model = keras.Sequential([keras.Input((4,)), layer, layers.Dense(2)])
    costs = CostModel(trace_channels(model), "bytes")
    keep = np.ones(7, bool)
    assert costs.count(keep) == 2 * 25 + 4 * 12
    keep[0] = False
    assert costs.count(keep) == 2 * 20 + 4 * 10


def test_a_nested_model_costs_what_it_costs():
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(6), inner, layers.Dense(5), layers.Dense(2)]
    )
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, 0.5)
    cut = remove_channels(model, keep, channel_map)
    assert CostModel(channel_map, "params").count(keep) == cut.count_params()
    assert CostModel(channel_map, "flops").count(keep) == count_flops(cut)


def test_unknown_quantity():
    channel_map = trace_channels(models.build(models.chain))
    with pytest.raises(ValueError, match=r"`of` should be one of .* Received: of='x'"):
        CostModel(channel_map, "x")


def test_unknown_sizes_have_no_flops():
    steps = [layers.Conv2D(4, 3), layers.GlobalMaxPooling2D(), layers.Dense(2)]
    model = keras.Sequential([keras.Input((None, None, 3)), *steps])
    channel_map = trace_channels(model)
    assert CostModel(channel_map, "params").count(np.ones(6, bool)) == 112 + 10
    with pytest.raises(ValueError, match="known spatial sizes"):
        CostModel(channel_map, "flops")


def test_sizes_that_are_given_are_counted_for():
    steps = [layers.Conv2D(4, 3), layers.Conv2D(6, 3), layers.GlobalMaxPooling2D()]
    model = keras.Sequential([keras.Input((None, None, 3)), *steps])
    channel_map = trace_channels(model)
    with pytest.raises(ValueError, match=r"`input_shape` says .* \(None, None, 3\)"):
        CostModel(channel_map, "flops")
    graph = give_sizes(channel_map.graph, (9, 8, 3))
    costs = CostModel(dataclasses.replace(channel_map, graph=graph), "flops")
    keep = np.ones(channel_map.num_units, bool)
    assert costs.count(keep) == count_flops(model, (9, 8, 3))
    keep[0] = False
    smaller = remove_channels(model, keep, channel_map)
    assert costs.count(keep) == count_flops(smaller, (9, 8, 3))
