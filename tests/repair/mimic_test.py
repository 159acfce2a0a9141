import functools
import sys

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from bars import drawn
from students import halve, small

from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.repair.imitation import Imitation
from keras_shapley_prune.repair.mimic import mimic
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.fixture(autouse=True)
def eagerly():
    """Spares short trainings the tracing, which would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def error(pruned, model, inputs):
    """Returns the loss of `mimic` on some inputs, not relative to a variance."""
    imitation = Imitation(record_graph(model), record_graph(pruned))
    return float(imitation.loss(keras.tree.flatten(inputs)))


def assert_same(model, other):
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_features_of_fresh_images_come_closer():
    tf.config.run_functions_eagerly(False)
    model, pruned = halve(layers="inner")
    trained = mimic(pruned, model, models.images(model, 64), 100, 1e-2)
    fresh = models.images(model, 64, seed=1)
    assert error(trained, model, fresh) < 0.5 * error(pruned, model, fresh)
    expected = models.outputs_of(model, fresh)
    ours, theirs = (models.outputs_of(m, fresh) for m in (trained, pruned))
    assert np.mean((ours[0] - expected[0]) ** 2) < np.mean(
        (theirs[0] - expected[0]) ** 2
    )


def test_never_worse_on_what_is_held_out():
    model, pruned = halve(layers="inner")
    trained = mimic(pruned, model, models.images(model, 16), 3, learning_rate=1e3)
    assert_same(trained, pruned)


def test_the_last_layer_is_the_original_s_where_it_reads_the_features():
    model, pruned = halve(layers="inner")
    pruned.get_layer("classes").kernel.assign_add(np.ones((6, 3)))
    trained = mimic(pruned, model, models.images(model, 16), 5)
    assert_same(trained.get_layer("classes"), model.get_layer("classes"))


def test_neither_network_is_changed():
    model, pruned = halve(layers="inner", build=models.fresh)
    model.compile("adam", "mse")
    pruned.get_layer("stem").trainable = False
    images = models.images(model, 16)
    before = [models.snapshot(m, images) for m in (model, pruned)]
    trained = mimic(pruned, model, images, 8, 1e-2)
    assert [models.snapshot(m, images) for m in (model, pruned)] == before
    after = models.snapshot(trained, images)
    for name in ("config", "names", "trainable", "dtypes", "compiled"):
        assert after[name] == before[1][name]
    assert after["outputs"] != before[1]["outputs"]
    stem, norm = trained.get_layer("stem"), trained.get_layer("norm")
    assert not np.array_equal(stem.kernel, pruned.get_layer("stem").kernel)
    statistics = pruned.get_layer("norm").moving_mean
    np.testing.assert_array_equal(norm.moving_mean, statistics)
    assert not {id(layer) for layer in trained.layers} & {id(x) for x in pruned.layers}


def test_the_seed_decides_and_no_label():
    model, pruned = halve(layers="inner")
    images = models.images(model, 16)
    first = mimic(pruned, model, images, 5, seed=3)
    assert_same(first, mimic(pruned, model, (images, np.full(16, np.nan)), 5, seed=3))
    other = mimic(pruned, model, images, 5, seed=4)
    assert not np.array_equal(first.get_weights()[0], other.get_weights()[0])


def test_several_inputs_and_outputs():
    model, pruned = halve(models.two_ends)
    inputs = models.inputs_of(model, 24)
    trained = mimic(pruned, model, inputs, 10, 1e-2)
    assert error(trained, model, inputs) < error(pruned, model, inputs)


@pytest.mark.parametrize("num_examples", [4, 10])
def test_few_images_do(num_examples):
    model, pruned = halve(layers="inner")
    trained = mimic(pruned, model, models.images(model, num_examples), 8, 1e-2)
    assert not np.array_equal(trained.get_weights()[0], pruned.get_weights()[0])


def test_fewer_are_no_training():
    model, pruned = halve(layers="inner")
    assert_same(mimic(pruned, model, models.images(model, 3)), pruned)


def test_as_a_way_to_repair(monkeypatch):
    short = functools.partial(mimic, num_steps=4, learning_rate=1e-2)
    module = sys.modules["keras_shapley_prune.repair.repair_channels"]
    monkeypatch.setattr(module, "mimic", short)
    model = models.build(small)
    keep = models.random_keep(trace_channels(model), 0.5)
    images = models.images(model, 16)
    ours = repair_channels(model, keep, images, "mimic")
    repaired = repair_channels(model, keep, images)
    assert_same(ours, short(repaired, model, images))


def test_mixed_precision():
    with_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model, pruned = halve(layers="inner")
    finally:
        keras.config.set_dtype_policy(with_policy)
    images = models.images(model, 16)
    trained = mimic(pruned, model, images, 8, 1e-2)
    assert trained.get_layer("inner").dtype_policy.name == "mixed_float16"
    assert error(trained, model, images) < error(pruned, model, images)


@pytest.mark.parametrize("name", ["num_steps", "learning_rate", "batch_size"])
def test_numbers_are_positive(name):
    model, pruned = halve(layers="inner")
    with pytest.raises(ValueError, match=f"`{name}` should be positive. Received"):
        mimic(pruned, model, models.images(model), **{name: 0})


def test_the_pruned_model_comes_from_the_original():
    model, _ = halve()
    with pytest.raises(ValueError, match="should be made from `original`"):
        mimic(models.build(models.chain), model, models.images(model))


def test_images_of_another_shape_are_refused():
    model, pruned = halve(layers="inner")
    with pytest.raises(ValueError, match="in batches of shape"):
        mimic(pruned, model, models.images(model)[:, 1:])


def test_it_is_silent_unless_asked(capsys):
    model, pruned = halve()
    images = models.images(model, 8)
    mimic(pruned, model, images, num_steps=2)
    assert capsys.readouterr().out == ""
    mimic(pruned, model, images, num_steps=2, verbose=1)
    assert "2/2" in capsys.readouterr().out


def test_it_moves_a_bar_on(capsys):
    model, pruned = halve()
    with Progress(1, {"mimic": 1.0, "rest": 1.0}) as progress:
        progress.begin("mimic")
        progress.show("training")
        mimic(pruned, model, models.images(model, 8), num_steps=50, progress=progress)
        assert drawn(capsys.readouterr().out) == [
            (0, "training"),
            (25, "training"),
            (50, "training"),
        ]
