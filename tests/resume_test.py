"""Tests of runs that go on where another process was killed.

How many of the killed processes of each phase end bit-equal is printed by

    python tests/killed_runs.py
"""

import re

import killed_runs
import models
import numpy as np
import pytest
from killed_runs import are_equal, build, kill_at_random, prune_it

import keras_shapley_prune as ksp
from keras_shapley_prune.checkpoint import checkpoint as checkpoint_module
from keras_shapley_prune.trace import batches


class Killed(BaseException):
    """Nothing in the package catches it, like SIGKILL."""


@pytest.fixture(autouse=True)
def as_often(monkeypatch):
    """Running sums are written as often as before, once a test has ended."""
    monkeypatch.setattr(checkpoint_module, "SECONDS", checkpoint_module.SECONDS)


@pytest.fixture
def kill_at(monkeypatch):
    """Returns a function that kills a run as it writes entries of a kind.

    It takes the beginning of their names, and at which of them the run is killed: at an
    odd one before it is written, at an even one behind it. `None` for none.
    """
    write, count, place = checkpoint_module.write_entry, [0], [None]
    monkeypatch.setattr(checkpoint_module, "SECONDS", 0.0)

    def write_or_die(path, content, run):
        kind, number = place[0] or ("none", 0)
        count[0] += path.name.startswith(kind)
        dies = path.name.startswith(kind) and count[0] == number
        if dies and number % 2:
            raise Killed
        write(path, content, run)
        if dies:
            raise Killed

    monkeypatch.setattr(checkpoint_module, "write_entry", write_or_die)

    def set_place(kind=None, number=1):
        count[0], place[0] = 0, None if kind is None else (kind, number)

    return set_place


def go_on_to_the_end(run, kill_at, places):
    """Runs something, killed on the way again and again; returns what it returns."""
    for place in places:
        kill_at(*place)
        with pytest.raises(Killed):
            run()
    kill_at()
    return run()


