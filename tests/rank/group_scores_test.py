"""Tests of the scores of one group."""

import numpy as np
import pytest

from keras_shapley_prune.rank.group_scores import GroupScores


def make_scores():
    values, errors = [3.0, 1.0, np.nan, 2.0], [0.5, 0.1, np.inf, np.inf]
    return GroupScores(values, errors, 12, removal_costs=[0.3, 0.1, np.nan, 0.2])


def test_units_are_removed_from_the_lowest_on():
    scores = make_scores()
    assert scores.order.tolist() == [1, 3, 0, 2]  # what is not known comes last
    assert scores.num_sampled == 2


def test_both_ways_of_keeping_them_are_whole():
    scores = make_scores()
    assert GroupScores.from_dict(scores.to_dict()).equals(scores)
    assert GroupScores.from_arrays(scores.to_arrays()).equals(scores)
    other = GroupScores(scores.values, scores.standard_errors, 13)
    assert not other.equals(scores)


def test_errors_of_another_length_are_refused():
    with pytest.raises(ValueError, match="standard_errors"):
        GroupScores([3.0, 1.0, 0.0, 2.0], [0.5], 12)
