"""Tests of errors in one line."""

import json

import pytest

from keras_shapley_prune.inputs.one_line import describe, first_line


def test_short_errors_are_one_line():
    assert describe(ValueError("It is\n  wrong")) == "It is wrong"
    assert describe(KeyError()) == "KeyError"


def _settings(depth):
    return {"layers": [{"name": str(n), "at": {"depth": depth}} for n in range(200)]}


def test_the_cause_is_at_the_end():
    """As where Keras makes a layer from its settings."""
    cause = "Unrecognized keyword arguments passed to DepthwiseConv2D: {'groups': 1}"
    text = (
        "<class 'DepthwiseConv2D'> could not be deserialized properly. Please ensure "
        f"that components are explicitly deserialized.\n\nconfig={_settings(1)}.\n\n"
        f"Exception encountered: {cause}"
    )
    line = describe(TypeError(text))
    assert line.startswith("<class 'DepthwiseConv2D'> could not") and "{…}" in line
    assert line.endswith(cause) and len(line) <= 400


def test_the_cause_within_causes():
    """As where the layer is in a model, and that in another one."""
    text = "Unrecognized keyword arguments: ['lr']"
    for depth in range(4):
        text = (
            f"<class 'Functional'> could not be deserialized properly, {'as ' * 30}.\n"
            f"config={json.dumps(_settings(depth))}.\n\nException encountered: {text}"
        )
    assert describe(TypeError(text)) == "Unrecognized keyword arguments: ['lr']"


def test_the_cause_at_the_beginning():
    text = f"Could not locate function 'dice'. Full object config: {_settings(2)}"
    expected = "Could not locate function 'dice'. Full object config: {…}"
    assert describe(TypeError(text)) == expected


@pytest.mark.parametrize("most", [100, 400])
def test_both_ends_of_what_is_still_too_long(most):
    line = describe(RuntimeError("Graph error: " + "frame " * 500 + "bad shape"), most)
    assert len(line) <= most
    assert line.startswith("Graph error: frame") and line.endswith("bad shape")


def test_a_brace_that_is_not_closed():
    text = "It begins {" + "a" * 900 + "and ends"
    assert describe(ValueError(text)).endswith("and ends")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("first\nsecond", "first"),
        ("", "ValueError"),
        ("Exception encountered when calling X.call().\n\n\x1b[1mtrue\x1b[0m", "true"),
        ("Could not infer 'a'. Error encountered:\n\ntrue cause\nmore", "true cause"),
        ("{{function_node __wrapped__Mul}} Incompatible shapes", "Incompatible shapes"),
    ],
)
def test_first_line(text, line):
    assert first_line(ValueError(text)) == line
