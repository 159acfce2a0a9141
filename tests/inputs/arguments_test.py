"""Checks that many functions share: which argument their errors name, and how."""

import numpy as np
import pytest

from keras_shapley_prune.inputs.arguments import blaming, show
from keras_shapley_prune.inputs.limits import endless


def test_an_error_names_the_argument_of_the_caller():
    blames = blaming("dataset", "validation_data")
    with pytest.raises(ValueError, match="`validation_data") as info, blames:
        raise endless("dataset=3 of the dataset")
    text = str(info.value)
    assert "`dataset" not in text
    assert "`validation_data.take(num_batches)`" in text
    assert "Received: validation_data=3 of the dataset" in text  # words are left
    # The first error is what it came from, and what names no argument is as it was.
    assert "`dataset`" in str(info.value.__cause__)
    blames = blaming("dataset", "data")
    with pytest.raises(ValueError, match=r"^another$") as info, blames:
        raise ValueError("another")
    assert info.value.__cause__ is None
    with pytest.raises(KeyError), blaming("dataset", "data"):
        raise KeyError("`dataset`")


def test_values_are_shown_in_one_short_line():
    assert show("a") == "'a'"
    assert show(np.zeros((2, 1))) == "array([[0.], [0.]])"
    assert len(show(list(range(1000)))) == 200

    class Unshown:
        def __repr__(self):
            raise RuntimeError

    assert "Unshown" in show(Unshown())
