"""Tests of files that are there as a whole or not at all."""

import os
import subprocess
import sys

import pytest

from keras_shapley_prune.checkpoint.whole_files import (
    is_unfinished,
    remove_unfinished,
    unfinished_beside,
    write_whole,
)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file.npz"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"new")
        assert path.read_bytes() == b"old"
        assert [is_unfinished(p) for p in sorted(tmp_path.iterdir())] == [True, False]

    write_whole(path, write)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "file.npz"
    path.write_bytes(b"old")

    def write(file):
        file.write(b"ne")
        raise error

    with pytest.raises(error):
        write_whole(path, write)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def ended_process():
    """Returns the number of a process that is no longer running."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def of_process(path, number):
    return path.with_name(
        unfinished_beside(path).name.replace(str(os.getpid()), number)
    )


def test_what_killed_processes_left_is_removed(tmp_path):
    path, folder = tmp_path / "file.npz", tmp_path / "model"
    left = of_process(path, str(ended_process()))
    left.write_bytes(b"half")
    of_process(folder, str(ended_process())).mkdir()
    running = of_process(path, str(os.getppid()))
    running.write_bytes(b"being written")
    other = tmp_path / ".notes.unfinished-by-me"
    other.write_bytes(b"of somebody else")
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([running, other])


def test_only_those_of_one_file(tmp_path):
    paths = [tmp_path / name for name in ("a.keras", "b.keras", "a")]
    number = str(ended_process())
    for path in paths:
        of_process(path, number).write_bytes(b"half")
    remove_unfinished(tmp_path, paths[0])
    assert sorted(tmp_path.iterdir()) == sorted(
        of_process(p, number) for p in paths[1:]
    )


@pytest.mark.parametrize("replaced", [True, False])
def test_what_was_to_be_replaced_is_there_again(tmp_path, replaced):
    """A process was killed while it put one folder in the place of another."""
    folder = tmp_path / "model"
    old = of_process(folder, str(ended_process()))
    old = old.with_name(f"{old.name}.old")
    old.mkdir()
    (old / "weights").write_text("old")
    if replaced:
        folder.mkdir()
        (folder / "weights").write_text("new")
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "weights").read_text() == ("new" if replaced else "old")
