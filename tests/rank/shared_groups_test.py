"""Tests of who ranks which group, and of workers that are killed meanwhile."""

import numpy as np
import pytest
import spread
import spread_killed_rank

from keras_shapley_prune.devices.workers import Workers
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.shared_groups import assign_groups, exchange_scores


class Alone(Workers):
    """One of several workers, whose sums are its own."""

    def sum(self, *arrays):
        return list(arrays)


def test_every_group_has_one_owner_and_loads_are_even():
    owners = assign_groups([5.0, 1.0, 1.0, 1.0, 1.0, 1.0], Alone(None, 2, 0))
    assert owners[0] != owners[1] and set(owners[1:]) == {owners[1]}
    assert assign_groups([], Alone(None, 2, 0)) == []


@pytest.mark.parametrize("costs", [None, np.array([0.0, 2.5, 1.0])])
def test_scores_are_the_same_after_the_exchange(costs):
    class Group:
        name, num_units = "conv", 3

    values, errors = np.array([0.5, np.nan, -1.0]), np.array([0.1, np.inf, 0.2])
    scores = GroupScores(values, errors, 2**40, np.array([1, 3, 0]), costs)
    (found,) = exchange_scores({"conv": scores}, [Group], Alone(None, 2, 0)).values()
    assert found.equals(scores)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("game", "which"),
    [("loss", 0), ("loss", 1), ("default", 0), ("default", 1)],
)
def test_a_killed_worker_ends_the_others_and_the_same_run_goes_on(
    game, which, tmp_path
):
    folder = tmp_path / "run"
    run = "spread_killed_rank", tmp_path, "workers-2", game, str(folder)
    processes = spread.start_all(*run)
    entry = folder / "group-00000.npz"
    (text,) = spread.kill_one(processes, which, entry.exists)
    assert "WorkerLostError: Expected all workers to run to the end" in text
    assert f"kept in {str(folder)!r}" in text
    kept = entry.read_bytes()
    spread.finish(spread.start_all(*run))
    assert entry.read_bytes() != kept or game == "default"
    found, expected = spread.load(tmp_path, "workers-2"), spread_killed_rank.main(game)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-8)
