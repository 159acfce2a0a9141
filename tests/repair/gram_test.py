import concurrent.futures
import threading

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.devices.workers import Workers
from keras_shapley_prune.repair.gram import Gram, totals
from keras_shapley_prune.repair.ridge import RIDGES, solve_towards


def rows_and_targets(count=50, columns=4, outputs=3, seed=0):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, columns), loc=0.7).astype("float32")
    targets = rows @ generator.normal(size=(columns, outputs)) + 0.3
    return rows, (targets + generator.normal(size=targets.shape)).astype("float32")


def gram_of(rows, targets):
    gram = Gram(rows.shape[-1], targets.shape[-1])
    gram.add(tf.constant(rows), tf.constant(targets))
    return gram


def test_covariances_are_numpys():
    rows, targets = rows_and_targets()
    mean_x, mean_y, xx, xy, yy = gram_of(rows, targets).covariances()
    expected = np.cov(rows.T, targets.T, bias=True)
    np.testing.assert_allclose(mean_x, rows.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(mean_y, targets.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(xx, expected[:4, :4], atol=1e-5)
    np.testing.assert_allclose(xy, expected[:4, 4:], atol=1e-5)
    np.testing.assert_allclose(yy, np.diag(expected)[4:], atol=1e-5)


def test_without_centring_moments_about_zero_come_back():
    rows, targets = rows_and_targets()
    mean_x, mean_y, xx, xy, yy = gram_of(rows, targets).covariances(centred=False)
    assert mean_x.shape == (4,) and not mean_x.any()
    assert mean_y.shape == (3,) and not mean_y.any()
    np.testing.assert_allclose(xx, rows.T @ rows / 50, atol=1e-5)
    np.testing.assert_allclose(xy, rows.T @ targets / 50, atol=1e-5)
    np.testing.assert_allclose(yy, (targets**2).mean(axis=0), atol=1e-5)


def test_grams_of_parts_add_up():
    rows, targets = rows_and_targets()
    first, second = gram_of(rows[:13], targets[:13]), gram_of(rows[13:], targets[13:])
    parts = first + second
    assert (first.count, second.count, parts.count) == (13, 37, 50)
    whole = gram_of(rows, targets)
    for ours, theirs in zip(parts.covariances(), whole.covariances(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_adding_twice_is_adding_once():
    rows, targets = rows_and_targets()
    gram = gram_of(rows[:20], targets[:20])
    gram.add(tf.constant(rows[20:]), tf.constant(targets[20:]))
    whole = gram_of(rows, targets)
    for ours, theirs in zip(gram.covariances(), whole.covariances(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_leading_axes_are_rows():
    rows, targets = rows_and_targets(count=24)
    stacked = gram_of(rows.reshape(2, 12, 4), targets.reshape(2, 3, 4, 3))
    assert stacked.count == 24
    flat = gram_of(rows, targets)
    for ours, theirs in zip(stacked.covariances(), flat.covariances(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_grams_do_not_share_sums():
    first, second = Gram(2, 1), Gram(2, 1)
    first.add(tf.ones((3, 2)), tf.ones((3, 1)))
    assert not second.xx.any() and not second.sum_x.any()
    total = first + second
    total.add(tf.zeros((3, 2)), tf.ones((3, 1)))
    assert (first.count, second.count, total.count) == (3, 0, 6)
    np.testing.assert_array_equal(first.covariances()[0], [1, 1])
    np.testing.assert_array_equal(total.covariances()[0], [0.5, 0.5])
    assert not first.covariances()[2].any() and total.covariances()[2].all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0, 7.3])
def test_constant_rows_leave_the_weights_at_the_prior(value):
    generator = np.random.default_rng(0)
    prior = generator.normal(size=(20, 3))
    row = value * generator.uniform(1, 2, size=20)
    rows = np.tile(row, (30, 1)).astype("float32")
    _, _, xx, xy, _ = gram_of(rows, rows @ prior.astype("float32") + 1).covariances()
    np.testing.assert_allclose(solve_towards(xx, xy, prior), prior, atol=0.02)


@pytest.mark.parametrize("kind", ["few", "correlated", "nearly equal"])
def test_a_fit_of_few_rows_has_the_smallest_ridge(kind):
    """In single precision, sums like these have no Cholesky factor."""
    generator = np.random.default_rng(0)
    rows = {
        "few": generator.normal(size=(32, 600)),
        "correlated": generator.normal(size=(400, 3)) @ generator.normal(size=(3, 600)),
        "nearly equal": generator.normal(size=(400, 1))
        + 1e-3 * generator.normal(size=(400, 600)),
    }[kind].astype("float32")
    gram = Gram(600, 0)
    for part in np.array_split(rows, 3):
        gram.add(part)
    xx = gram.covariances()[2]
    expected = np.cov(rows.astype("float64"), rowvar=False, bias=True)
    np.testing.assert_allclose(xx, expected, atol=1e-9 * np.trace(xx))
    weights = solve_towards(xx, np.zeros((600, 0)), np.zeros((600, 0)), RIDGES[0])
    assert weights.shape == (600, 0)
    lowest = np.linalg.eigvalsh(xx)[0] / (np.trace(xx) / 600)
    assert lowest > -1e-2 * RIDGES[0]


class Threads(Workers):
    """Workers that are threads of this process."""

    def __init__(self, index, barrier, given):
        super().__init__(None, len(given), index)
        self._barrier, self._given = barrier, given

    def sum(self, *arrays):
        self._given[self.index] = arrays
        self._barrier.wait()
        found = [
            sum(np.asarray(a, float) for a in some)
            for some in zip(*self._given, strict=True)
        ]
        self._barrier.wait()
        return found


def test_sums_of_several_workers_are_those_of_all_rows():
    """The first one has no rows, and nobody has any of the second layer."""
    (rows, targets), barrier, given = rows_and_targets(), threading.Barrier(3), [0] * 3
    parts = [slice(0, 0), slice(0, 20), slice(20, None)]

    def work(index):
        part = parts[index]
        own = Gram(4, 3) if not index else gram_of(rows[part], targets[part])
        return totals([own, Gram(2, 0)], Threads(index, barrier, given))

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = list(pool.map(work, range(3)))
    whole = sum(
        (gram_of(rows[part], targets[part]) for part in parts[1:]), start=Gram(4, 3)
    )
    for total, nothing in found:
        assert total.count == 50 and nothing.count == 0
        for ours, theirs in zip(total.covariances(), whole.covariances(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(total.xx, found[0][0].xx)
        assert (nothing + nothing).count == 0
