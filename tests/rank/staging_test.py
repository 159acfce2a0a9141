"""Tests of staged play, on sources of known values."""

import json

import numpy as np
import pytest

from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.rank.sources import SampleSource
from keras_shapley_prune.rank.staging import Staging, count_legs, play_stages
from keras_shapley_prune.rank.table import SampleTable


class Known(SampleSource):
    """Samples what the worth falls by as a unit leaves all others in play."""

    def __init__(self, worth, num_units, num_rounds=2, unsampled=(), alone=np.nan):
        self._worth, self._num_rounds, self._alone = worth, num_rounds, alone
        super().__init__(SampleTable(num_rounds, num_units))
        self._unsampled = list(unsampled)
        self.played, self.left = [], []

    def rounds(self, active, stage):
        players = set(np.flatnonzero(active))
        self.played.append((stage, players))
        samples, counted = np.zeros((1, self.num_units)), active[np.newaxis].copy()
        for unit in players:
            samples[0, unit] = self._worth(players) - self._worth(players - {unit})
        counted[:, self._unsampled] = False
        for row in range(self._num_rounds):
            drawn = np.array([row]), samples, counted, 10 * len(players)
            yield lambda drawn=drawn: drawn

    def costs_alone(self, units):
        return np.full(len(units), self._alone)

    def remove(self, units):
        self.left.append(list(units))


class Never:
    """A leg that is never over."""

    looks = False

    def is_over(self, cost, table, active):
        return False


def _play(source, num_removed, stages=1, decay=0.8, start_leg=None, **arguments):
    start_leg = start_leg or (lambda legs, to_find: Never())
    staging = Staging(stages, decay)
    return play_stages(source, staging, start_leg, num_removed, **arguments)


def _twins(players):
    """Units 0 and 1 do the same work, worth 10; the others add 1, 2, 3, 4."""
    others = sum(unit - 1 for unit in players if unit > 1)
    return others + 10 * bool({0, 1} & players)


def _additive(players):
    return sum(players)


# --- how units are divided ---------------------------------------------------------


def test_all_units_leave_in_as_many_stages():
    for num_units in range(1, 40):
        for stages in range(1, num_units + 1):
            removals = Staging(stages).removals(num_units)
            assert sum(removals) == num_units
            assert len(removals) == stages
            assert min(removals) >= 1
            assert max(removals) - min(removals) <= 1
        assert Staging(None).removals(num_units) == [1] * num_units
        assert Staging(num_units + 5).removals(num_units) == [1] * num_units


def test_stages_that_decide_nothing_are_not_played():
    assert count_legs(Staging(4), 8, 4) == [2, 2]
    assert count_legs(Staging(4), 8, 5) == [2, 2, 2]
    assert count_legs(Staging(4), 8, 7) == [2, 2, 2, 2]
    assert count_legs(Staging(1), 8, 4) == [8]
    assert count_legs(Staging(None), 8, 3) == [1, 1, 1]


@pytest.mark.parametrize("stages", [1, 2, 3, 5, None])
def test_the_stages_that_are_played_find_all_that_leave(stages):
    for num_units in range(1, 20):
        removals = Staging(stages).removals(num_units)
        for num_removed in range(num_units):
            legs = count_legs(Staging(stages), num_units, num_removed)
            assert legs == removals[: len(legs)]
            assert sum(legs) >= num_removed
            assert sum(legs[:-1]) < max(num_removed, 1)


# --- play --------------------------------------------------------------------------


def test_one_stage_drops_both_of_two_redundant_units():
    scores = _play(Known(_twins, 6), 2)
    np.testing.assert_allclose(scores.values, [0, 0, 1, 2, 3, 4])
    assert set(scores.order[:2]) == {0, 1}
    np.testing.assert_array_equal(scores.stages, 0)


@pytest.mark.parametrize("stages", [6, 99, None])
def test_staged_play_keeps_one_of_two_redundant_units(stages):
    scores = _play(Known(_twins, 6), 4, stages=stages)
    assert set(scores.order[4:]) == {1, 5}
    np.testing.assert_array_equal(scores.order[:4], [0, 2, 3, 4])


