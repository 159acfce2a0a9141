"""Tests of what it is planned to take to measure the outputs."""

import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.rank.calibration import Calibration
from keras_shapley_prune.rank.output_costs import planned_seconds
from keras_shapley_prune.rank.output_costs.output_pass import NUM_VECTORS
from keras_shapley_prune.rank.output_costs.planned_seconds import estimate_seconds
from keras_shapley_prune.rank.ranking_cost import profile_calls


def planned(model, count=20, tracing=0.0):
    data = models.inputs_of(model, count)
    calibration = Calibration(model, data, None, None, 0.5, 32, False)
    graph = calibration.channel_map.graph
    seconds = profile_calls(graph, calibration.batches[0][0])
    seconds = dict.fromkeys(seconds, 1.0)
    return estimate_seconds(calibration, seconds, tracing)


def test_passes_are_shared_by_the_groups(monkeypatch):
    monkeypatch.setattr(planned_seconds, "_count_steps", lambda *_: 0)
    monkeypatch.setattr(planned_seconds, "_A_CHANGE", 0.0)
    model = models.classifier()  # six units, eight, and each is read once
    num_calls, held_out = len(model.layers), 4
    found = planned(model, 20)
    passes = (1 + 2 * NUM_VECTORS) * held_out * num_calls
    assert sum(found) == pytest.approx(passes + 6 * held_out + 6 * held_out, rel=0.2)
    compiled = planned(model, 20, tracing=1.0)
    assert sum(compiled) - sum(found) == pytest.approx(2 * num_calls)


def test_wide_readers_take_longer():
    def build(units):
        inputs = keras.Input((6,))
        x = layers.Dense(units, name="units")(inputs)
        return keras.Model(inputs, layers.Dense(4)(x))

    few, many = (planned(build(units))[0] for units in (64, 2048))
    assert many > few
    assert np.isfinite(many)


@pytest.mark.sweep(5)
@pytest.mark.parametrize("builder", models.BUILDERS)
def test_all_kinds_of_readers(builder):
    found = planned(models.build(builder))
    assert min(found) > 0
