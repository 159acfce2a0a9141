"""Tests of the calibration data: every form gives the same batches."""

import itertools

import keras
import models
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf
from datasets import (
    BAD_DATA,
    BATCH_SIZE,
    FORMS,
    NUM_EXAMPLES,
    Batches,
    EndlessBatches,
    Exploding,
    X,
    Y,
    make_arrays,
)
from keras import layers
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from keras_shapley_prune.inputs import limits
from keras_shapley_prune.inputs.data import CalibrationData, make_repeatable


def _read(dataset, model=None, **options):
    inputs = (model or models.classifier(compiled=False)).inputs
    return list(CalibrationData(dataset, inputs, BATCH_SIZE, **options))


@pytest.mark.sweep(6)
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


@pytest.mark.sweep(7)
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_refused(case):
    make, words = BAD_DATA[case]
    with pytest.raises(ValueError, match=words):
        _read(make())


def _images_of_keras(x, y, **options):
    """Keras's own images: a `PyDataset` whose iterator goes round without end."""
    generator = ImageDataGenerator()
    return generator.flow(x, y, batch_size=BATCH_SIZE, **options)


class Numbered:
    """A sequence of batches that is no `PyDataset`, such as one of tf_keras."""

    def __init__(self, arrays):
        self._batches = Batches(arrays)

    def __len__(self):
        return len(self._batches)

    def __getitem__(self, index):
        return self._batches[index]


class EndlessNumbered(Numbered):
    """The same, whose iterator never ends."""

    def __iter__(self):
        return self

    def __next__(self):
        return self[0]


class Iterable:
    """What can be iterated again and again, and no more is known of it."""

    def __init__(self, make):
        self._make = make

    def __iter__(self):
        return self._make()


BY_NUMBER = {
    "images": lambda x, y: _images_of_keras(x, y, shuffle=False),
    "images, shuffled": _images_of_keras,
    "with workers": lambda x, y: Batches((x, y), workers=2, use_multiprocessing=False),
    "another sequence": lambda *arrays: Numbered(arrays),
    "another, endless as an iterator": lambda *arrays: EndlessNumbered(arrays),
    "iterable": lambda *arrays: Iterable(lambda: FORMS["generator"](arrays)),
}


@pytest.mark.parametrize("form", BY_NUMBER)
def test_a_sequence_is_read_once_round(form):
    x, y = make_arrays()
    dataset = make_repeatable(BY_NUMBER[form](x, y))
    for _ in range(2):
        batches = _read(dataset)
        assert [len(values[0]) for values, _, _ in batches] == [4, 4, 2]
        read = np.concatenate([values[0] for values, _, _ in batches])
        if "shuffled" in form:
            read = read[np.argsort(read[:, 0, 0, 0])]
            np.testing.assert_array_equal(read, x[np.argsort(x[:, 0, 0, 0])])
        else:
            np.testing.assert_array_equal(read, x)


def _endless(batch):
    while True:
        yield batch


ENDLESS = {
    "generator": lambda batch: _endless(batch),
    "cycle": lambda batch: itertools.cycle([batch]),
    "zip": lambda batch: zip(*map(itertools.repeat, batch), strict=True),
    "iterable": lambda batch: Iterable(lambda: _endless(batch)),
    "generator of dicts": lambda batch: _endless({"image": batch[0]}),
    "tf.data": lambda batch: tf.data.Dataset.from_tensors(batch).repeat(),
    "tf.data of a generator": lambda batch: tf.data.Dataset.from_generator(
        lambda: _endless(batch),
        output_signature=tuple(
            tf.TensorSpec.from_tensor(tf.constant(a)) for a in batch
        ),
    ),
    "tf.data, filtered": lambda batch: (
        tf.data.Dataset.from_tensors(batch).repeat().filter(lambda *_: True)
    ),
    "PyDataset": lambda batch: EndlessBatches(batch),
}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("form", ENDLESS)
def test_what_has_no_end_is_refused(form, monkeypatch):
    monkeypatch.setattr(limits, "MAX_EXAMPLES", 200)
    x, y = make_arrays()
    message = r"`dataset` should be finite.*itertools\.islice.*dataset\.take"
    with pytest.raises(ValueError, match=message):
        _read(make_repeatable(ENDLESS[form]((x, y))), needs_labels=False)
    with pytest.raises(ValueError, match=message):  # as rankers are given it
        _read(ENDLESS[form]((x, y)), needs_labels=False)


