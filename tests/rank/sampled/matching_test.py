"""Tests of which examples share a block of walks."""

import numpy as np

from keras_shapley_prune.rank.sampled.matching import find_kinds, place_examples


def test_classes_are_read_from_labels():
    for labels in ([2, 0, 1], [[2], [0], [1]], [2.0, 0.0, 1.0], np.eye(3)[[2, 0, 1]]):
        found = find_kinds([np.array(labels)], [], [], 3)
        assert found.tolist() == [2, 0, 1]


def test_classes_are_read_from_outputs_where_labels_tell_none():
    outputs = [np.eye(4)[[3, 1]]]
    for labels in (
        [],
        [np.array([0.5, 0.25])],
        [np.zeros((2, 5, 5))],
        [[0, 1], [0, 1]],
    ):
        assert find_kinds(labels, [], outputs, 2).tolist() == [3, 1]
    assert find_kinds([], [], [np.array([[0.5], [0.25]])], 2).tolist() == [0, 0]
    assert find_kinds([], [], [], 2).tolist() == [0, 0]


def test_labels_of_any_kind_are_taken():
    outputs = [np.eye(4)[[3, 1]]]
    for labels in (
        np.array([b"1.0", b"2.0"], object),
        np.array([["a", "b"], ["c", "d"]]),
        np.array([1e30, 0], "float32"),
        np.array([np.inf, np.nan]),
    ):
        with np.errstate(all="raise"):
            assert find_kinds([labels], [], outputs, 2).tolist() == [3, 1]
    assert find_kinds([np.array([True, False])], [], outputs, 2).tolist() == [1, 0]


def test_labels_of_examples_without_a_weight_tell_nothing():
    weights = [np.array([1.0, 0.0, 2.0])]
    assert find_kinds([np.array([1, 2, 3])], weights, [], 3).tolist() == [1, -1, 3]


def test_neighbours_are_of_one_class_and_have_as_much_to_share_out():
    ends = np.array([[5, 0], [1, 0], [3, 1], [9, 0]], "float32")
    places = place_examples(ends, np.array([1, 0, 0, 1]))
    assert places.tolist() == [2, 0, 1, 3]


def test_values_that_are_not_finite_have_places():
    ends = np.array([[np.inf, np.inf], [1, 0]], "float32")
    assert sorted(place_examples(ends, np.zeros(2, int))) == [0, 1]
