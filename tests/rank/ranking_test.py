"""Tests of the result of a ranker."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking import Ranking


def _ranking():
    generator = np.random.default_rng(0)
    groups = {
        name: GroupScores(generator.normal(size=n), generator.uniform(size=n), 10 * n)
        for name, n in (("stem", 4), ("block/conv", 6))
    }
    return Ranking(groups, "Some values", 32, {"logits": "model output"})


def test_it_is_a_mapping():
    ranking = _ranking()
    assert list(ranking) == ["stem", "block/conv"]
    assert len(ranking) == 2
    assert "stem" in ranking
    assert ranking["stem"].values.shape == (4,)
    assert ranking.num_evaluations == 100
    with pytest.raises(KeyError):
        ranking["tail"]


@pytest.mark.parametrize("as_type", [str, Path])
def test_saved_equals_loaded(tmp_path, as_type):
    path = tmp_path / "ranking.json"
    ranking = _ranking()
    ranking.save(as_type(path))
    loaded = Ranking.load(as_type(path))
    assert list(loaded) == list(ranking)
    assert loaded.method == ranking.method
    assert loaded.num_examples == 32
    assert loaded.locks == ranking.locks
    assert str(loaded) == str(ranking)
    for name, scores in ranking.items():
        np.testing.assert_array_equal(loaded[name].values, scores.values)
        np.testing.assert_array_equal(
            loaded[name].standard_errors, scores.standard_errors
        )
        assert loaded[name].num_evaluations == scores.num_evaluations
    assert list(tmp_path.iterdir()) == [path]
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()


def test_unknown_standard_errors_are_saved_as_plain_json(tmp_path):
    scores = GroupScores(np.zeros(2), np.full(2, np.inf), 3)
    path = tmp_path / "ranking.json"
    Ranking({"one": scores}, "m", 1).save(path)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    json.loads(path.read_text(), parse_constant=refuse)
    assert np.isinf(Ranking.load(path)["one"].standard_errors).all()


def test_it_prints_groups_and_locks():
    text = str(_ranking())
    assert "Some values: 32 examples, 100 evaluations" in text
    scores = _ranking()["block/conv"]
    (line,) = [line for line in text.splitlines() if line.startswith("block/conv")]
    low, middle, high = np.quantile(scores.values, [0, 0.5, 1])
    for value in ("6", f"{low:.3g}", f"{middle:.3g}", f"{high:.3g}"):
        assert value in line.split()
    assert "logits      locked: model output" in text
    assert len({len(s) for s in text.splitlines()[1:4]}) == 1  # columns line up


def test_it_prints_what_is_known_of_units_that_were_not_sampled():
    groups = {
        "some": GroupScores([3.0, 1.0, 2.0, np.nan], [0.5, np.inf, 0.3, np.inf], 8),
        "none": GroupScores([np.nan] * 2, [np.inf] * 2, 0),
        "all": GroupScores([5.0, 7.0], [0.0, 0.2], 8),
    }
    text = str(Ranking(groups, "m", 4))
    head, some, none, every = (line.split() for line in text.splitlines()[1:5])
    assert head[:3] == ["group", "units", "sampled"]
    assert some == ["some", "4", "2", "1", "2", "3", "0.4"]
    assert none == ["none", "2", "0", "-", "-", "-", "-"]
    assert every == ["all", "2", "2", "5", "6", "7", "0.1"]
    assert "not sampled: units that are kept" in text
    assert "inf" not in text.replace("info", "") and "nan" not in text
    assert "sampled" not in str(Ranking({"all": groups["all"]}, "m", 4))


@pytest.mark.parametrize("costs", [None, "readers", "outputs"])
def test_what_costs_are_counted_in_is_kept(tmp_path, costs):
    whole = Ranking(dict(_ranking()), "m", 32, costs=costs)
    whole.save(tmp_path / "ranking.json")
    assert Ranking.load(tmp_path / "ranking.json").costs == costs
    assert (whole | whole).costs == costs
    with pytest.raises(ValueError, match="costs="):
        whole | Ranking({}, "m", 32, costs="outputs" if costs is None else None)


@pytest.mark.parametrize("content", ["[1, 2]", '{"format": "other"}', "{}"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"`Ranking.save` wrote.*other\.json"):
        Ranking.load(path)


# --- rankings of parts -------------------------------------------------------------


def _part(*names, **fields):
    whole = _ranking()
    groups = {name: whole[name] for name in names}
    settings = {"method": whole.method, "num_examples": 32, "locks": whole.locks}
    return Ranking(groups, **{**settings, **fields})


def test_parts_add_up_to_the_whole():
    union = _part("stem") | _part("block/conv", "stem")
    assert list(union) == ["stem", "block/conv"]
    assert str(union) == str(_ranking())
    assert len(_part("stem")) == 1  # what is put together does not change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": "Other values"}, "method='Some values' and method='Other values'"),
        ({"num_examples": 31}, "num_examples=32 and num_examples=31"),
        ({"locks": {}}, "and locks={}"),
        ({"comparable": False}, "comparable=True and comparable=False"),
    ],
)
def test_parts_of_different_rankings_do_not_add_up(change, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        _part("stem") | _part("block/conv", **change)


def test_two_results_of_one_group_do_not_add_up():
    other = _part("stem")
    other["stem"].values[2] += 1e-9
    with pytest.raises(ValueError, match="different scores of group 'stem'"):
        _part("stem") | other


def test_only_rankings_add_up():
    with pytest.raises(TypeError):
        _ranking() | {}
