"""What other libraries write is held back where all goes well."""

import os
import subprocess
import sys
import warnings

import pytest

from keras_shapley_prune.command_line.library_messages import (
    import_quietly,
    is_of_library,
)


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")


def test_what_an_import_writes_is_held_back(quiet, capfd):
    with import_quietly():
        os.write(2, b"Could not find cuda drivers\n")
    os.write(2, b"ours\n")
    assert capfd.readouterr().err == "ours\n"


def test_what_a_failing_import_writes_is_shown(quiet, capfd):
    with pytest.raises(ImportError), import_quietly():
        os.write(2, b"version `GLIBC_2.34' not found\n")
        raise ImportError
    assert "GLIBC" in capfd.readouterr().err


def test_whoever_asks_for_messages_gets_them(monkeypatch, capfd):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with import_quietly():
        os.write(2, b"oneDNN is on\n")
    assert "oneDNN" in capfd.readouterr().err


def test_standard_error_may_be_closed():
    code = """
import os
from keras_shapley_prune.command_line.library_messages import import_quietly
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.close(2)
with import_quietly():
    print("imported")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"imported\n"


@pytest.mark.parametrize(
    ("module", "category", "expected"),
    [
        ("keras.src.saving", UserWarning, True),
        ("tensorflow.python.data", RuntimeWarning, True),
        ("keras_shapley_prune.pruning", UserWarning, False),
        ("my_layers", UserWarning, False),
        ("my_layers", DeprecationWarning, True),
    ],
)
def test_warnings_of_libraries(module, category, expected, monkeypatch):
    found = []

    def show(message, category, *place, **options):
        found.append(is_of_library(category))

    monkeypatch.setattr(warnings, "showwarning", show)
    # Only whoever raises it counts, not whom it names as the place.
    monkeypatch.setitem(show.__globals__, "__name__", PROGRAM)
    namespace = {"__name__": module, "warnings": warnings, "category": category}
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        exec("warnings.warn('text', category, stacklevel=2)", namespace)
    assert found == [expected]


PROGRAM = "keras_shapley_prune.command_line.program"
