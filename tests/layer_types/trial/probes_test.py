"""Tests of what a trial runs on."""

import numpy as np
import pytest

from keras_shapley_prune.layer_types.trial import probes


@pytest.mark.parametrize("num_channels", [1, 2, 3, 7, 8, 9, 64, 100, 1000])
def test_any_two_channels_are_told_apart(num_channels):
    selected = np.array(list(probes.select_halves(num_channels))).astype(int)
    assert len(selected) >= probes.FEWEST_CHANGES or num_channels == 1
    # Somewhere the first is changed and the second is not.
    apart = selected.T @ (1 - selected) if len(selected) else np.zeros((1, 1))
    assert (apart + np.eye(num_channels) > 0).all() or num_channels == 1


@pytest.mark.parametrize("num_channels", [2, 3, 4, 5, 8, 33])
def test_parts_have_several_sizes_and_orders(num_channels):
    sizes = probes.part_sizes(num_channels)
    assert len(set(sizes)) == len(sizes) and max(sizes) < num_channels
    assert 1 in sizes
    *ordered, shuffled = probes.choose_parts(
        np.random.default_rng(0), num_channels, sizes
    )
    assert [len(chosen) for chosen in ordered] == sizes
    assert all((np.diff(chosen) > 0).all() for chosen in ordered)
    assert sorted(shuffled) == ordered[0].tolist()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((None, 7), [[(5, 7)]]),
        ((None, 2, 2, 7), [[(5, 2, 2, 7), (5, 5, 4, 7), (5, 2, 3, 7)]]),
        ((None, 56, 56, 7), [[(5, 5, 4, 7), (5, 2, 3, 7)], [(2, 56, 56, 7)]]),
        ((3, 56, 56, 7), [[(3, 5, 4, 7), (3, 2, 3, 7)], [(3, 56, 56, 7)]]),
        ((None, None, 7), [[(5, 32, 7), (5, 5, 7), (5, 2, 7)]]),
        ((None, *[2] * 7, 7), [[(2, *[2] * 7, 7)]]),
    ],
)
def test_shapes_to_try(shape, expected):
    assert probes.probe_shapes(shape) == expected


def test_examples_have_different_scales():
    numbers = probes.draw(np.random.default_rng(0), (5, 40, 40, 8), turn=1)
    scales = np.abs(numbers).mean(axis=(1, 2, 3))
    expected = np.roll(probes.SCALES, -1) * np.sqrt(2 / np.pi)
    np.testing.assert_allclose(scales, expected, rtol=0.05)
    assert (numbers[:3].min() < 0) and (numbers[:3].max() > 0)


def test_large_inputs_are_drawn_fast():
    numbers = probes.draw(np.random.default_rng(0), (2, 300, 300, 16))
    assert numbers.shape == (2, 300, 300, 16)
    # Channels differ nevertheless.
    assert len(np.unique(numbers[0, 0, 0])) == 16
