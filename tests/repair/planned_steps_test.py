"""Tests of what the steps after a ranking are planned to take."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune import Mimic
from keras_shapley_prune.repair.planned_steps import plan_calls, plan_steps
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.mark.parametrize(
    ("repair", "verify", "names"),
    [
        ("least_squares", True, ["cut", "repair", "check", "compare"]),
        (Mimic(), False, ["cut", "repair", "mimic", "compare"]),
        (None, True, ["cut", "check", "compare"]),
    ],
)
def test_the_steps_that_are_done(repair, verify, names):
    channel_map = trace_channels(models.build(models.residual))
    keep = np.zeros(channel_map.num_units, bool)
    steps = plan_steps(channel_map, keep, repair, verify)
    assert list(steps) == names
    assert all(seconds > 0 for seconds in steps.values())


def test_what_is_not_reached_by_the_cut_takes_no_time():
    channel_map = trace_channels(models.build(models.residual))
    last = max(channel_map.groups, key=lambda g: min(channel_map.sites_of(g)))
    keep = np.ones(channel_map.num_units, bool)
    keep[last.units] = False
    few = plan_steps(channel_map, keep, "least_squares", True)
    many = plan_steps(channel_map, np.zeros_like(keep), "least_squares", True)
    assert few.pop("compare") == many["compare"]  # whole networks are run
    assert all(few[name] < many[name] for name in few)


def test_training_takes_what_it_is_given():
    channel_map = trace_channels(models.build(models.residual))
    keep = np.zeros(channel_map.num_units, bool)

    def planned(**settings):
        return plan_steps(channel_map, keep, Mimic(**settings), True)["mimic"]

    assert planned(minutes=2.5) == 150
    assert planned(num_steps=500) == pytest.approx(planned() / 4)
    assert planned(batch_size=32) == pytest.approx(planned() * 2)


def test_wide_layers_take_longest():
    """What is cubic in what they read counts, as far as it is kept."""
    inputs = keras.Input((32,))
    x = layers.Dense(900, name="wide")(inputs)
    model = keras.Model(inputs, layers.Dense(40)(layers.Dense(8)(x)))
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[:100]] = False
    few_removed = plan_calls(channel_map, keep)
    assert len(few_removed) == len(channel_map.graph.calls)
    assert np.argmax(few_removed) == 1  # what reads the wide one
    keep[channel_map.groups[0].units[:800]] = False
    assert plan_calls(channel_map, keep)[1] < few_removed[1] / 2
