"""Tests of short names."""

import pytest

from keras_shapley_prune.report.short_names import drop_prefix


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (["backbone/conv1", "backbone/conv2"], "backbone/"),
        (["net/stage_a", "net/stage_b"], "net/stage_"),
        (["net/conv", "head"], ""),
        (["conv_1", "conv_2"], ""),
        (["cnn_conv", "cnn_"], ""),
        (["cnn_conv"], ""),
        ([], ""),
    ],
)
def test_what_all_names_begin_with_is_dropped(names, prefix):
    found, short = drop_prefix(names)
    assert found == prefix
    assert list(short) == names
    assert all(prefix + rest == name for name, rest in short.items())
