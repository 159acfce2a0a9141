"""Tests of texts that are cut in their middle."""

from keras_shapley_prune.inputs.short_text import shorten


def test_both_ends_of_a_name_remain():
    assert shorten("conv", 4) == "conv"
    assert shorten("abcdefghij", 5) == "ab…ij"
    assert all(len(shorten("a" * 30, length)) == length for length in (3, 8, 9))
    assert shorten("abcdefghij", 7, "...") == "ab...ij"
