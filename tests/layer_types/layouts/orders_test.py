"""Tests of orders of axes."""

import itertools

import numpy as np
import pytest

from keras_shapley_prune.layer_types.layouts.orders import (
    arrange,
    behind_transposition,
    channels_last,
    flat_rows,
    place_of,
    places_of,
    same_order,
    steps_between,
    without_axes,
)

SHAPE = 2, 3, 4, 5
ORDERS = [(0, *rest) for rest in itertools.permutations((1, 2, 3))]
ARRAY = np.arange(120).reshape(SHAPE)
by_order = pytest.mark.parametrize("order", ORDERS)


@pytest.mark.parametrize(
    ("rank", "order"),
    [(1, (0,)), (2, (0, 1)), (3, (0, 2, 1)), (4, (0, 2, 3, 1)), (5, (0, 2, 3, 4, 1))],
)
def test_channels_last(rank, order):
    assert channels_last(rank) == order


@by_order
@pytest.mark.parametrize("wanted", ORDERS)
def test_from_one_order_to_another(order, wanted):
    steps = steps_between(order, wanted)
    here = ARRAY.transpose(order)
    assert here.shape == arrange(SHAPE, order)
    assert np.array_equal(here.transpose(steps), ARRAY.transpose(wanted))


@by_order
@pytest.mark.parametrize("axes", ORDERS)
def test_a_transposition_changes_the_order_only(order, axes):
    after = behind_transposition(order, axes)
    assert np.array_equal(
        ARRAY.transpose(axes).transpose(after), ARRAY.transpose(order)
    )


@by_order
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -2])
def test_places(order, axis):
    assert arrange(SHAPE, order)[place_of(order, axis)] == SHAPE[axis]
    assert places_of(order, axis) == place_of(order, axis)
    assert places_of(order, [axis, 0]) == (place_of(order, axis), 0)


@by_order
@pytest.mark.parametrize("removed", [(1,), (2, 3), (-1,), (1, 3)])
def test_what_is_left_without_some_axes(order, removed):
    left = without_axes(order, removed)
    here = ARRAY.transpose(order).sum(places_of(order, removed))
    assert np.array_equal(ARRAY.sum(removed).transpose(left), here)


@by_order
def test_rows_of_a_flattened_tensor(order):
    rows = flat_rows(SHAPE[1:], order)
    flat, here = ARRAY.reshape(2, -1), ARRAY.transpose(order).reshape(2, -1)
    assert (rows is None) == (order == same_order(4))
    assert np.array_equal(here, flat if rows is None else flat[:, rows])


def test_rows_of_a_single_position_are_as_before():
    assert flat_rows((6, 1, 1), channels_last(4)) is None
