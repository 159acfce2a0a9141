"""Data that a model was not trained on is noticed."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.command_line.data_checks import check_data
from keras_shapley_prune.command_line.data_sources import DataSource
from keras_shapley_prune.command_line.input_files import InputError

COUNT = 64
LABELS = np.arange(COUNT) % 4


def pixels():
    """Images of 4 pixels in 0..255, of which that of the class is bright."""
    x = np.random.default_rng(0).uniform(0, 100, (COUNT, 4)).astype("float32")
    x[np.arange(COUNT), LABELS] = 255
    return x


def classifier(normalized=False):
    """A network that names the brightest of pixels in 0..1."""
    inputs = keras.Input((4,))
    x = inputs
    if normalized:
        norm = layers.BatchNormalization(name="norm")
        x = norm(x)
        norm.moving_mean.assign((pixels() / 255).mean(axis=0))
        norm.moving_variance.assign((pixels() / 255).var(axis=0))
    dense = layers.Dense(4, "softmax")
    model = keras.Model(inputs, dense(x))
    dense.set_weights([6 * np.eye(4), np.zeros(4)])
    return model


def check(model, x, labels=LABELS, **settings):
    examples = (x,) if labels is None else (x, labels)
    check_data(model, examples, DataSource("x.npz", **settings))


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("labels", [LABELS, np.eye(4)[LABELS], LABELS[:, None], None])
def test_the_right_scale(normalized, labels):
    check(classifier(normalized), pixels() / 255, labels)


@pytest.mark.parametrize("labels", [LABELS, None])
@pytest.mark.parametrize(
    ("normalized", "expected"),
    [
        (True, "what layer 'norm' reads is at a distance of"),
        (False, "most outputs are"),
    ],
)
def test_a_scale_that_was_forgotten(normalized, expected, labels):
    with pytest.raises(InputError) as raised:
        check(classifier(normalized), pixels(), labels)
    message = str(raised.value)
    assert message.startswith("Data 'x.npz' should be like what the model was trained")
    assert "values from" in message and " to 255, with which " in message
    assert expected in message
    assert "Did you mean --rescale 1/255? (`--force`" in message


@pytest.mark.parametrize("labels", [LABELS, None])
def test_a_scale_that_is_one_too_many(labels):
    with pytest.raises(InputError, match=r"Did you mean no --rescale\?"):
        check(classifier(True), pixels() / 255**2, labels, rescale=1 / 255)
    # Without a normalization it may also be a model that is not trained. Of small
    # pixels it still names the brightest, if there are labels to find that out by.
    if labels is None:
        with pytest.warns(UserWarning, match=r"Did you mean no --rescale\?"):
            check(classifier(), pixels() / 255**2, labels, rescale=1 / 255)


def test_a_scale_that_nobody_uses():
    with pytest.raises(InputError, match="Check `--rescale` and `--offset`"):
        check(classifier(True), pixels() / 255 + 7)


def test_labels_in_another_order():
    wrong = (LABELS + 1) % 4
    with pytest.warns(UserWarning, match="labels numbered as in training"):
        check(classifier(normalized=True), pixels() / 255, wrong)
    # Without a normalization nothing speaks for the data.
    with pytest.warns(UserWarning, match="no better than guessing.* Check `--rescale`"):
        check(classifier(), pixels() / 255, wrong)


def test_a_model_that_is_hardly_trained():
    model = classifier()
    model.layers[-1].set_weights([0.1 * np.eye(4), np.zeros(4)])
    check(model, pixels() / 255)  # it names the classes
    with pytest.warns(UserWarning, match="is the model trained"):
        check(model, pixels() / 255, None)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_half_precision_is_sure_sooner(dtype):
    inputs = keras.Input((4,), dtype=dtype)
    model = keras.Model(inputs, layers.Softmax(dtype=dtype)(inputs))
    check(model, 10 * np.eye(4, dtype=dtype)[LABELS])
    sure = 200 * np.eye(4, dtype=dtype)[LABELS]
    if dtype == "float16":
        check(model, sure)
    else:
        with pytest.raises(InputError, match="most outputs are 1"):
            check(model, sure)


@pytest.mark.parametrize(
    "model",
    [
        keras.Sequential([keras.Input((4,)), layers.Dense(1)]),
        keras.Sequential([keras.Input((4,)), layers.Dense(4)]),
        keras.Sequential([keras.Input((4,)), layers.Reshape((2, 2)), layers.Softmax()]),
    ],
)
def test_what_names_no_class_is_taken(model):
    check(model, pixels(), None)
    check(model, pixels(), np.random.default_rng(0).normal(size=COUNT))


def test_few_examples_say_nothing():
    check(classifier(True), pixels()[:15], None)
    check(classifier(), pixels()[:31] / 255, (LABELS[:31] + 1) % 4)