def test_the_beginning_of_what_has_no_end_may_be_read():
    x, y = make_arrays()
    first = next(iter(CalibrationData(_endless((x, y)), _classifier().inputs)))
    np.testing.assert_array_equal(first[0][0], x)


def _classifier():
    return models.classifier(compiled=False)


def _two_inputs():
    return keras.Input((3,), name="left"), keras.Input((5,), name="right")


LEFT, RIGHT = np.arange(30.0).reshape(10, 3), np.arange(50.0).reshape(10, 5)
LABELS = np.arange(10)
SEVERAL = {
    "list": [LEFT, RIGHT],
    "tuple": (LEFT, RIGHT),
    "list in a tuple": ([LEFT, RIGHT],),
    "without labels": ([LEFT, RIGHT], None),
    "nothing else": ([LEFT, RIGHT], None, None),
    "with labels": ([LEFT, RIGHT], LABELS),
    "tuple and labels": ((LEFT, RIGHT), LABELS),
    "labels in a list": ([LEFT, RIGHT], LABELS.tolist()),
    "tensors": [tf.constant(LEFT), tf.constant(RIGHT)],
    "by name": {"right": RIGHT, "left": LEFT},
    "by name, with labels": ({"left": LEFT, "right": RIGHT, "more": LABELS}, LABELS),
    "batches": [[LEFT[:6], RIGHT[:6]], [LEFT[6:], RIGHT[6:]]],
    "batches with labels": [([LEFT[:6], RIGHT[:6]], LABELS[:6])],
    "batches by name": [{"left": LEFT[:6], "right": RIGHT[:6]}],
}


@pytest.mark.parametrize("form", SEVERAL)
def test_several_inputs_as_keras_takes_them(form):
    data = CalibrationData(SEVERAL[form], list(_two_inputs()), 4, needs_labels=False)
    batches = list(data)
    left, right = (np.concatenate([v[i] for v, _, _ in batches]) for i in range(2))
    np.testing.assert_array_equal(left, LEFT[: len(left)])
    np.testing.assert_array_equal(right, RIGHT[: len(right)])
    assert len(left) == (
        6 if form in ("batches with labels", "batches by name") else 10
    )
    if "with" in form and form != "without labels":
        labels = np.concatenate([labels for _, labels, _ in batches])
        np.testing.assert_array_equal(labels, LABELS[: len(labels)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: ({"left": LEFT[i : i + 5], "right": RIGHT[i : i + 5]} for i in (0, 5)),
        lambda: ((LEFT[i : i + 5], RIGHT[i : i + 5]) for i in (0, 5)),
        lambda: (([LEFT[i : i + 5], RIGHT[i : i + 5]], LABELS[:5]) for i in (0, 5)),
        lambda: tf.data.Dataset.from_tensor_slices((LEFT, RIGHT)).batch(5),
        lambda: tf.data.Dataset.from_tensor_slices(((LEFT, RIGHT), LABELS)).batch(5),
        lambda: tf.data.Dataset.from_tensor_slices(SEVERAL["by name"]).batch(5),
    ],
)
def test_batches_of_several_inputs(make):
    data = CalibrationData(make(), list(_two_inputs()), needs_labels=False)
    batches = list(data)
    assert len(batches) == 2
    for i, expected in enumerate((LEFT, RIGHT)):
        read = np.concatenate([values[i] for values, _, _ in batches])
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ([LEFT, RIGHT, RIGHT], r"2 input\(s\).*Received: 3 \(.*`\[left, right\]`"),
        (
            (LEFT, RIGHT, LABELS),
            r"Received: 3 \(.*with labels `\(\[left, right\], y\)`",
        ),
        (LEFT, r"2 input\(s\) a batch. Received: 1 \(an array for each"),
        ([LEFT, RIGHT[:7]], r"same number of examples.*\[10, 7\]"),
        ([[LEFT, RIGHT[:7]]], r"for each input.*\{'left': 10, 'right': 7\}"),
        ([RIGHT, LEFT], r"input 'left' in batches of shape \(None, 3\)"),
        ([[LEFT, None]], "input 'right', also if it is optional. Received: None"),
        ({"left": LEFT}, r"the inputs \['left', 'right'\].*with \['left'\]"),
        ([LEFT, "right"], "Argument `dataset` should"),
    ],
)
def test_several_inputs_that_do_not_fit(dataset, words):
    with pytest.raises(ValueError, match=words):
        list(CalibrationData(dataset, list(_two_inputs()), needs_labels=False))


