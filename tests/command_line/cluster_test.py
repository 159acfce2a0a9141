"""Tests of commands that several processes share."""

import argparse
import json

import keras
import numpy as np
import pytest
import spread
import tensorflow as tf
from models import classifier, labelled_images

from keras_shapley_prune.command_line import main
from keras_shapley_prune.command_line.cluster import Cluster

TWO = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    classifier().save(tmp_path / "model.keras")
    x, y = labelled_images(20)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"cluster": {"worker": ["a:1"]}}', '{"cluster": [1], "task": {}}'],
)
def test_a_config_that_cannot_be_read(text, folder, monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", text)
    command = ["rank", "model.keras", "--data", "data.npz", "-o", "r.json"]
    assert main(command) == 2
    assert "TF_CONFIG should hold JSON" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", '{"task": {"type": "worker"}}'])
def test_one_process_needs_no_strategy(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    options = argparse.Namespace(quiet=False)
    cluster = Cluster(options)
    assert cluster.workers.count == 1
    with cluster.scope(), cluster.writing() as is_chief:
        assert is_chief
    assert not options.quiet


def test_prune_until_runs_alone(folder, monkeypatch, capsys):
    config = {"cluster": TWO, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    command = ["prune-until", "model.keras", "--data", "data.npz", "-o", "p.keras"]
    assert main([*command, "--max-drop", "0.1"]) == 2
    assert "TF_CONFIG with 2 workers" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["rank", "prune"])
def test_two_processes_write_what_one_does(command, folder):
    suffix = {"rank": "json", "prune": "keras"}[command]
    options = ["model.keras", "--data", "data.npz", "--force", "--checkpoint", "run"]
    if command == "prune":
        options += ["--export", "saved", "--report", "report.json"]
    run = "spread_command", folder, "command-2", command, *options, "-o"
    outputs = spread.finish(spread.start_all(*run, f"two.{suffix}"))
    # The first one alone says what has been written.
    assert [f"wrote two.{suffix}" in text for text in outputs] == [True, False]
    expected = folder / f"one.{suffix}"
    options = ["model.keras", "--data", "data.npz", "--force", "-qo", str(expected)]
    assert main([command, *options]) == 0
    if command == "rank":
        two, one = (
            json.loads((folder / f"{n}.json").read_text()) for n in ("two", "one")
        )
        for name, group in one["groups"].items():
            found = two["groups"][name]["values"]
            np.testing.assert_allclose(found, group["values"], rtol=1e-6, atol=1e-8)
        return
    x, _ = labelled_images(20)
    models = [keras.models.load_model(folder / f"{n}.keras") for n in ("two", "one")]
    two, one = (model.predict(x, verbose=0) for model in models)
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
    saved = tf.saved_model.load(folder / "saved")
    np.testing.assert_allclose(saved.serve(x), two, rtol=1e-5, atol=1e-6)
    assert (folder / "report.json").exists()
