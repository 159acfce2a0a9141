"""Tests of the calibration data: every form gives the same batches."""

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from datasets import BAD_DATA, BATCH_SIZE, FORMS, NUM_EXAMPLES, Exploding, make_arrays
from keras import layers

from keras_shapley_prune.inputs.data import CalibrationData


def _read(dataset, model=None, **options):
    inputs = (model or models.classifier(compiled=False)).inputs
    return list(CalibrationData(dataset, inputs, BATCH_SIZE, **options))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_form_gives_the_same_batches(form, weighted):
    arrays = make_arrays(weighted)
    batches = _read(FORMS[form](arrays))
    assert [len(values[0]) for values, _, _ in batches] == [4, 4, 2]
    parts = [
        np.concatenate([b[0][0] for b in batches]),
        np.concatenate([b[1] for b in batches]),
    ]
    if weighted:
        parts.append(np.concatenate([b[2] for b in batches]))
    else:
        assert not keras.tree.flatten([b[2] for b in batches])
    for ours, theirs in zip(parts, arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("form", ["arrays", "tf.data", "PyDataset", "list of batches"])
def test_data_can_be_read_twice(form):
    data = CalibrationData(
        FORMS[form](make_arrays()), models.classifier(compiled=False).inputs, BATCH_SIZE
    )
    assert len(list(data)) == len(list(data)) == 3


def test_integers_become_what_the_model_takes():
    x = np.arange(2 * 36, dtype="uint8").reshape(2, 6, 6, 1)
    ((values, _, _),) = _read((x, np.zeros(2)))
    assert values[0].dtype == tf.float32
    np.testing.assert_array_equal(values[0], x.astype("float32"))


def test_a_missing_channel_axis_is_added():
    x, y = make_arrays()
    batches = _read((x[..., 0], y))
    np.testing.assert_array_equal(batches[0][0][0], x[:BATCH_SIZE])


@pytest.mark.parametrize(
    "arrange",
    [
        lambda image, extra: {"image": image, "extra": extra},
        lambda image, extra: {"extra": extra, "image": image, "unused": extra},
        lambda image, extra: [extra, image],  # the order of `model.inputs`
    ],
)
@pytest.mark.parametrize("form", ["arrays", "tf.data", "generator"])
def test_several_inputs_come_in_the_models_order(arrange, form):
    model = models.build(models.two_ends)
    assert [tensor.name for tensor in model.inputs] == ["extra", "image"]
    inputs = models.inputs_of(model, NUM_EXAMPLES)
    x = arrange(inputs["image"], inputs["extra"])
    if isinstance(x, list) and form == "tf.data":
        x = tuple(x)
    y = (np.zeros(NUM_EXAMPLES), np.ones((NUM_EXAMPLES, 1)))
    batches = _read(FORMS[form]((x, y)), model)
    for position, name in enumerate(("extra", "image")):
        joined = np.concatenate([values[position] for values, _, _ in batches])
        np.testing.assert_array_equal(joined, inputs[name])
    assert np.concatenate([labels[1] for _, labels, _ in batches]).shape == (10, 1)


def test_inputs_by_the_keys_of_the_model():
    first, second = keras.Input((2,), name="x1"), keras.Input((2,), name="x2")
    with pytest.warns(UserWarning, match="keys"):
        model = keras.Model(
            {"a": first, "b": second}, layers.Add()([first, 2 * second])
        )
    x = {"a": np.zeros((3, 2)), "b": np.ones((3, 2))}
    np.testing.assert_array_equal(model.predict(x, verbose=0), 2 * np.ones((3, 2)))
    data = CalibrationData((x, np.zeros(3)), model.input)
    ((values, _, _),) = list(data)
    np.testing.assert_array_equal(values[1], x["b"])


def test_no_weights_may_be_written_out():
    x, y = make_arrays()
    for (values, labels, weights), expected in zip(
        _read((x, y, None)), _read((x, y)), strict=True
    ):
        np.testing.assert_array_equal(values[0], expected[0][0])
        np.testing.assert_array_equal(labels, expected[1])
        assert not keras.tree.flatten(weights)


def test_labels_are_not_needed_where_they_are_not():
    x, _ = make_arrays()
    batches = _read(x, needs_labels=False)
    assert sum(len(values[0]) for values, _, _ in batches) == NUM_EXAMPLES


def test_nothing_is_read_before_it_is_needed():
    CalibrationData(Exploding(), models.classifier(compiled=False).inputs)


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused(case):
    make, words = BAD_DATA[case]
    with pytest.raises(ValueError, match=words):
        _read(make())
