"""The shorter examples, on few epochs; `quickstart_test.py` runs the quickstart.

Most run nightly (`slow`): by default one tutorial, `own_layer`, and the quickstart.
"""

import json
import re
import urllib.error

import keras
import numpy as np
import pytest
import scripts
from scripts import EXAMPLES, TUTORIALS

from keras_shapley_prune.layer_types import registry

pytest.importorskip("sklearn", reason='needs pip install ".[examples]"')


def load(name):
    return scripts.load(EXAMPLES / f"{name}.py")


def kept_output(name):
    return (EXAMPLES / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_int8_microcontroller(tmp_path, capsys):
    for package in ("ai_edge_litert.interpreter", "litert_quantizer"):
        pytest.importorskip(package, reason='needs pip install ".[litert]"')
    example = load("int8_microcontroller")
    example.main(["--epochs=3", "--filters=8", f"--output={tmp_path}"])
    printed = capsys.readouterr().out
    files = ("original float32", "original int8", "pruned float32", "pruned int8")
    for name in files:
        row = re.compile(rf"^{name} +([\d,]+) +[\d.]+% +[\d.]+$", re.M)
        (size,) = row.findall(printed)
        path = tmp_path / f"{name.replace(' ', '_')}.tflite"
        assert int(size.replace(",", "")) == path.stat().st_size
        assert row.search(kept_output("int8_microcontroller"))
    content = (tmp_path / "pruned_int8.tflite").read_bytes()
    source = (tmp_path / "digits_model.h").read_text()
    assert f"[{len(content)}]" in source
    assert bytes(int(x, 16) for x in re.findall(r"0x(\w\w)", source)) == content


@pytest.mark.slow
def test_serve_savedmodel(tmp_path, capsys):
    example = load("serve_savedmodel")
    example.main(["--epochs=1", f"--output={tmp_path}"])
    printed = capsys.readouterr().out
    assert (tmp_path / "digits" / "1" / "saved_model.pb").exists()
    for text in (printed, kept_output("serve_savedmodel")):
        assert "takes image: float32 (None, 8, 8, 1)" in text
        response = text.split("digits:predict\n")[1].split("\nclasses")[0]
        predictions = json.loads(response)["predictions"]
        np.testing.assert_allclose(np.sum(predictions, -1), [1, 1], atol=1e-5)
    difference = float(re.search(r"to Keras: (\S+)", printed)[1])
    assert difference < 1e-5


@pytest.mark.slow
def test_multi_worker(tmp_path, capfd):
    load("multi_worker").main(["--epochs=1", f"--folder={tmp_path}"])
    for text in (capfd.readouterr().out, kept_output("multi_worker")):
        assert text.startswith("2 workers\nShapley values of the loss")
        assert "200 examples, 32,600 evaluations" in text
        counts = re.findall(r"^(?:original|pruned) +([\d,]+) FLOPs", text, re.M)
        original, pruned = (int(count.replace(",", "")) for count in counts)
        assert abs(pruned / original - 0.5) < 0.01
    assert (tmp_path / "pruned.keras").exists()
    assert (tmp_path / "ranking" / "checkpoint.json").exists()


@pytest.mark.slow
def test_own_layer(monkeypatch, capsys):
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    load("own_layer").main(["--epochs=1"])
    printed = capsys.readouterr().out
    for text in (printed, kept_output("own_layer")):
        before, after = text.split("Locked after:")
        for layer in ("UnitConvolution", "LoudConv2D"):
            assert f"{layer} is not a registered layer" in before
        assert after.startswith("\nclasses  model output\n\n")
        assert re.search(
            r"^stem +32 → +16\nunit +48 → +24\nloud +48 → +24$", after, re.M
        )
        assert "A wrong declaration: Expected the pruned model to compute" in after


@pytest.mark.slow
def test_iterative_pruning(capsys):
    load("iterative_pruning").main(
        ["--epochs=1", "--fit-epochs=1", "--rounds=2", "--target=0.25"]
    )
    row = r"^{} +([\d.]+)% +[\d,]+ +[\d.]+% +[\d.]+%$"
    for text, last, target in (
        (capsys.readouterr().out, 2, 25),
        (kept_output("iterative_pruning"), 4, 5),
    ):
        for name in (f"round {last}", "one cut", "one cut, labels only"):
            (share,) = re.findall(row.format(name), text, re.M)
            assert float(share) == pytest.approx(target, abs=1.5)
        (first,) = re.findall(row.format("round 1"), text, re.M)
        assert target < float(first) < 100


@pytest.mark.slow
def test_hundred_images(capsys):
    load("hundred_images").main(["--epochs=1", "--images=16", "--ratios", "0.5"])
    for text in (capsys.readouterr().out, kept_output("hundred_images")):
        assert re.search(r"^(49|50)\.\d% +[\d,]+ +[\d.]+% +[\d.]+%$", text, re.M)
        assert "The same class on 98%" in text


@pytest.mark.slow
def test_flops_budget(capsys):
    load("flops_budget").main(["--epochs=1", "--ratio=0.7"])
    for text in (capsys.readouterr().out, kept_output("flops_budget")):
        shares = dict(
            re.findall(r"^(\D[\w, ]*?) +([\d.]+)% +[\d,]+ +[\d.]+%$", text, re.M)
        )
        for name in ("layer", "global", "global, 8 at least"):
            assert float(shares[name]) == pytest.approx(30, abs=1.5)
        assert float(shares["multiples of 8"]) >= float(shares["global"])


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Serves a model of two inputs and two outputs by the example's small server."""
    inputs = [keras.Input((2,), name="a"), keras.Input((2,), name="b")]
    outputs = {"sum": inputs[0] + inputs[1], "double": 2 * inputs[0]}
    example = load("serve_savedmodel")
    folder = tmp_path_factory.mktemp("served")
    path = example.export(keras.Model(inputs, outputs), folder, version=3)
    assert path == folder / "digits" / "3"
    with example.small_server(path) as address:
        yield lambda end, *request: example.ask(address + end, *request)


def test_requests_of_several_inputs(address):
    instances = [{"a": [1, 2], "b": [3, 4]}, {"a": [0, 0], "b": [1, 1]}]
    response = address("/v1/models/digits:predict", {"instances": instances})
    assert response == {
        "predictions": [
            {"sum": [4.0, 6.0], "double": [2.0, 4.0]},
            {"sum": [1.0, 1.0], "double": [0.0, 0.0]},
        ]
    }
    (version,) = address("/v1/models/digits")["model_version_status"]
    assert version == {"version": "3", "state": "AVAILABLE"}


@pytest.mark.parametrize(
    ("end", "request_", "status"),
    [
        ("digits:predict", {"instances": [{"a": [1, 2]}]}, 400),
        ("digits:predict", {"instances": []}, 400),
        ("digits:predict", {"examples": []}, 400),
        ("digits:predict", {"instances": [{"a": "x", "b": [1, 2]}]}, 400),
        ("others:predict", {"instances": []}, 404),
    ],
)
def test_wrong_requests_are_told_what_is_wrong(address, end, request_, status):
    with pytest.raises(urllib.error.HTTPError) as raised:
        address(f"/v1/models/{end}", request_)
    assert raised.value.code == status
    assert json.loads(raised.value.read())["error"]


@pytest.mark.parametrize("name", ["int8_microcontroller", "serve_savedmodel"])
def test_wrong_ratio_ends_before_anything_is_done(name, tmp_path, capsys):
    if name == "int8_microcontroller":
        pytest.importorskip("ai_edge_litert", reason='needs pip install ".[litert]"')
    output = tmp_path / "output"
    with pytest.raises(SystemExit):
        load(name).main(["--ratio=1", f"--output={output}"])
    assert "[0, 1)" in capsys.readouterr().err
    assert not output.exists()


def test_every_example_has_its_output_beside_it():
    shown = {path.stem for path in EXAMPLES.glob("*.txt")}
    assert set(TUTORIALS) - {"quickstart"} == shown
