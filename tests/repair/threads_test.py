"""Tests of the threads of NumPy's products."""

import threading

import models
import numpy as np
import pytest
import threadpoolctl

from keras_shapley_prune import pruning
from keras_shapley_prune.repair import gram, threads
from keras_shapley_prune.repair.threads import in_parallel, one_blas_thread


def count_threads():
    libraries = threadpoolctl.threadpool_info()
    return {x["num_threads"] for x in libraries if x["user_api"] == "blas"}


def test_blas_has_one_thread_inside_and_what_it_had_afterwards():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        with one_blas_thread():
            assert count_threads() == {1}
        assert count_threads() == {2}
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert count_threads() == {2}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("ranker", [None, "l1_norm"])
def test_prune_works_with_one_blas_thread(monkeypatch, ranker):
    seen, add = [], gram.Gram.add
    monkeypatch.setattr(
        gram.Gram, "add", lambda *args: seen.append(count_threads()) or add(*args)
    )
    model = models.build(models.chain)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        pruning.prune(model, models.images(model, 8), 0.5, ranker=ranker, verbose=0)
        assert count_threads() == {2}
    assert seen and set.union(*seen) == {1}


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_all_items_are_done_at_most_one_a_core_at_a_time(monkeypatch, cores):
    monkeypatch.setattr(threads, "count_cores", lambda: cores)
    done, running, most = [], set(), []

    def work(a, b):
        running.add(threading.get_ident())
        most.append(len(running))
        np.linalg.inv(np.eye(300))
        done.append((a, b))

    in_parallel(work, [1, 2, 3, 4, 5], "abcde")
    assert sorted(done) == list(zip([1, 2, 3, 4, 5], "abcde", strict=True))
    assert max(most) <= cores


@pytest.mark.parametrize("cores", [1, 2])
def test_an_error_of_one_item_is_raised(monkeypatch, cores):
    monkeypatch.setattr(threads, "count_cores", lambda: cores)

    def work(item):
        if item == 2:
            raise ValueError("two")

    with pytest.raises(ValueError, match="two"):
        in_parallel(work, [1, 2, 3])


def test_there_is_a_core():
    assert threads.count_cores() >= 1
