"""Tests of pieces as files, and of the script that times them."""

import contextlib
import io
import json
import pathlib
import re
import subprocess
import sys

import keras
import pytest
from bars import check_whole, labels_of
from keras import layers

import keras_shapley_prune as ksp
from keras_shapley_prune.latency.time_pieces import main

pytest.importorskip("ai_edge_litert")


@pytest.fixture(scope="module")
def model():
    """A network of two layers, of few sizes."""
    inputs = keras.Input((8,))
    x = layers.Dense(4, activation="relu")(layers.Dense(4)(inputs))
    return keras.Model(inputs, layers.Dense(2)(x))


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    """Its pieces, and what was printed as they were written."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        path = tmp_path_factory.mktemp("latency") / "new"
        folder = ksp.write_latency_pieces(model, path)
    return folder, printed.getvalue()


@pytest.fixture(scope="module")
def folder(written):
    return written[0]


def test_what_the_script_writes_is_a_table_of_the_model(model, folder, tmp_path):
    path = tmp_path / "table.json"
    main(["--folder", str(folder), "--seconds", "0.1", "--output", str(path)])
    table = ksp.LatencyTable.load(path)
    table.check(ksp.trace_channels(model))
    assert all(seconds > 0 for seconds in table.whole)
    assert table.runtime is None and "float32, batch of 1, 1 thread" in (
        table.description
    )
    assert ksp.PruningBudget(0.5, "latency", target=path).target == path


def test_a_bar_or_silence(written, tmp_path, capsys):
    _, bar = written
    check_whole(bar)
    assert re.fullmatch(r"writing pieces, 1 of \d+", labels_of(bar)[0])
    small = keras.Sequential([keras.Input((2,)), layers.Dense(2), layers.Dense(1)])
    ksp.write_latency_pieces(small, tmp_path / "silent", verbose=0)
    assert capsys.readouterr().out == ""


def test_files_that_are_alike_are_written_once(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    found = sorted(path.name for path in folder.glob("*.tflite"))
    assert found == manifest["files"]
    used = [n for numbers in manifest["pieces"].values() for n in numbers]
    assert len(set(used)) < len([n for n in used if n is not None])


def test_the_script_needs_no_keras(folder, tmp_path):
    # Neither Keras nor this package can be imported where it runs.
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['keras', 'tensorflow', "
        "'keras_shapley_prune']));"
        f"sys.argv = ['x', '--seconds', '0', '--output', {str(tmp_path / 't')!r}];"
        f"import runpy; runpy.run_path({str(folder / 'time_pieces.py')!r}, "
        "run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert "files timed" in done.stdout, done.stderr
    assert pathlib.Path(tmp_path / "t").exists()


@pytest.mark.slow
def test_int8(model, tmp_path):
    pytest.importorskip("litert_quantizer")
    folder = ksp.write_latency_pieces(model, tmp_path, int8=True)
    main(["--folder", str(folder), "--seconds", "0", "--output", str(tmp_path / "t")])
    assert "int8" in ksp.LatencyTable.load(tmp_path / "t").description
