"""Tests of when a ranking stops."""

import models
import numpy as np
import pytest

from keras_shapley_prune.rank.estimators import Permutation
from keras_shapley_prune.rank.sampled import sampler
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.stopping import Budget, StopWhen, predict_misassigned
from keras_shapley_prune.rank.table import SampleTable

# --- the predicted share of misassigned units --------------------------------------


def _share_misassigned(estimates, truth, num_removed):
    taken, right = (set(np.argsort(x)[:num_removed]) for x in (estimates, truth))
    return len(taken - right) / num_removed


@pytest.mark.parametrize(
    ("num_removed", "error"), [(20, 0.1), (20, 0.3), (8, 0.2), (32, 0.2)]
)
def test_the_prediction_is_the_share_that_is_taken_wrongly(num_removed, error):
    generator = np.random.default_rng(0)
    predicted, found = [], []
    for _ in range(1000):
        truth = generator.normal(size=40)
        errors = generator.uniform(0.5, 1.5, 40) * error
        estimates = truth + errors * generator.normal(size=40)
        predicted.append(predict_misassigned(estimates, errors, num_removed))
        found.append(_share_misassigned(estimates, truth, num_removed))
    assert np.mean(predicted) == pytest.approx(np.mean(found), rel=0.15)


def test_the_prediction_falls_with_the_errors():
    values = np.random.default_rng(0).normal(size=30)
    shares = [predict_misassigned(values, np.full(30, e), 15) for e in (0.01, 0.1, 1)]
    assert shares == sorted(shares)
    assert shares[0] < shares[2] / 5


@pytest.mark.parametrize("num_removed", [-1, 0, 4, 5])
def test_nothing_can_be_taken_wrongly(num_removed):
    assert predict_misassigned(np.arange(4.0), np.ones(4), num_removed) == 0


def test_sure_values():
    assert predict_misassigned(np.arange(4.0), np.zeros(4), 2) == 0


def test_values_of_which_nothing_is_known():
    unknown = np.full(4, np.inf)
    assert predict_misassigned(np.arange(4.0), unknown, 2) == pytest.approx(0.5)
    assert predict_misassigned(np.zeros(4), np.zeros(4), 2) == pytest.approx(0.5)
    missing = np.array([0.0, np.nan, 2.0, 3.0])
    assert not predict_misassigned(missing, np.ones(4), 2) <= 1


def test_one_unit_at_the_boundary():
    values, errors = np.array([0.0, 1.0, 3.0, 4.0]), np.array([0, 1.0, 0, 0])
    # The boundary is at 2: unit 1 is beyond it with the probability Phi(-1).
    assert predict_misassigned(values, errors, 2) == pytest.approx(0.15865525 / 4)


# --- legs --------------------------------------------------------------------------


def _table(num_rows, spread=1.0, num_units=4):
    table = SampleTable(max(num_rows, 1), num_units)
    noise = np.random.default_rng(0).normal(size=(num_rows, num_units)) * spread
    table.add(np.arange(num_rows), noise + np.arange(num_units))
    return table


EVERYONE = np.ones(4, bool)


def _rounds_until_over(leg, cost, table=None, most=100):
    for rounds in range(1, most + 1):
        if leg.is_over(cost, table, EVERYONE):
            return rounds
    return None


def test_no_limits():
    assert _rounds_until_over(Budget(StopWhen()).start_leg(1.0, 2), 10) is None


@pytest.mark.parametrize(("limit", "rounds"), [(100, 10), (96, 10), (94, 9), (1, 1)])
def test_a_leg_stops_as_near_to_the_limit_as_rounds_allow(limit, rounds):
    leg = Budget(StopWhen(evaluations=limit)).start_leg(1.0, 2)
    assert _rounds_until_over(leg, 10) == rounds


def test_legs_share_what_is_left():
    budget = Budget(StopWhen(evaluations=120))
    assert _rounds_until_over(budget.start_leg(1 / 3, 2), 10) == 4
    assert budget.spent == 40
    assert _rounds_until_over(budget.start_leg(1 / 2, 2), 10) == 4
    # What a leg leaves over is for those that follow.
    budget.start_leg(1.0, 2).is_over(10, None, EVERYONE)
    assert _rounds_until_over(budget.start_leg(1.0, 2), 10) == 3
    assert budget.spent == 120


def test_a_leg_over_the_limit_plays_one_round():
    budget = Budget(StopWhen(evaluations=10))
    assert _rounds_until_over(budget.start_leg(1.0, 2), 50) == 1
    assert _rounds_until_over(budget.start_leg(1.0, 2), 50) == 1


def test_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    budget = Budget(StopWhen(seconds=10))
    leg = budget.start_leg(0.5, 2)
    for second, over in ((1, False), (4.9, False), (5.1, True)):
        now[0] = second
        assert leg.is_over(1, None, EVERYONE) == over
    leg = budget.start_leg(1.0, 2)
    for second, over in ((9.9, False), (10.1, True)):
        now[0] = second
        assert leg.is_over(1, None, EVERYONE) == over


