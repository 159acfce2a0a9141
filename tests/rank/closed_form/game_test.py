"""Tests of the reconstruction game against an explicit fit for every coalition."""

import itertools

import numpy as np
import pytest

from keras_shapley_prune.rank.closed_form import game
from keras_shapley_prune.rank.closed_form.game import ReconstructionGame

RIDGE = 0.05


class Problem:
    """Columns, what they should return, and the objective computed the long way."""

    def __init__(self, unit_of, num_outputs=4, num_units=None, scale=1.0, seed=0):
        generator = np.random.default_rng(seed)
        self.unit_of, self.scale = np.array(unit_of), scale
        self.num_units = num_units or max(unit_of) + 1
        columns = len(unit_of)
        mixing = generator.normal(size=(columns, columns)) / 2 + np.eye(columns)
        x = generator.normal(size=(200, columns)) @ mixing
        truth = generator.normal(size=(columns, num_outputs))
        y = x @ truth + 0.3 * generator.normal(size=(200, num_outputs))
        self.prior = truth + 0.2 * generator.normal(size=truth.shape)
        self.xx, self.xy = x.T @ x / 200, x.T @ y / 200
        self.yy = (y**2).mean(axis=0)

    def game(self, ridge=RIDGE, scale=None):
        scale = self.scale if scale is None else scale
        return ReconstructionGame(
            self.xx, self.xy, self.prior, self.unit_of, self.num_units, ridge, scale
        )

    def objective(self, removed):
        """Returns the ridge objective of the best fit without the removed units."""
        strength = RIDGE * np.trace(self.xx) / len(self.xx)
        stays = ~np.isin(self.unit_of, list(removed))
        fit = np.zeros(self.prior.shape)
        regular = self.xx[np.ix_(stays, stays)] + strength * np.eye(stays.sum())
        fit[stays] = np.linalg.solve(
            regular, self.xy[stays] + strength * self.prior[stays]
        )
        error = self.yy - 2 * (fit * self.xy).sum(axis=0)
        error += np.einsum("co,cd,do->o", fit, self.xx, fit)
        penalty = strength * ((fit - self.prior) ** 2).sum(axis=0)
        return ((error + penalty) * np.broadcast_to(self.scale, error.shape) ** 2).sum()

    def cost(self, removed):
        return self.objective(removed) - self.objective([])


ONE_EACH = [0, 1, 2, 3, 4]
SEVERAL_EACH = [0, 1, 2, 3, 0, 1, 2, 3]
SOME_STAY = [-1, 0, 1, -1, 2, 2, 1, 3, -1]


@pytest.mark.parametrize("scale", [1.0, 0.3, np.array([1.0, 2.0, 0.5, 0.1])])
@pytest.mark.parametrize("unit_of", [ONE_EACH, SEVERAL_EACH, SOME_STAY])
def test_every_walk_costs_what_the_fits_lose(unit_of, scale):
    problem = Problem(unit_of, scale=scale)
    game = problem.game()
    for order in itertools.islice(itertools.permutations(range(4)), 0, 24, 5):
        totals = [problem.cost(order[:steps]) for steps in range(5)]
        np.testing.assert_allclose(game.walk(np.array(order)), np.diff(totals))


def test_a_walk_may_end_early():
    problem = Problem(SOME_STAY)
    costs = problem.game().walk(np.array([2, 0]))
    expected = [problem.cost([2]), problem.cost([2, 0]) - problem.cost([2])]
    np.testing.assert_allclose(costs, expected)


def test_any_order_costs_the_same_in_all():
    problem = Problem(SEVERAL_EACH)
    game = problem.game()
    totals = [
        game.walk(np.array(order)).sum() for order in itertools.permutations(range(4))
    ]
    np.testing.assert_allclose(totals, problem.cost(range(4)))
    assert min(totals) > 0


def test_costs_do_not_fall_below_nothing():
    for seed in range(5):
        game = Problem(SEVERAL_EACH, seed=seed).game()
        for order in itertools.permutations(range(4)):
            assert (game.walk(np.array(order)) >= 0).all()


@pytest.mark.parametrize("unit_of", [SEVERAL_EACH, SOME_STAY])
def test_leaving_for_good_is_leaving_first(unit_of):
    problem = Problem(unit_of)
    game, whole = problem.game(), problem.game()
    game.leave([2])
    expected = whole.walk(np.array([2, 3, 0, 1]))[1:]
    np.testing.assert_allclose(game.walk(np.array([3, 0, 1])), expected)
    game.leave([3, 0])
    np.testing.assert_allclose(game.walk(np.array([1])), expected[2:])


def test_all_may_leave():
    problem = Problem(ONE_EACH)
    game = problem.game()
    game.leave([4, 1])
    left = [problem.cost([4, 1, unit]) - problem.cost([4, 1]) for unit in (0, 2, 3)]
    np.testing.assert_allclose(game.leave_one_out(np.array([0, 2, 3])), left)
    game.leave([0, 2, 3])
    np.testing.assert_array_equal(game.leave_one_out(np.arange(5)), np.zeros(5))


