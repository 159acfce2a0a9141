"""Tests of the files of a checkpoint: whatever is wrong with one is said."""

import io
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.checkpoint.entries import read_entry, write_entry

CONTENT = {
    "sum": np.array([[1.5, np.nan], [np.inf, -0.0]]),
    "active": np.array([True, False]),
    "half": np.array([1, 3], tf.bfloat16.as_numpy_dtype),
    "empty": np.zeros((0, 3), "float32"),
    "stage": 3,
    "limit": float("inf"),
    "generator": {"state": 2**120 + 1},
}


@pytest.fixture
def path(tmp_path):
    found = tmp_path / "group-00001.npz"
    write_entry(found, CONTENT, "run")
    return found


def test_what_is_written_is_read_to_the_last_bit(path):
    found = read_entry(path, "run")
    assert found.keys() == CONTENT.keys()
    for name, value in CONTENT.items():
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype
            assert found[name].shape == value.shape
            assert found[name].tobytes() == value.tobytes()
        else:
            assert found[name] == value


def test_what_was_not_written_is_not_there(tmp_path):
    assert read_entry(tmp_path / "group.npz", "run") is None


def test_no_truncated_file_is_read(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"group-00001.npz' to be a file of a"):
            read_entry(path, "run")


def test_no_wrong_bit_is_read(path):
    """Where a changed bit changes nothing, as in a date, what is read is right."""
    whole = path.read_bytes()
    for place in range(0, len(whole), 5):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]
        )
        try:
            found = read_entry(path, "run")
        except ValueError as error:
            assert "group-00001.npz" in str(error)
        else:
            assert found["sum"].tobytes() == CONTENT["sum"].tobytes()
            assert found["stage"] == CONTENT["stage"]


def to_npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def to_pickled():
    file = io.BytesIO()
    np.savez(file, header=np.array([{"a": 1}], object))
    return file.getvalue()


def to_archive():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../outside.npy", b"1")
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        json.dumps({"format": "keras_shapley_prune.Checkpoint"}).encode(),
        to_npz(a=np.ones(3)),
        to_npz(header=np.ones(3)),
        to_npz(header=np.frombuffer(b'{"format": 1}', "uint8")),
        to_npz(header=np.frombuffer(b"[]", "uint8")),
        to_pickled(),
        to_archive(),
    ],
)
def test_no_foreign_file_is_read(path, data):
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"group-00001.npz' to be a file of a"):
        read_entry(path, "run")
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_entries_of_other_runs_and_names_are_refused(path):
    with pytest.raises(ValueError, match=r"group-00001.npz' to be a file of this very"):
        read_entry(path, "another run")
    other = path.with_name("group-00002.npz")
    path.rename(other)
    with pytest.raises(ValueError, match=r"group-00002.npz' to be a file of this very"):
        read_entry(other, "run")