@pytest.mark.parametrize(
    "arguments",
    [
        {"repair": "least_squares"},
        pytest.param({}, marks=pytest.mark.slow),
        pytest.param({"scope": "global", "repair": None}, marks=pytest.mark.slow),
        pytest.param(
            {"ranker": ksp.ShapleyRanker(sequential=True), "repair": None},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"ranker": "geometric_median", "repair": "mean"}, marks=pytest.mark.slow
        ),
        pytest.param(
            {"ranker": "geometric_median", "repair": "batchnorm"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_that_is_killed_again_and_again_ends_bit_equal(
    tmp_path, kill_at, arguments
):
    expected = prune_it(**arguments).get_weights()
    ranker, repair = arguments.get("ranker"), arguments.get("repair", "mimic")
    places = [] if ranker == "geometric_median" else [("ranking", 4), ("ranking", 9)]
    if repair == "batchnorm":  # there is one
        places += [("repair", 1)]
    elif repair is not None:
        places += [("repair", 2), ("repair", 1)]
    if repair == "mimic":
        places += [("mimic", number) for number in (1, 8, 13)]
    found = go_on_to_the_end(
        lambda: prune_it(str(tmp_path), **arguments), kill_at, places
    )
    assert are_equal(found.get_weights(), expected)
    # What is finished is not done again.
    kill_at("")
    again = prune_it(str(tmp_path), **arguments)
    assert are_equal(again.get_weights(), expected)


@pytest.mark.slow
def test_what_is_compiled_ends_bit_equal(tmp_path, kill_at, monkeypatch):
    """Data in many batches: networks are run in stretches that are compiled."""
    monkeypatch.setattr(batches, "LARGEST_BYTES", 5_000)
    arguments = {"num_steps": 4}
    expected = prune_it(**arguments).get_weights()
    run = lambda: prune_it(str(tmp_path), **arguments)  # noqa: E731
    found = go_on_to_the_end(
        run, kill_at, [("ranking", 4), ("repair", 2), ("mimic", 2)]
    )
    assert are_equal(found.get_weights(), expected)


def scores_of(ranking):
    return [value for found in ranking.values() for value in found.to_arrays().values()]


@pytest.mark.eager
@pytest.mark.parametrize(
    "ranker",
    [
        ksp.ShapleyRanker("kl", "gradient", batch_size=5, stages=3),
        pytest.param(
            ksp.ShapleyRanker(
                ksp.games.KL("mean"),
                ksp.estimators.Permutation(num_draws=2, window=0.5),
                batch_size=4,
            ),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ksp.ShapleyRanker("kl", "corrected_gradient", batch_size=5),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ksp.ShapleyRanker("kl", ksp.estimators.Adaptive(3), batch_size=4),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ksp.ShapleyRanker("kl", sequential=True, batch_size=4),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ksp.ShapleyRanker(
                "kl", stop=ksp.StopWhen(evaluations=900), batch_size=4, stages=2
            ),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ksp.BaselineRanker("greedy_backward", "kl", batch_size=12),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_rankings_that_are_killed_end_bit_equal(tmp_path, kill_at, ranker):
    model, images = build()
    expected = ranker.rank(model, images, verbose=0)

    def run():
        return ranker.rank(model, images, verbose=0, checkpoint=tmp_path)

    found = go_on_to_the_end(run, kill_at, [("group", 3), ("group", 6)])
    for ours, theirs in zip(scores_of(found), scores_of(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.eager
def test_the_ranking_and_the_plan_can_be_read(tmp_path):
    pruned = prune_it(str(tmp_path), repair=None)
    model, images = build()
    ranking = ksp.Ranking.load(tmp_path / "ranking.json")
    plan = ksp.PruningPlan.load(tmp_path / "plan.json", model)
    for again in (
        prune_it(ranker=ranking, repair=None),
        ksp.apply_plan(model, plan, images, repair=None, verbose=0),
    ):
        assert are_equal(again.get_weights(), pruned.get_weights())


class OwnRanker:
    """A user's ranker, which knows of no checkpoint."""

    calls = 0

    def rank(self, *arguments, **options):
        OwnRanker.calls += 1
        return ksp.BaselineRanker("l1_norm").rank(*arguments, **options)


@pytest.mark.eager
def test_the_ranking_of_a_user_s_ranker_is_kept_as_a_whole(tmp_path, kill_at):
    calls = OwnRanker.calls
    arguments = {"ranker": OwnRanker(), "repair": "mean"}
    run = lambda: prune_it(str(tmp_path), **arguments)  # noqa: E731
    go_on_to_the_end(run, kill_at, [("repair", 1), ("repair", 2)])
    assert OwnRanker.calls == calls + 1


# --- what is refused ---------------------------------------------------------------


@pytest.mark.eager
def test_another_run_is_refused_before_anything_is_ranked(tmp_path):
    prune_it(str(tmp_path), ranker="l1_norm", repair=None)
    for change, named in (
        ({"ranker": "l2_norm"}, 'ranker.criterion (was "l1_norm", is "l2_norm")'),
        ({"repair": "mean"}, 'repair (was null, is "mean")'),
        ({"scope": "global"}, 'budget.scope (was "layer", is "global")'),
    ):
        with pytest.raises(ValueError, match=re.escape(named)):
            prune_it(str(tmp_path), **({"ranker": "l1_norm", "repair": None} | change))


@pytest.mark.eager
def test_a_function_that_selects_other_layers_is_refused(tmp_path):
    quick = {"ranker": "l1_norm", "repair": None}
    names = [group.name for group in ksp.trace_channels(build()[0]).groups]
    first = prune_it(
        str(tmp_path), layers=lambda layer: layer.name == names[0], **quick
    )
    # What it selects counts, and not how it is written.
    again = prune_it(
        str(tmp_path), layers=lambda layer: names[0] == layer.name, **quick
    )
    assert are_equal(first.get_weights(), again.get_weights())
    named = f'budget.layers (was ["{names[0]}"], is ["{names[1]}"])'
    with pytest.raises(ValueError, match=re.escape(named)):
        prune_it(str(tmp_path), layers=lambda layer: layer.name == names[1], **quick)


@pytest.mark.eager
def test_a_damaged_entry_is_an_error_that_names_it(tmp_path):
    prune_it(str(tmp_path), ranker="l1_norm", repair="mean")
    path = next(tmp_path.glob("repair-layer-*.npz"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=path.name):
        prune_it(str(tmp_path), ranker="l1_norm", repair="mean")
    path.unlink()  # without it, the layer is repaired again
    prune_it(str(tmp_path), ranker="l1_norm", repair="mean")


# --- Ctrl-C ------------------------------------------------------------------------


def interrupt(*arguments, **options):
    raise KeyboardInterrupt


@pytest.mark.eager
@pytest.mark.parametrize("kept", [True, False])
def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch, kept):
    folder = str(tmp_path) if kept else None
    expected = f"kept in '{tmp_path}'" if kept else "With the argument `checkpoint`"
    monkeypatch.setattr("keras_shapley_prune.rank.group_loop.play_stages", interrupt)
    with pytest.raises(KeyboardInterrupt, match=re.escape(expected)):
        prune_it(folder)


@pytest.mark.slow
def test_a_training_goes_on_after_ctrl_c(tmp_path, monkeypatch):
    expected = prune_it(num_steps=9, ranker="l1_norm").get_weights()
    with monkeypatch.context() as patch:
        patch.setattr("keras_shapley_prune.repair.training.Training._check", interrupt)
        with pytest.warns(UserWarning, match=r"after 9 steps: the best .* kept in '"):
            prune_it(str(tmp_path), num_steps=9, ranker="l1_norm")
    found = prune_it(str(tmp_path), num_steps=9, ranker="l1_norm")
    assert are_equal(found.get_weights(), expected)


def test_a_plan_goes_on_as_well(tmp_path, kill_at):
    model, images = build()
    ranking = ksp.BaselineRanker("l1_norm").rank(model)
    plan, other = (ksp.plan_pruning(model, ranking, ratio) for ratio in (0.5, 0.4))
    expected = ksp.apply_plan(model, plan, images, verbose=0)

    def run():
        return ksp.apply_plan(model, plan, images, verbose=0, checkpoint=tmp_path)

    found = go_on_to_the_end(run, kill_at, [("repair", 2), ("repair", 1)])
    assert are_equal(found.get_weights(), expected.get_weights())
    with pytest.raises(ValueError, match="differs in: keep"):
        ksp.apply_plan(model, other, images, verbose=0, checkpoint=tmp_path)


# --- rankings of parts -------------------------------------------------------------


def test_rankings_of_parts_add_up(tmp_path):
    model = models.fresh(models.chain)
    images = models.images(model, 12)
    ranker = ksp.ShapleyRanker()
    whole = ranker.rank(model, images, verbose=0)
    for name, layers in (("a", "conv1"), ("b", ["conv2", "dense1"])):
        part = ranker.rank(model, images, layers, verbose=0)
        part.save(tmp_path / f"{name}.json")
    parts = [ksp.Ranking.load(tmp_path / f"{name}.json") for name in "ab"]
    union = parts[0] | parts[1]
    assert set(union) == set(whole)
    assert union.num_evaluations == whole.num_evaluations
    plans = [ksp.plan_pruning(model, found, 0.4) for found in (union, whole)]
    np.testing.assert_array_equal(plans[0].keep, plans[1].keep)
    union.save(tmp_path / "union.json")
    loaded = ksp.Ranking.load(tmp_path / "union.json")
    assert str(loaded) == str(union)


# --- real processes ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("phase", killed_runs.PHASES)
def test_ten_killed_processes_of_each_phase_end_bit_equal(tmp_path, phase):
    found = list(kill_at_random(killed_runs.Processes(), str(tmp_path), phase, 10))
    assert [same for *_, same in found] == [True] * 10


@pytest.mark.slow
def test_a_killed_process_ends_bit_equal(tmp_path):
    processes = killed_runs.Processes()
    arguments = {"num_steps": 9, "ranker": "l1_norm"}
    folder = str(tmp_path / "run")
    assert processes.kill(folder, "mimic", 3, **arguments) == "mimic"
    found, _ = processes.run(folder, f"{folder}.npz", **arguments)
    assert are_equal(found, prune_it(**arguments).get_weights())
