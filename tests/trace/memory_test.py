"""Tests of how much memory is used."""

import io

import pytest

from keras_shapley_prune.trace import memory
from keras_shapley_prune.trace.memory import LARGEST, free_memory, resolve_memory


def test_what_is_free_is_some_of_what_there_is():
    with open("/proc/meminfo", encoding="ascii") as lines:
        total = 1024 * int(next(lines).split()[1])
    assert 0 < free_memory() <= total


def test_where_nothing_says_what_is_free(monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *args, **kwargs: io.StringIO("what?\n"))
    assert free_memory() > 0


@pytest.mark.parametrize("free, expected", [(2**40, LARGEST), (2**20, 2**18)])
def test_the_default_is_a_share_of_what_is_free(monkeypatch, free, expected):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    assert resolve_memory() == expected
    assert resolve_memory(12345) == 12345


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "4GB"])
def test_bad_values(value):
    with pytest.raises(ValueError, match="`memory` should be an integer, at least 1"):
        resolve_memory(value)
