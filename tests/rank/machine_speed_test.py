"""Tests of what is measured of the machine."""

import keras
import models
from keras import layers

from keras_shapley_prune.rank.machine_speed import measure_speed, time_tracing
from keras_shapley_prune.trace.recording import record_graph


def test_all_rates_are_positive_and_measured_once():
    speed = measure_speed()
    assert speed is measure_speed()
    assert len(vars(speed)) == 6
    assert min(vars(speed).values()) > 0
    # A product of matrices keeps more operations busy than an elementwise layer.
    assert speed.flops > speed.elements


def test_sizes_that_are_not_known_are_taken_as_given():
    inputs = keras.Input((None, None, 3))
    graph = record_graph(keras.Model(inputs, layers.ReLU()(inputs)))
    speed = measure_speed()
    small, large = (speed.seconds_of(graph.calls[0], size) for size in (8, 16))
    assert large == 4 * small


def test_tracing_takes_time_and_runs_nothing():
    model = models.build(models.residual)
    graph = record_graph(model)
    assert 0 < time_tracing(graph, [models.images(model, 2)]) < 1
