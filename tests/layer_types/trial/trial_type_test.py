"""Tests of the type of what a trial has found."""

import numpy as np
from keras import layers

from keras_shapley_prune.layer_types.trial.trial_type import (
    TrialType,
    find_sizes,
    set_sizes,
)

CONFIG = {
    "units": 8,
    "shape": (4, 8),
    "list": [8],
    "flag": True,
    "other": 4,
    "rate": 8.0,
    "name": "8",
    "empty": (),
}


def test_sizes_are_found_in_a_config():
    assert find_sizes(CONFIG, 8) == ["units", "shape", "list"]
    assert find_sizes(CONFIG, 1) == []  # a flag is no number


def test_sizes_are_set():
    config = dict(CONFIG)
    set_sizes(config, ["units", "shape"], 3)
    assert config == CONFIG | {"units": 3, "shape": (4, 3)}


def test_the_type_says_what_was_found():
    layer = layers.Dense(3)
    layer.build((None, 4))
    found = TrialType(["i.", "."], ["units"])
    assert found.axes_of(layer, layer.kernel) == "i."
    assert found.axes_of(layer, layer.bias) == "."
    assert found.has_size and not found.is_elementwise(layer)
    config = {"units": 4}
    found.resize(config, {"i": np.array([True, False, True, True])})
    assert config == {"units": 3}
    assert TrialType().is_elementwise(layer) and not TrialType().has_size