def test_sure_enough():
    leg = Budget(StopWhen(misassigned=0.05)).start_leg(1.0, 2)
    assert leg.is_over(1, _table(40, spread=0.1), EVERYONE)
    assert not leg.is_over(1, _table(40, spread=9.0), EVERYONE)
    assert not leg.is_over(1, _table(15, spread=0.1), EVERYONE)
    assert leg.is_over(1, _table(16, spread=0.1), EVERYONE)


def test_units_out_of_play_need_not_be_sure():
    table = _table(40, spread=0.1)
    counted = np.array([[True, True, True, False]])
    table.count[:, 3], table.sum[:, 3] = 0, 0
    leg = Budget(StopWhen(misassigned=0.05)).start_leg(1.0, 2)
    assert not leg.is_over(1, table, EVERYONE)
    assert leg.is_over(1, table, counted[0])


# --- through the ranker ------------------------------------------------------------

NUM_EXAMPLES = 40


def _rank(num_draws=1, ratio=0.5, layers=None, seed=0, stages=1, **limits):
    ranker = ShapleyRanker(
        "loss",
        Permutation(num_draws),
        stages=stages,
        stop=StopWhen(**limits),
        batch_size=4,
        seed=seed,
    )
    data = models.labelled_images(NUM_EXAMPLES)
    return ranker.rank(models.classifier(), data, layers=layers, ratio=ratio, verbose=0)


CONV, HIDDEN = 4 * (6 + 1), 4 * (8 + 1)  # evaluations of a round


def test_as_many_evaluations_as_allowed():
    limit = 500
    ranking = _rank(num_draws=2, evaluations=limit)
    assert abs(ranking.num_evaluations - limit) <= HIDDEN
    assert ranking["conv"].num_evaluations % CONV == 0
    assert ranking["hidden"].num_evaluations % HIDDEN == 0
    assert min(scores.num_evaluations for scores in ranking.values()) > limit / 10


def test_more_evaluations_than_there_are():
    ranking = _rank(evaluations=10**6)
    assert ranking.num_evaluations == 10 * (CONV + HIDDEN)


def test_stages_share_the_evaluations():
    ranking = _rank(5, layers="hidden", stages=4, evaluations=700)
    assert ranking.num_evaluations == pytest.approx(700, abs=HIDDEN)
    np.testing.assert_array_equal(np.bincount(ranking["hidden"].stages), [2, 6])


@pytest.mark.slow
def test_evaluations_are_shared_out_by_a_count_and_not_by_the_clock(monkeypatch):
    found = []
    for factor in (1, 20):

        def profile(graph, inputs, factor=factor):
            seconds = {call.index: 1e-4 for call in graph.calls}
            return {**seconds, graph.calls[-1].index: factor * 1e-4}

        monkeypatch.setattr(sampler, "profile_calls", profile)
        ranking = _rank(num_draws=4, evaluations=900, seed=3)
        found.append([scores.num_evaluations for scores in ranking.values()])
    assert found[0] == found[1]


def test_hardly_any_time():
    ranking = _rank(seconds=1e-6)
    assert ranking["conv"].num_evaluations == CONV
    assert ranking["hidden"].num_evaluations == HIDDEN


def test_plenty_of_time():
    ranking = _rank(layers="hidden", seconds=1e6)
    assert ranking.num_evaluations == 10 * HIDDEN


def test_until_it_is_sure_enough():
    at_once = _rank(layers="hidden", misassigned=1.0, num_draws=3)
    assert at_once.num_evaluations == 4 * HIDDEN  # 16 examples
    never = _rank(layers="hidden", misassigned=0.0, num_draws=3)
    assert never.num_evaluations == 30 * HIDDEN
    nothing_to_find = _rank(layers="hidden", misassigned=0.0, num_draws=3, ratio=0.0)
    assert nothing_to_find.num_evaluations == 4 * HIDDEN


def test_until_between_the_extremes():
    ranking = _rank(layers="hidden", num_draws=3)
    scores = ranking["hidden"]
    share = predict_misassigned(scores.values, scores.standard_errors, 4)
    stopped = _rank(layers="hidden", misassigned=share * 1.3, num_draws=3)["hidden"]
    assert 4 * HIDDEN <= stopped.num_evaluations < scores.num_evaluations
    found = predict_misassigned(stopped.values, stopped.standard_errors, 4)
    assert found <= share * 1.3


# --- arguments ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"misassigned": 1.5}, "misassigned=1.5"),
        ({"misassigned": "sure"}, "misassigned='sure'"),
        ({"misassigned": True}, "misassigned=True"),
        ({"evaluations": 0}, "evaluations=0"),
        ({"evaluations": 1e6}, "evaluations=1000000.0"),
        ({"evaluations": True}, "evaluations=True"),
        ({"seconds": 0}, "seconds=0"),
        ({"seconds": -1.0}, "seconds=-1.0"),
        ({"seconds": float("nan")}, "seconds=nan"),
        ({"seconds": "60"}, "seconds='60'"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(arguments, received):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"Argument `{name}`") as info:
        StopWhen(**arguments)
    assert f"Received: {received}" in str(info.value)


def test_what_it_shows():
    stop = StopWhen(misassigned=0.05, seconds=60)
    assert repr(stop) == "StopWhen(misassigned=0.05, evaluations=None, seconds=60)"
    assert stop.get_config()["evaluations"] is None
    assert stop == StopWhen(0.05, None, 60)
