"""Tests of files that appear all together, or not at all."""

import os
import subprocess
import sys

from keras_shapley_prune.checkpoint.whole_files import unfinished_beside
from keras_shapley_prune.command_line.staged_files import StagedFiles


def test_what_a_killed_process_left_is_removed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    target = tmp_path / "pruned.keras"
    name = unfinished_beside(target).name
    left = tmp_path / name.replace(str(os.getpid()), str(process.pid))
    left.write_bytes(b"half")
    with StagedFiles() as files:
        files.stage(target).write_bytes(b"whole")
        files.commit()
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"whole"
