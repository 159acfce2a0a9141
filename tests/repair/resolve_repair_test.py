"""Tests of what is given as a repair."""

import numpy as np
import pytest

from keras_shapley_prune import Mimic
from keras_shapley_prune.repair.resolve_repair import (
    METHODS,
    closed_form_of,
    resolve_repair,
)


def test_strings_and_settings():
    assert [resolve_repair(method) for method in METHODS if method != "mimic"] == [
        method for method in METHODS if method != "mimic"
    ]
    assert repr(resolve_repair("mimic")) == repr(Mimic())
    settings = Mimic(minutes=1)
    assert resolve_repair(settings) is settings


def test_training_begins_with_least_squares():
    assert closed_form_of(Mimic()) == "least_squares"
    assert closed_form_of("mean") == "mean"
    assert closed_form_of(None) is None


@pytest.mark.parametrize("repair", ["Mimic", 1, Mimic, ["mean"], np.ones(2)])
def test_other_things_are_refused(repair):
    with pytest.raises(ValueError, match=r"`repair` should be one of .*Mimic`. Rec"):
        resolve_repair(repair)
