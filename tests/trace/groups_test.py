"""Tests of units that are removed only with those of others."""

import numpy as np

from keras_shapley_prune.layer_types.unit_ids import FIXED
from keras_shapley_prune.trace.groups import fix_followers, number_units


def test_units_that_only_followers_have_are_fixed():
    # 0 to 2 are a layer's, 3 to 5 and 6 to 7 those of followers.
    ties = [np.array([[0, 1], [3, 4]])]
    produced = [
        (np.arange(3), False),
        (np.arange(3, 6), True),
        (np.arange(6, 8), True),
    ]
    numbers = fix_followers(number_units(8, ties), produced)
    assert numbers.tolist() == [0, 1, 2, 0, 1, FIXED, FIXED, FIXED]


def test_without_followers_nothing_changes():
    numbers = number_units(4, [np.array([[1], [3]])])
    assert fix_followers(numbers, [(np.arange(4), False)]).tolist() == [0, 1, 2, 1]
    assert not fix_followers(np.zeros(0, int), []).size