def test_one_input_in_a_list():
    x, y = make_arrays()
    for dataset in ([x], ([x],), ([x], y), [[x]], {"image": x}, ({"image": x}, y)):
        batches = _read(dataset, needs_labels=False)
        read = np.concatenate([values[0] for values, _, _ in batches])
        np.testing.assert_array_equal(read, x)


def test_numbers_in_lists_and_sparse_matrices_are_arrays():
    inputs = keras.Input((2,))
    rows = [[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]]
    sparse = scipy.sparse.csr_matrix(rows)
    for x in (rows, sparse, tf.sparse.from_dense(rows)):
        for dataset in (x, (x, [0, 1, 1]), [(x, [0, 1, 1])]):
            ((values, _, _),) = CalibrationData(dataset, inputs, needs_labels=False)
            np.testing.assert_array_equal(values[0], rows)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: tf.ragged.constant([[1.0], [2.0, 3.0]]), r"dense.*`ragged.to_tensor"),
        (lambda: [np.array([{}, {}])], "arrays of numbers"),
        (lambda: (X, Y, Y, Y), "Received: 4 entries"),
        (lambda: _endless, "such as what a generator function returns"),
        (lambda: "images", "should be a `tf.data.Dataset`.*'str'"),
        (lambda: PyDatasetWithoutLength(), "should tell its number of batches"),
    ],
)
def test_what_is_no_data(make, words):
    with pytest.raises(ValueError, match=words):
        _read(make(), needs_labels=False)


class PyDatasetWithoutLength(keras.utils.PyDataset):
    """As it is when `__len__` is forgotten."""

    def __getitem__(self, index):
        raise AssertionError("the data was read")


def _fixed(size=4):
    return [keras.Input(batch_shape=(size, 6, 6, 1), name="image")]


@pytest.mark.filterwarnings("ignore:The model takes batches of 4 examples")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_fixed_batch_size_is_met(form, weighted):
    arrays = make_arrays(weighted)
    data = CalibrationData(FORMS[form](arrays), _fixed(), 32)
    batches = list(data)
    assert [len(values[0]) for values, _, _ in batches] == [4, 4]
    for position, array in enumerate(arrays):
        parts = [[b[0][0], b[1], b[2]][position] for b in batches]
        np.testing.assert_array_equal(np.concatenate(parts), array[:8])


def test_small_batches_are_joined_and_the_rest_is_told():
    x, y = make_arrays()
    batches = [(x[i : i + 3], y[i : i + 3]) for i in range(0, 10, 3)]
    with pytest.warns(
        UserWarning, match="of 4 examples: the last 2 of 10 are not read"
    ):
        read = list(CalibrationData(batches, _fixed()))
    assert [len(values[0]) for values, _, _ in read] == [4, 4]
    np.testing.assert_array_equal(np.concatenate([y for _, y, _ in read]), y[:8])


def test_too_few_for_a_fixed_batch_size():
    with pytest.raises(ValueError, match=r"at least 16 examples.*Received: 10"):
        list(CalibrationData(make_arrays(), _fixed(16)))


def test_sizes_that_differ_cannot_be_in_one_batch():
    inputs = keras.Input(batch_shape=(4, None, None, 1))
    batches = [np.zeros((2, 5, 5, 1)), np.zeros((2, 6, 6, 1))]
    with pytest.raises(ValueError, match=r"of one size.*5, 5, 1\)\] and .*6, 6, 1"):
        list(CalibrationData(batches, inputs, needs_labels=False))


def test_complex_numbers_are_no_images():
    """A cast would drop what is imaginary."""
    model = keras.Sequential([keras.Input((2,), name="image"), layers.Dense(3)])
    x = np.ones((4, 2), "complex64")
    with pytest.raises(ValueError, match=r"real numbers for input .* complex64"):
        _read(x, model, needs_labels=False)
    with pytest.raises(ValueError, match="real numbers for `y`"):
        _read((x.real, x), model)
    _read((x.real, x), model, needs_labels=False)
