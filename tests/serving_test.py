"""End to end: a pruned model is saved, exported and served by TensorFlow alone."""

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

folder, examples, answers = sys.argv[1:]
served = tf.saved_model.load(folder)
inputs = dict(np.load(examples))
if len(inputs) == 1:
    (inputs,) = inputs.values()
outputs = tf.nest.flatten(served.serve(inputs))
np.savez(answers, *[tensor.numpy() for tensor in outputs])
assert not {"keras", "keras_shapley_prune"} & set(sys.modules)
'''


def _pruned(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model, 4)
    labels = [np.zeros((4, *t.shape[1:]), "float32") for t in model.outputs]
    labels = labels[0] if len(labels) == 1 else labels
    return prune(model, (inputs, labels), 0.5, loss="mse", verbose=0), inputs


@pytest.mark.parametrize("builder", [models.chain, models.residual, models.two_ends])
def test_a_saved_model_answers_without_keras(builder, tmp_path):
    pruned, inputs = _pruned(builder)
    pruned.export(str(tmp_path / "serving"), verbose=False)
    named = inputs if isinstance(inputs, dict) else {"x": inputs}
    np.savez(tmp_path / "examples.npz", **named)
    answers = tmp_path / "answers.npz"
    result = subprocess.run(
        [
            *(sys.executable, "-c", SERVE, str(tmp_path / "serving")),
            *(str(tmp_path / "examples.npz"), str(answers)),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    served = np.load(answers)
    for ours, theirs in zip(
        served.values(), models.outputs_of(pruned, inputs), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


STORABLE = [b for b in models.BUILDERS if b is not models.locked]


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


def test_a_compiled_model_is_compiled_when_it_is_loaded(tmp_path):
    x, y = models.labelled_images(16)
    pruned = prune(models.classifier(), (x, y), 0.5, verbose=0)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(
        pruned.evaluate(x, y, verbose=0), rel=1e-5
    )
    loaded.fit(x, y, verbose=0)
