"""Tests of names that work, with a warning, for one more release."""

import inspect

import models
import pytest

import keras_shapley_prune
from keras_shapley_prune import ShapleyRanker, compare, export_litert

OLD = keras_shapley_prune._OLD_NAMES


@pytest.mark.parametrize("name", OLD)
def test_old_names_warn_and_are_not_shown(name):
    with pytest.warns(DeprecationWarning, match=f"`keras_shapley_prune.{name}` is"):
        found = getattr(keras_shapley_prune, name)
    assert found.__name__ == OLD[name][1]
    assert name not in dir(keras_shapley_prune)
    assert name not in keras_shapley_prune.__all__


def test_old_arguments_warn_where_they_are_used():
    model = models.classifier()
    data = models.labelled_images(8)
    with pytest.warns(DeprecationWarning, match="`data` of `compare`") as caught:
        found = compare(model, model, data=data, measure=["agreement"], verbose=0)
    assert caught[0].filename == __file__
    assert found.agreement.share == 1.0
    with (
        pytest.warns(DeprecationWarning, match="now named `dataset`"),
        pytest.raises(ValueError, match="`dataset` should be `None` for `int8=False`"),
    ):
        export_litert(model, "model.tflite", representative_data=data)


def test_an_argument_by_both_names():
    model = models.classifier()
    with pytest.raises(TypeError, match="`dataset` of `compare` should be given once"):
        compare(model, model, data=None, dataset=None)


def test_the_old_method():
    model, data = models.classifier(), models.labelled_images(4)
    ranker = ShapleyRanker("kl")
    with pytest.warns(DeprecationWarning, match="`estimate_cost`"):
        old = ranker.plan(model, data[0])
    assert old.evaluations == ranker.estimate_cost(model, data[0]).evaluations


def test_new_names_are_in_signatures():
    assert "dataset" in inspect.signature(compare).parameters
    assert "dataset" in inspect.signature(export_litert).parameters