def test_who_left_earlier_comes_first():
    scores = _play(Known(_twins, 6), 5, stages=None)
    np.testing.assert_array_equal(scores.stages, [0, 4, 1, 2, 3, 4])
    np.testing.assert_array_equal(scores.order, [0, 2, 3, 4, 5, 1])
    # What unit 1 was worth when it had no twin any more, earlier samples decayed.
    assert scores.values[1] > scores.values[5] == pytest.approx(4)


def test_the_values_of_who_left_are_from_its_last_stage():
    source = Known(_twins, 6)
    scores = _play(source, 5, stages=None, decay=0.0)
    np.testing.assert_allclose(scores.values, [0, 10, 1, 2, 3, 4])
    assert [len(players) for _, players in source.played] == [6, 5, 4, 3, 2]
    assert [stage for stage, _ in source.played] == [0, 1, 2, 3, 4]
    assert source.left == [[0], [2], [3], [4]]


def test_the_source_is_not_told_who_would_leave_last():
    source = Known(_additive, 6)
    _play(source, 3, stages=2)
    assert source.left == []
    source = Known(_additive, 6)
    _play(source, 4, stages=2)
    assert source.left == [[0, 1, 2]]


def test_decay_weighs_earlier_stages():
    scores = _play(Known(_twins, 6), 2, stages=None, decay=0.25)
    assert scores.values[1] == pytest.approx((0.25 * 0 + 1 * 10) / 1.25)
    scores = _play(Known(_twins, 6), 3, stages=None, decay=0.5)
    expected = (0.25 * 0 + 0.5 * 10 + 10) / 1.75
    assert scores.values[1] == pytest.approx(expected)


def test_nothing_is_removed():
    source = Known(_additive, 5)
    scores = _play(source, 0, stages=5)
    assert len(source.played) == 1
    np.testing.assert_allclose(scores.values, range(5))
    np.testing.assert_array_equal(scores.stages, 0)


def test_all_but_one_are_removed():
    source = Known(_additive, 5)
    scores = _play(source, 4, stages=None)
    assert len(source.played) == 4
    np.testing.assert_array_equal(scores.stages, [0, 1, 2, 3, 3])
    np.testing.assert_array_equal(scores.order, range(5))


def test_one_unit():
    scores = _play(Known(_additive, 1), 0, stages=None)
    np.testing.assert_array_equal(scores.order, [0])


def test_units_that_were_never_sampled_never_leave_first():
    source = Known(_additive, 5, unsampled=[0, 2], alone=-1.0)
    scores = _play(source, 3, stages=None)
    assert source.left == [[1], [3]]
    np.testing.assert_array_equal(scores.order, [1, 3, 4, 0, 2])
    # Their value is from elsewhere, and does not count against them.
    np.testing.assert_allclose(scores.values[[0, 2]], -1)
    assert np.isinf(scores.standard_errors[[0, 2]]).all()
    np.testing.assert_array_equal(scores.stages, [3, 0, 3, 1, 2])


def test_units_of_which_nothing_is_known():
    scores = _play(Known(_additive, 4, unsampled=[1]), 2)
    np.testing.assert_array_equal(np.isnan(scores.values), [0, 1, 0, 0])
    np.testing.assert_array_equal(scores.order, [0, 2, 3, 1])


def test_each_leg_is_told_how_many_are_left_and_to_find():
    told = []

    def start_leg(legs, to_find):
        told.append((legs, to_find))
        return Never()

    _play(Known(_additive, 10), 5, stages=4, start_leg=start_leg)
    assert Staging(4).removals(10) == [2, 3, 3, 2]
    assert told == [(2, 2), (1, 3)]
    told.clear()
    _play(Known(_additive, 10), 6, stages=4, start_leg=start_leg)
    assert told == [(3, 2), (2, 3), (1, 1)]
    told.clear()
    _play(Known(_additive, 10), 6, start_leg=start_leg)
    assert told == [(1, 6)]


def test_a_leg_that_is_over_ends_the_stage_alone():
    class Short:
        def __init__(self):
            self.rounds = 0

        looks = False

        def is_over(self, cost, table, active):
            self.rounds += 1
            return self.rounds == 2

    rounds = []
    scores = _play(
        Known(_additive, 4, num_rounds=5),
        2,
        stages=None,
        start_leg=lambda legs, to_find: Short(),
        on_round=rounds.append,
    )
    assert rounds == [40, 40, 30, 30]
    assert scores.num_evaluations == sum(rounds)


