"""End to end: a pruned model is saved, exported, and served without Keras."""

import os
import subprocess
import sys

import keras
import models
import numpy as np
import pytest

from keras_shapley_prune import prune, remove_channels, trace_channels

SERVE = '''
import sys


class Hidden:
    """Finds what a finder finds, as if Keras and this package were not installed."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("keras", "keras_shapley_prune", "tf_keras"):
            return None
        return self.finder.find_spec(name, path, target)


sys.meta_path = [Hidden(finder) for finder in sys.meta_path]
for name in ("keras", "keras_shapley_prune"):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(f"{name} could be imported")

import numpy as np
import tensorflow as tf

for folder in sys.argv[1:]:
    served = tf.saved_model.load(folder + "/serving")
    inputs = dict(np.load(folder + "/examples.npz"))
    if len(inputs) == 1:
        (inputs,) = inputs.values()
    outputs = tf.nest.flatten(served.serve(inputs))
    np.savez(folder + "/answers.npz", *[tensor.numpy() for tensor in outputs])
assert not {"keras", "keras_shapley_prune"} & set(sys.modules)
'''

# OpenVINO reads a SavedModel by itself.
SERVE_WITHOUT_TENSORFLOW = """
import sys
import numpy as np
import openvino

core = openvino.Core()
for folder in sys.argv[1:]:
    model = core.read_model(folder + "/serving")
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    inputs = dict(np.load(folder + "/examples.npz"))
    if len(inputs) == 1:
        (inputs,) = inputs.values()
    returned = compiled(inputs)
    outputs = sorted(compiled.outputs, key=lambda output: output.get_any_name())
    np.savez(folder + "/answers.npz", *[returned[output] for output in outputs])
assert not {"keras", "keras_shapley_prune", "tensorflow"} & set(sys.modules)
"""


def _pruned(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model, 4)
    return prune(model, inputs, 0.5, ranker="l1_norm", verbose=0), inputs


SERVED = (models.chain, models.residual, models.two_ends)


@pytest.mark.slow
def test_saved_models_answer_without_keras(tmp_path):
    _check_answers(SERVE, SERVED, tmp_path)


@pytest.mark.parametrize(
    "builders",
    [(models.two_ends,), pytest.param(SERVED, marks=pytest.mark.slow)],
    ids=["one", "all"],
)
def test_saved_models_answer_without_tensorflow(builders, tmp_path):
    pytest.importorskip("openvino", reason="needs pip install openvino")
    _check_answers(SERVE_WITHOUT_TENSORFLOW, builders, tmp_path)


def _check_answers(program, builders, tmp_path):
    """Asserts that a program answers for pruned models as Keras does."""
    expected = {}
    for builder in builders:
        pruned, inputs = _pruned(builder)
        folder = tmp_path / builder.__name__
        pruned.export(str(folder / "serving"), verbose=False)
        named = inputs if isinstance(inputs, dict) else {"x": inputs}
        np.savez(folder / "examples.npz", **named)
        expected[folder] = models.outputs_of(pruned, inputs)
    result = subprocess.run(
        [sys.executable, "-c", program, *map(str, expected)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    for folder, outputs in expected.items():
        served = list(np.load(folder / "answers.npz").values())
        assert models.relative_difference(served, outputs) < 1e-4


STORABLE = [b for b in models.BUILDERS if b is not models.locked]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", STORABLE)
def test_saved_equals_loaded(builder, tmp_path):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    keep = models.random_keep(trace_channels(model), 0.5)
    pruned = remove_channels(model, keep)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    for ours, theirs in zip(
        models.outputs_of(loaded, inputs),
        models.outputs_of(pruned, inputs),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert loaded.count_params() == pruned.count_params()


@pytest.mark.eager
def test_a_compiled_model_is_compiled_when_it_is_loaded(tmp_path):
    x, y = models.labelled_images(16)
    pruned = prune(models.classifier(), (x, y), 0.5, ranker="l1_norm", verbose=0)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(
        pruned.evaluate(x, y, verbose=0), rel=1e-5
    )
    loaded.fit(x, y, verbose=0)
