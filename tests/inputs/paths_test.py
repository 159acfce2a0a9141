"""Paths: which can be read and written is known before anything is."""

import os

import pytest

from keras_shapley_prune.inputs.paths import (
    check_folder,
    check_source,
    check_target,
    open_to_write,
)


def test_what_can_be_written(tmp_path):
    for path in (tmp_path / "a", str(tmp_path / "b" / "c" / "a"), os.fspath("a")):
        check_target(path)
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "logs")
    with open_to_write(tmp_path / "a") as file:
        file.write("ä")
    check_target(tmp_path / "a")  # to be replaced
    check_source(tmp_path / "a")


def test_what_cannot(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"`to_file` .*where there is no folder"):
        check_target(tmp_path / "new" / "a", "to_file", make_folders=False)
    with pytest.raises(ValueError, match=r"`path` .*which is a folder"):
        check_target(tmp_path)
    with pytest.raises(ValueError, match=r"`logs` .*file' is a file"):
        check_folder(tmp_path / "file", "logs")
    with pytest.raises(ValueError, match="which does not exist"):
        check_source(tmp_path / "none")
    with pytest.raises(ValueError, match="a folder"):
        check_source(tmp_path)
    with pytest.raises(ValueError, match="Is a directory"), open_to_write(tmp_path):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is writable for root")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="is not writable"):
        check_target(tmp_path / "a")