def test_evaluations_are_counted():
    rounds = []
    scores = _play(Known(_additive, 4), 3, stages=None, on_round=rounds.append)
    assert rounds == [40, 40, 30, 30, 20, 20]
    assert scores.num_evaluations == 180


def test_a_reduction_decides_who_leaves():
    staging = Staging(2, reduce=lambda samples: -samples.mean(axis=0))
    source = Known(_additive, 4)
    scores = play_stages(source, staging, lambda legs, to_find: Never(), 3)
    assert source.left == [[3, 2]]
    np.testing.assert_allclose(scores.values, [0, -1, -2, -3])


# --- scores with stages ------------------------------------------------------------


def test_scores_without_stages_are_of_one():
    scores = GroupScores(np.array([2.0, np.nan, 1.0]), np.zeros(3), 1)
    np.testing.assert_array_equal(scores.stages, [0, 0, 0])
    np.testing.assert_array_equal(scores.order, [2, 0, 1])


def test_the_order_is_by_stage_and_then_by_value():
    values = np.array([5.0, 1.0, np.nan, 0.5, 9.0])
    scores = GroupScores(values, np.zeros(5), 1, np.array([0, 1, 1, 2, 0]))
    np.testing.assert_array_equal(scores.order, [0, 4, 1, 2, 3])


def test_equal_values_keep_their_order():
    scores = GroupScores(np.zeros(6), np.zeros(6), 1)
    np.testing.assert_array_equal(scores.order, range(6))


def test_stages_are_saved_and_loaded(tmp_path):
    scores = _play(Known(_twins, 6), 4, stages=None)
    path = tmp_path / "ranking.json"
    Ranking({"one": scores}, "m", 2).save(path)
    loaded = Ranking.load(path)["one"]
    np.testing.assert_array_equal(loaded.stages, scores.stages)
    np.testing.assert_array_equal(loaded.order, scores.order)
    np.testing.assert_array_equal(loaded.values, scores.values)
    assert loaded.stages.dtype.kind == "i"


def test_a_file_without_stages_has_one(tmp_path):
    path = tmp_path / "ranking.json"
    Ranking({"one": GroupScores(np.array([3.0, 1.0]), np.ones(2), 5)}, "m", 2).save(
        path
    )
    content = json.loads(path.read_text())
    del content["groups"]["one"]["stages"]
    path.write_text(json.dumps(content))
    loaded = Ranking.load(path)["one"]
    np.testing.assert_array_equal(loaded.stages, [0, 0])
    np.testing.assert_array_equal(loaded.order, [1, 0])


def test_units_without_a_value_are_saved_as_plain_json(tmp_path):
    scores = _play(Known(_additive, 4, unsampled=[1]), 2, stages=None)
    path = tmp_path / "ranking.json"
    Ranking({"one": scores}, "m", 2).save(path)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads(path.read_text(), parse_constant=refuse)
    loaded = Ranking.load(path)["one"]
    np.testing.assert_array_equal(loaded.values, scores.values)
    np.testing.assert_array_equal(loaded.order, scores.order)


class Costly(Known):
    """Knows what leaving costs: ten times the place in the order of leaving."""

    def costs_in_order(self, units):
        start = sum(map(len, self.left))
        return 10.0 * (start + np.arange(len(units)))


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_costs_of_leaving_are_those_at_each_unit_s_place(stages, tmp_path):
    scores = _play(Costly(_additive, 5), 3, stages)
    np.testing.assert_array_equal(
        scores.removal_costs[scores.order], 10.0 * np.arange(5)
    )
    Ranking({"one": scores}, "m", 2).save(tmp_path / "ranking.json")
    loaded = Ranking.load(tmp_path / "ranking.json")["one"]
    np.testing.assert_array_equal(loaded.removal_costs, scores.removal_costs)


def test_costs_of_leaving_may_not_be_known(tmp_path):
    scores = _play(Known(_additive, 5), 3, stages=2)
    assert scores.removal_costs is None
    Ranking({"one": scores}, "m", 2).save(tmp_path / "ranking.json")
    assert Ranking.load(tmp_path / "ranking.json")["one"].removal_costs is None
