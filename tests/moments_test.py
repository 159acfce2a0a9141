"""Tests of the running sums behind values and standard errors."""

import dataclasses

import numpy as np
import pytest

from keras_shapley_prune.ranking.moments import DrawMoments, ExampleMoments


def _samples(num_examples=24, num_units=3):
    return np.random.default_rng(0).normal(2.0, 3.0, (num_examples, num_units))


@pytest.mark.parametrize("block_size", [1, 2])
def test_mean_and_standard_error_of_blocks_of_one_size(block_size):
    samples = _samples()
    moments = ExampleMoments(3, block_size)
    moments.add(samples[np.newaxis])
    blocks = samples.reshape(-1, block_size, 3).mean(axis=1)
    np.testing.assert_allclose(moments.mean, samples.mean(axis=0))
    expected = blocks.std(axis=0, ddof=1) / np.sqrt(len(blocks))
    np.testing.assert_allclose(moments.standard_error, expected)
    assert moments.num_blocks == len(blocks)
    assert moments.num_examples == len(samples)


@pytest.mark.parametrize("sizes", [(24,), (8, 8, 8), (2, 22), (10, 4, 6, 4)])
def test_batches_of_whole_blocks_do_not_matter(sizes):
    samples = _samples()
    together, apart = ExampleMoments(3, 2), ExampleMoments(3, 2)
    together.add(samples[np.newaxis])
    for batch in np.split(samples, np.cumsum(sizes)[:-1]):
        apart.add(batch[np.newaxis])
    np.testing.assert_allclose(apart.mean, together.mean)
    np.testing.assert_allclose(apart.standard_error, together.standard_error)


def test_a_half_block_counts_as_much_as_it_holds():
    samples = _samples(5, 1)
    moments = ExampleMoments(1, 2)
    moments.add(samples[np.newaxis])
    mean = samples.mean()
    blocks = [samples[0:2].mean(), samples[2:4].mean(), samples[4].mean()]
    weights = np.array([2, 2, 1]) / 5
    spread = np.sum(weights**2 * (np.array(blocks) - mean) ** 2) * 3 / 2
    np.testing.assert_allclose(moments.mean, mean)
    np.testing.assert_allclose(moments.standard_error, np.sqrt(spread))


def test_no_standard_error_before_two_observations():
    moments = ExampleMoments(3, 2)
    assert np.isinf(moments.standard_error).all()
    np.testing.assert_array_equal(moments.mean, 0)
    moments.add(np.ones((1, 2, 3)))
    assert np.isinf(moments.standard_error).all()
    moments.add(np.ones((1, 2, 3)))
    np.testing.assert_array_equal(moments.standard_error, 0)


def test_a_large_mean_does_not_hide_a_small_spread():
    samples = 1e4 + _samples(100)
    moments = ExampleMoments(3)
    moments.add(samples[np.newaxis])
    expected = samples.std(axis=0, ddof=1) / 10
    np.testing.assert_allclose(moments.standard_error, expected, rtol=1e-4)


def test_single_precision_samples_are_summed_in_double():
    moments = ExampleMoments(1)
    for _ in range(100):
        moments.add(np.full((1, 100, 1), 0.1, "float32"))
    assert moments.mean[0] == pytest.approx(np.float32(0.1), rel=1e-12)


def test_draws_of_an_example_are_averaged_first():
    samples = np.random.default_rng(1).normal(size=(4, 10, 3))
    moments = ExampleMoments(3)
    moments.add(samples)
    per_example = samples.mean(axis=0)
    expected = per_example.std(axis=0, ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(moments.standard_error, expected)
    assert (moments.num_examples, moments.num_samples) == (10, 40)


def test_states_of_different_examples_add_up():
    samples = _samples()[np.newaxis]
    together, *parts = (ExampleMoments(3, block_size=2) for _ in range(3))
    together.add(samples)
    for part, half in zip(parts, np.split(samples, 2, axis=1), strict=True):
        part.add(half)
    sizes = {"num_units": 3, "block_size": 2}
    names = [f.name for f in dataclasses.fields(together) if f.name not in sizes]
    sums = {n: getattr(parts[0], n) + getattr(parts[1], n) for n in names}
    merged = ExampleMoments(**sizes, **sums)
    np.testing.assert_allclose(merged.mean, together.mean)
    np.testing.assert_allclose(merged.standard_error, together.standard_error)


def test_shared_draws_err_by_their_own_spread():
    samples = np.random.default_rng(2).normal(size=(5, 12, 3))
    moments = DrawMoments(3, num_draws=5)
    for batch in np.split(samples, [7], axis=1):
        moments.add(batch)
    np.testing.assert_allclose(moments.mean, samples.mean(axis=(0, 1)))
    expected = samples.mean(axis=1).std(axis=0, ddof=1) / np.sqrt(5)
    np.testing.assert_allclose(moments.standard_error, expected)
    assert (moments.num_examples, moments.num_samples) == (12, 60)


def test_one_shared_draw_has_no_standard_error():
    moments = DrawMoments(3, num_draws=1)
    moments.add(np.ones((1, 4, 3)))
    assert np.isinf(moments.standard_error).all()
