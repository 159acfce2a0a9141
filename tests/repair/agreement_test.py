"""Tests of how often a pruned network says what the original says."""

import warnings

import keras
import models
import numpy as np
import pytest
from bars import drawn, split_closing
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.repair.agreement import (
    COMPARED,
    Agreement,
    measure_agreement,
    share_alike,
    vary_images,
    warn_of_disagreement,
)
from keras_shapley_prune.trace.recording import record_graph

WORDS = "Expected a pruned network that does about what"


def dense(kernel, activation=None):
    """A network of one layer with a given kernel."""
    kernel = np.array(kernel, "float32")
    layer = layers.Dense(kernel.shape[1], activation, use_bias=False)
    model = keras.Sequential([keras.Input((len(kernel),)), layer])
    layer.kernel.assign(kernel)
    return model


def agreement_of(model, other, data):
    progress = Progress(0)
    return measure_agreement(model, record_graph(model), other, [[data]], progress)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_classes_agree_on_a_share_of_the_examples(activation):
    model = dense(np.eye(3), activation)
    other = dense(np.eye(3)[[0, 2, 1]], activation)  # the last two are exchanged
    data = np.eye(3, dtype="float32")[[0, 0, 0, 1, 2]]
    found = agreement_of(model, other, data)
    assert (found.share, found.num_classes, found.num_examples) == (0.6, 3, 5)
    assert found.lowest == pytest.approx(2 / 3)
    assert agreement_of(model, model, data).share == 1


def test_of_numbers_it_is_the_variance_explained():
    data = np.array([[-1.0], [1.0], [-3.0], [3.0]], "float32")
    found = agreement_of(dense([[2.0]]), dense([[1.0]]), data)
    assert (found.share, found.num_classes, found.lowest) == (0.75, None, 0.5)
    same = agreement_of(dense([[2.0]]), dense([[2.0]]), data)
    assert same.share == 1


@pytest.mark.parametrize(
    ("activation", "loss", "is_class"),
    [
        (None, None, True),
        (None, "mse", False),
        (None, keras.losses.Huber(), False),
        (None, keras.losses.CategoricalCrossentropy(from_logits=True), True),
        (None, keras.losses.BinaryCrossentropy(from_logits=True), False),
        ("softmax", "mse", True),
        ("sigmoid", "binary_crossentropy", False),
        (None, ["mse"], False),
    ],
)
def test_what_counts_as_classes(activation, loss, is_class):
    model = dense(np.eye(3), activation)
    if loss:
        model.compile("sgd", loss)
    found = agreement_of(model, model, np.eye(3, dtype="float32"))
    assert (found.num_classes == 3) == is_class


def test_of_several_outputs_the_worst_counts():
    def build(scale):
        inputs = keras.Input((3,))
        outputs = {"a": layers.Softmax()(inputs), "b": layers.Rescaling(scale)(inputs)}
        model = keras.Model(inputs, outputs)
        model.compile("sgd", {"a": "categorical_crossentropy", "b": "mse"})
        return model

    found = agreement_of(build(1.0), build(-1.0), np.eye(3, dtype="float32"))
    assert found.num_classes is None
    assert found.share < 0


def test_images_are_varied_and_other_data_is_not():
    image = models.images(models.build(models.residual), 8)
    ((varied,),) = vary_images([[image]])
    assert varied.shape == image.shape
    assert np.all(np.abs(varied - image).max(axis=(1, 2, 3)) > 0.1)
    assert vary_images([[np.eye(3)]]) == []


def test_a_few_examples_are_compared():
    model, data = dense(np.eye(3)), np.eye(3, dtype="float32").repeat(100, axis=0)
    assert agreement_of(model, model, data).num_examples == COMPARED


def test_images_of_several_sizes():
    inputs = keras.Input((None, None, 3))
    pair = [
        keras.Model(inputs, layers.Conv2D(2, 3, name="conv")(inputs)) for _ in range(2)
    ]
    pair[1].set_weights([0.5 * weight for weight in pair[0].get_weights()])
    generator = np.random.default_rng(0)
    sizes = (4, 8, 9, 3), (4, 6, 5, 3)
    batches = [[generator.normal(size=size).astype("float32")] for size in sizes]
    graph = record_graph(pair[0])
    found = measure_agreement(pair[0], graph, pair[1], batches, Progress(0))
    assert found.num_examples == 8
    assert found.share == pytest.approx(0.75, abs=0.05)


def test_without_data_there_is_nothing_to_measure():
    model = dense(np.eye(3))
    found = measure_agreement(model, record_graph(model), model, [], Progress(0))
    assert found is None
    warn_of_disagreement(found)  # of nothing


def tell(share, num_classes=4, num_examples=16, fitted_share=None):
    agreement = Agreement(share, num_classes, num_examples, "examples", fitted_share)
    warn_of_disagreement(agreement)


def test_a_broken_network_is_warned_of():
    for share, num_classes in ((0.6, 4), (0.45, None), (0.5, 1000), (np.nan, None)):
        with pytest.warns(UserWarning, match=WORDS) as caught:
            tell(share, num_classes)
        assert len(caught) == 1
        assert "smaller `ratio`" in str(caught[0].message)


def test_others_are_not():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tell(0.63)
        tell(0.51, None)
        tell(0.51, 1000)
        tell(0.1, num_examples=15)  # says too little
        tell(0.3, 10, fitted_share=0.8)  # only what is varied is taken for another


def test_examples_that_it_was_fitted_to_excuse_little():
    for fitted_share in (0.3, 0.77, np.nan):
        with pytest.warns(UserWarning, match=WORDS):
            tell(0.3, 10, fitted_share=fitted_share)


@pytest.fixture(scope="module")
def trained():
    """Returns a classifier that has learned its data, not to be changed."""
    model = models.classifier()
    model.fit(*models.labelled_images(256), batch_size=16, epochs=20, verbose=0)
    return model


@pytest.mark.slow
def test_prune_says_when_it_has_broken_a_network(trained, capsys):
    x, _ = models.labelled_images(64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        keras_shapley_prune.prune(trained, x, 0.25, verbose=0)
    with pytest.warns(UserWarning, match=WORDS) as caught:
        keras_shapley_prune.prune(trained, x, 0.9, repair="mean", verbose=0)
    (found,) = [one for one in caught if WORDS in str(one.message)]
    assert found.filename == __file__
    assert capsys.readouterr().out == ""


def test_a_line_below_the_bar(trained, capsys):
    x, _ = models.labelled_images(64)
    keras_shapley_prune.prune(trained, x, 0.25, verbose=1)
    bar, closing = split_closing(capsys.readouterr().out)
    assert drawn(bar)[-1] == (100, "")
    assert any("agrees with the original on " in line for line in closing)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite(number):
    """They disagree, unless the original's are not finite either."""
    values = np.random.default_rng(0).normal(size=(8, 3))
    strange = values.copy()
    strange[2, values[2].argmax()] = number
    assert share_alike(values, strange, 3) == 7 / 8
    assert share_alike(values, strange, None) == -np.inf
    assert share_alike(strange, values, 3) == share_alike(strange, values, None) == 1
    assert share_alike(strange * number, strange, None) == 1
