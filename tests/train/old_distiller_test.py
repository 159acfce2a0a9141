"""Tests of the name that `PruningDistiller` had before."""

import keras
import pytest
from keras import layers

import keras_shapley_prune


def test_the_old_name_works_and_says_what_to_write():
    teacher, student = (
        keras.Sequential([keras.Input((4,)), layers.Dense(2)]) for _ in range(2)
    )
    with pytest.warns(DeprecationWarning, match=r"Write `PruningDistiller\(teacher"):
        distiller = keras_shapley_prune.Distiller(student, teacher, 0.3, 2.0, "logits")
    assert isinstance(distiller, keras_shapley_prune.PruningDistiller)
    assert distiller.student is student
    assert distiller.teacher is teacher
    assert distiller.student_loss_weight == 0.3
    (loss,) = distiller.distillation_losses
    assert loss.get_config() == {"outputs": "logits", "temperature": 2.0}


def test_it_is_not_shown():
    assert "Distiller" not in keras_shapley_prune.__all__
    with pytest.raises(AttributeError, match="no attribute 'Distillery'"):
        keras_shapley_prune.Distillery  # noqa: B018
