"""Tests of how long and on what a network is trained."""

import numpy as np
import pytest

import keras_shapley_prune
from keras_shapley_prune import Mimic


@pytest.mark.parametrize(
    "settings",
    [
        {"num_steps": 0},
        {"num_steps": 1.5},
        {"minutes": 0},
        {"minutes": float("nan")},
        {"learning_rate": 0},
        {"batch_size": 0},
        {"seed": -1},
    ],
)
def test_what_is_no_setting_is_refused(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"`{name}` should be .* Received: {name}="):
        Mimic(**settings)


def test_either_steps_or_minutes():
    expected = "`num_steps` and `minutes` .* Received: num_steps=10, minutes=1"
    with pytest.raises(ValueError, match=expected):
        Mimic(num_steps=10, minutes=1)


def test_images_are_not_printed():
    settings = Mimic(minutes=2, extra_images=np.zeros((3, 2)))
    assert repr(settings).startswith("Mimic(num_steps=None, minutes=2, ")
    assert "0." not in repr(settings).replace("0.01", "")


def test_an_iterator_can_be_read_again():
    settings = Mimic(extra_images=iter([np.zeros((3, 2))]))
    assert isinstance(settings.extra_images, list)


def test_it_is_public():
    assert keras_shapley_prune.Mimic is Mimic
