"""Tests of `--checkpoint`: commands that were killed go on."""

import json

import keras
import numpy as np
import pytest
from models import classifier, labelled_images

from keras_shapley_prune.checkpoint import checkpoint as module
from keras_shapley_prune.command_line import main


class Killed(BaseException):
    """Nothing in the package catches it, like SIGKILL."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    classifier().save(tmp_path / "model.keras")
    x, y = labelled_images(20)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kill_at(monkeypatch, place):
    write, count = module.write_entry, []

    def write_or_die(*arguments):
        count.append(None)
        if len(count) == place:
            raise Killed
        write(*arguments)

    monkeypatch.setattr(module, "write_entry", write_or_die)


COMMON = ["model.keras", "--data", "data.npz", "--quiet", "--force"]  # not trained


def test_rank_goes_on(folder, monkeypatch, capsys):
    command = ["rank", *COMMON]
    kept = [*command, "--checkpoint", "run"]
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(Killed):
            main([*kept, "-o", "ours.json"])
    assert main([*kept, "-o", "ours.json"]) == 0
    assert main([*command, "-o", "theirs.json"]) == 0
    ours, theirs = (json.loads((folder / f).read_text()) for f in _RANKINGS)
    assert ours == theirs
    # Of another seed it is another run.
    assert main([*kept, "-o", "ours.json", "--seed", "1"]) == 2
    assert "ranker.seed (was 0, is 1)" in capsys.readouterr().err


_RANKINGS = ("ours.json", "theirs.json")


def test_prune_goes_on_in_each_of_its_plans(folder, monkeypatch):
    command = ["prune", *COMMON, "--ranker", "l1_norm", "--ratio", "0.25", "0.5"]
    kept = [*command, "--checkpoint", "run", "-o", "ours_{ratio}.keras"]
    with monkeypatch.context() as patch:
        kill_at(patch, 3)
        with pytest.raises(Killed):
            main(kept)
    assert not list(folder.glob("ours_*")) and not list(folder.glob(".ours_*"))
    assert main(kept) == 0
    assert main([*command, "-o", "theirs_{ratio}.keras"]) == 0
    for ratio in ("0.25", "0.5"):
        ours, theirs = (
            keras.models.load_model(f"{name}_{ratio}.keras").get_weights()
            for name in ("ours", "theirs")
        )
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_ctrl_c_says_how_to_go_on(folder, monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_shapley_prune.rank.group_loop.play_stages", interrupt)
    command = ["rank", *COMMON, "-o", "ranking.json", "--checkpoint", "run"]
    assert main(command) == 130
    assert "the same call goes on from there" in capsys.readouterr().err
