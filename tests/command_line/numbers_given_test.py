"""Numbers as options give them."""

import argparse

import pytest

from keras_shapley_prune.command_line.numbers_given import (
    allowed_drop,
    number,
    positive_integer,
    share,
)


def test_numbers_and_fractions():
    assert number("1/255") == 1 / 255
    assert number("-1") == -1
    assert positive_integer("7") == 7
    assert share("1/2") == 0.5
    assert allowed_drop("0.02") == 0.02


@pytest.mark.parametrize(
    ("read", "text", "question"),
    [
        (share, "50", "0.5, 50 percent"),
        (share, "50%", "0.5, 50 percent"),
        (share, "1%", "0.01, 1 percent"),
        (share, "2", "0.02, 2 percent"),
        (share, "1.5", None),
        (share, "100", None),
        (share, "-0.5", None),
        (share, "half", None),
        (share, "1/0", None),
        (allowed_drop, "2%", "0.02, 2 percent"),
        (allowed_drop, "-1", None),
        (allowed_drop, "nan", None),
    ],
)
def test_percentages_are_asked_for(read, text, question):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        read(text)
    message = str(raised.value)
    assert repr(text) in message
    if question is None:
        assert "Did you mean" not in message
    else:
        assert message.endswith(f"Did you mean {question}?")


@pytest.mark.parametrize("text", ["0", "-1", " 7", "1_000", "2.0", "٣"])
def test_integers_that_are_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        positive_integer(text)
