"""Tests of how many threads BLAS gets."""

import numpy as np
import pytest
import threadpoolctl

from keras_shapley_prune.repair import gram
from keras_shapley_prune.repair.blas_threads import LARGE, suited_threads


def count_threads():
    libraries = threadpoolctl.threadpool_info()
    return {x["num_threads"] for x in libraries if x["user_api"] == "blas"}


@pytest.mark.parametrize(
    "num_columns, expected", [(1, 1), (LARGE - 1, 1), (LARGE, 2), (10 * LARGE, 2)]
)
def test_small_matrices_get_one_thread(num_columns, expected):
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        with suited_threads(num_columns):
            assert count_threads() == {expected}
        assert count_threads() == {2}


def test_the_products_of_a_gram_are_small(monkeypatch):
    seen = []
    suited = gram.suited_threads
    monkeypatch.setattr(
        gram, "suited_threads", lambda count: seen.append(count) or suited(count)
    )
    found = gram.Gram(7, 2)
    found.add(np.ones((5, 7), "float32"), np.ones((5, 2), "float32"))
    assert seen == [7]
