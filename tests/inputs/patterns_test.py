"""Tests of what selects layers."""

import re

import keras
import numpy as np
import pytest

from keras_shapley_prune.inputs.patterns import as_list, check_patterns, find_names

CONV, DENSE = re.compile("conv"), keras.layers.Dense(2, name="dense")
LAYERS = {"a/conv": keras.layers.Conv2D(2, 1, name="conv"), "dense": DENSE, "c?": None}


def is_dense(layer):
    return isinstance(layer, keras.layers.Dense)


def test_what_is_a_pattern():
    for right in (None, "conv*", ["a", "b"], ("a",), {"a"}, [], CONV, is_dense):
        check_patterns("layers", right)
    check_patterns("layers", ["a", CONV, is_dense])
    wrong = [3, b"a", ["a", 3], {"a": 1}, np.array(["a"]), iter(["a"]), str]
    # What else can be called says nothing of a layer; names are no bytes.
    for value in [*wrong, DENSE, [DENSE], keras.layers.Dense, re.compile(b"conv")]:
        with pytest.raises(ValueError, match=r"`ignore` .*Received: ignore="):
            check_patterns("ignore", value)


def test_one_or_several():
    for one in ("conv", CONV, is_dense):
        assert as_list(one) == [one]
    assert as_list(("a", CONV)) == ["a", CONV]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("dense", ["dense"]),
        ("*/c*", ["a/conv"]),
        ("c?", []),  # the name of another layer
        (CONV, ["a/conv"]),
        (re.compile("^conv"), []),  # the name begins with that of the nested model
        (re.compile("DENSE|conv$", re.IGNORECASE), ["a/conv", "dense"]),
        (is_dense, ["dense"]),
        (lambda layer: np.bool_(layer.name == "conv"), ["a/conv"]),
    ],
)
def test_which_names(pattern, names):
    assert find_names(pattern, ("a/conv", "dense"), LAYERS) == names


def no_answer(layer):
    """Forgets to return."""


def broken(layer):
    raise KeyError(layer.name)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_answer, "no_answer.*, which returns None for layer 'a/conv'"),
        (lambda layer: 1, "<lambda>.*, which returns 1 for layer 'a/conv'"),
        (broken, "broken.*, which raises KeyError for layer 'a/conv': 'conv'"),
    ],
)
def test_a_function_that_says_neither_yes_nor_no(function, words):
    with pytest.raises(ValueError, match=f"`ignore` .*Received: .*{words}"):
        find_names(function, ("a/conv", "dense"), LAYERS, "ignore")