@pytest.mark.parametrize("unit_of", [ONE_EACH, SEVERAL_EACH, SOME_STAY])
def test_alone_a_unit_costs_its_saliency(unit_of):
    problem = Problem(unit_of)
    found = problem.game().leave_one_out(np.array([0, 3]))
    np.testing.assert_allclose(found, [problem.cost([0]), problem.cost([3])])
    # Optimal brain surgeon: the fitted weights, by the inverse Hessian.
    strength = RIDGE * np.trace(problem.xx) / len(problem.xx)
    inverse = np.linalg.inv(problem.xx + strength * np.eye(len(problem.xx)))
    fit = inverse @ (problem.xy + strength * problem.prior)
    own = problem.unit_of == 0
    block = np.linalg.inv(inverse[np.ix_(own, own)])
    assert found[0] == pytest.approx(np.trace(fit[own].T @ block @ fit[own]))


@pytest.mark.parametrize("max_bytes", [1, 200, 2**26])
def test_alone_units_of_different_size_in_any_order(max_bytes, monkeypatch):
    monkeypatch.setattr(game, "MAX_BYTES", max_bytes)
    problem, active = Problem(SOME_STAY, num_units=5), np.array([3, 1, 4, 0, 2])
    found = problem.game().leave_one_out(active)
    expected = [problem.cost([unit]) for unit in active]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_alone_among_those_that_are_left():
    problem = Problem(SEVERAL_EACH)
    game = problem.game()
    game.leave([1])
    expected = problem.cost([1, 3]) - problem.cost([1])
    np.testing.assert_allclose(game.leave_one_out(np.array([3])), [expected])


def test_columns_that_always_stay_make_up_for_the_others():
    problem = Problem(SOME_STAY)
    alone = Problem(SOME_STAY)
    left = alone.unit_of >= 0
    alone.unit_of, alone.prior = alone.unit_of[left], alone.prior[left]
    alone.xx, alone.xy = alone.xx[np.ix_(left, left)], alone.xy[left]
    order = np.arange(4)
    assert problem.game().walk(order).sum() < alone.game().walk(order).sum()


def test_a_player_that_nothing_depends_on_costs_nothing():
    problem = Problem(ONE_EACH)
    problem.xx[2, :], problem.xx[:, 2] = 0, 0
    problem.xx[2, 2] = 3.0
    problem.xy[2], problem.prior[2] = 0, 0
    for order in ([2, 0, 1, 3, 4], [0, 1, 2, 3, 4], [4, 3, 1, 0, 2]):
        costs = problem.game().walk(np.array(order))
        assert costs[order.index(2)] == pytest.approx(0, abs=1e-12)
        assert np.delete(costs, order.index(2)).min() > 0.01


def test_a_player_without_columns_costs_nothing():
    problem = Problem([0, 1, 3, 3], num_units=4)
    game = problem.game()
    costs = game.walk(np.array([1, 2, 0, 3]))
    assert costs[1] == 0
    expected = problem.game().walk(np.array([1, 0, 3]))
    np.testing.assert_allclose(np.delete(costs, 1), expected)
    np.testing.assert_array_equal(game.leave_one_out(np.array([2])), [0])
    game.leave([2])
    np.testing.assert_allclose(game.walk(np.array([1, 0, 3])), expected)


def test_one_of_two_equal_channels_is_cheap_and_the_second_is_not():
    problem = Problem(ONE_EACH)
    twice = [0, 1, 2, 3, 0]
    problem.xx = problem.xx[np.ix_(twice, twice)]
    problem.xy, problem.prior = problem.xy[twice], problem.prior[twice] / 2
    problem.prior[[0, 4]] = problem.prior[0]
    game = problem.game(ridge=1e-4)
    alone = game.leave_one_out(np.arange(5))
    assert alone[0] == pytest.approx(alone[4])
    assert alone[0] < 0.01 * alone[1:4].min()
    game.leave([4])
    assert game.leave_one_out(np.array([0]))[0] > 10 * alone[0]
    first, second = Problem(ONE_EACH), game.walk(np.array([0]))[0]
    left = [0, 1, 2, 3]
    first.xx, first.xy = first.xx[np.ix_(left, left)], first.xy[left]
    first.prior, first.unit_of = first.prior[left], np.arange(4)
    single = first.game(ridge=1e-4).walk(np.array([0]))[0]
    assert second == pytest.approx(single, rel=0.02)


def test_the_scale_counts_squared():
    problem = Problem(SEVERAL_EACH)
    order = np.array([1, 0, 3, 2])
    expected = 9 * problem.game().walk(order)
    np.testing.assert_allclose(problem.game(scale=3.0).walk(order), expected)


@pytest.mark.parametrize("num_outputs", [1, 5, 6, 30])
def test_any_number_of_outputs(num_outputs):
    problem = Problem([0, 1, 2, 0, 3], num_outputs)
    order = np.array([2, 0, 3, 1])
    totals = [problem.cost(order[:steps]) for steps in range(5)]
    np.testing.assert_allclose(problem.game().walk(order), np.diff(totals))
    game = problem.game()
    game.leave([2])
    np.testing.assert_allclose(game.walk(order[1:]), np.diff(totals)[1:])


def test_more_outputs_than_columns_are_scaled_before_they_are_summed_up():
    scale = np.linspace(0.1, 2.0, 20)
    problem = Problem(ONE_EACH, 20, scale=scale)
    found = problem.game().leave_one_out(np.arange(5))
    np.testing.assert_allclose(found, [problem.cost([unit]) for unit in range(5)])


def test_inputs_that_never_vary():
    problem = Problem(ONE_EACH)
    problem.xx, problem.xy = np.zeros((5, 5)), np.zeros((5, 4))
    costs = problem.game().walk(np.arange(5))
    np.testing.assert_allclose(costs, 0, atol=1e-12)
