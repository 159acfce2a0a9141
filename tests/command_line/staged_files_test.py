"""Files appear together, or not at all: also if the process is ended or killed."""

import multiprocessing
import os
import signal
import threading

import pytest

from keras_shapley_prune.command_line import prune_commands
from keras_shapley_prune.command_line.input_files import InputError
from keras_shapley_prune.command_line.program import main
from keras_shapley_prune.command_line.staged_files import StagedFiles, check_targets


def write_until_killed():
    """Stages two files and a folder, in a process that does not get to the end."""
    with StagedFiles() as files:
        files.stage("out.keras").write_text("half")
        folder = files.stage("served")
        folder.mkdir()
        (folder / "saved_model.pb").write_text("half")
        files.stage("other.keras").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_next_run_removes_what_a_killed_one_has_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.keras").write_text("before")
    # A fork: to import TensorFlow anew takes longer than all other tests of this file.
    killed = multiprocessing.get_context("fork").Process(target=write_until_killed)
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert len(names(tmp_path)) == 4
    targets = [("--output", "out.keras", (".keras",)), ("--export", "served", None)]
    check_targets(targets)
    # What was to become another file is left to the run that writes it.
    (left,) = names(tmp_path) - {"out.keras"}
    assert left.startswith(".other.unfinished-")
    assert (tmp_path / "out.keras").read_text() == "before"


def test_a_folder_that_was_moved_away_last_is_put_back(tmp_path):
    with StagedFiles() as files:
        name = files.stage(tmp_path / "served").name
        files._staged.clear()
    process = 2**22 + 1  # there are no such processes
    old = tmp_path / name.replace(str(os.getpid()), f"{process}")
    old = old.with_name(f"{old.name}.old")
    old.mkdir()
    (old / "saved_model.pb").write_text("before")
    check_targets([("--export", str(tmp_path / "served"), None)])
    assert names(tmp_path) == {"served"}


def test_what_a_running_process_writes_is_left(tmp_path):
    with StagedFiles() as files:
        path = files.stage(tmp_path / "out.keras")
        path.write_text("half")
        check_targets([("--output", str(tmp_path / "out.keras"), (".keras",))])
        assert path.exists()
        parent = path.with_name(path.name.replace(str(os.getpid()), str(os.getppid())))
        parent.write_text("half")
        check_targets([("--output", str(tmp_path / "out.keras"), (".keras",))])
        assert parent.exists()
    assert not path.exists()


def test_the_signal_to_end_leaves_no_file(tmp_path, monkeypatch, capsys):
    """As `kill` and a batch system send it, in the middle of a write."""
    monkeypatch.chdir(tmp_path)

    def write(options):
        with StagedFiles() as files:
            files.stage("out.keras").write_text("half")
            assert len(names(tmp_path)) == 1
            os.kill(os.getpid(), signal.SIGTERM)
            threading.Event().wait(60)  # the handler runs before it ends

    monkeypatch.setattr(prune_commands, "prune", write)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["prune", "model.keras", "-o", "out.keras"]) == 143
    assert not names(tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("path", ["/proc/out.keras", "file/out.keras", "folder.keras"])
def test_where_no_file_can_be_written(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(InputError, match=r"`--output`.*Received"):
        check_targets([("--output", path, (".keras",))])
