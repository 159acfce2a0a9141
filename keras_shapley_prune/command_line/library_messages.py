"""What Keras, TensorFlow and others say on standard error, which is not ours."""

import contextlib
import logging
import os
import sys
import tempfile

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# What their warnings tell is meant for whoever writes code.
_LIBRARIES = {
    "absl",
    "ai_edge_litert",
    "google",
    "h5py",
    "keras",
    "litert_quantizer",
    "numpy",
    "scipy",
    "tensorflow",
    "tensorflow_datasets",
    "tf_keras",
}


@contextlib.contextmanager
def import_quietly():
    """A context in which TensorFlow is imported, and logs nothing from then on.

    Whoever has set `TF_CPP_MIN_LOG_LEVEL` to less than 3 wants to see it all. If the
    import fails, what it has written is shown.
    """
    if os.environ.setdefault(_LEVEL, "3") != "3":
        yield
        return
    # The level counts only for what is logged after TensorFlow has been imported.
    with hold_back():
        yield
        for name in ("tensorflow", "absl"):
            logging.getLogger(name).setLevel(logging.ERROR)


@contextlib.contextmanager
def hold_back():
    """A context in which what C++ writes to standard error is shown after errors only.

    What Python writes is shown at once.
    """
    try:
        shown = os.dup(2)
    except OSError:  # it has been closed
        yield
        return
    sys.stderr.flush()
    with (
        tempfile.TemporaryFile() as held,
        os.fdopen(shown, "w", encoding=sys.stderr.encoding, buffering=1) as stream,
        _python_to(stream),
    ):
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(shown, held.read())
            raise
        finally:
            os.dup2(shown, 2)


def _python_to(stream):
    """Returns a context in which what Python writes to standard error goes elsewhere.

    Args:
        stream: A stream. If standard error is no file, it is not in the way of C++.
    """
    try:
        is_file = sys.stderr.fileno() == 2
    except (OSError, ValueError):
        is_file = False
    return contextlib.redirect_stderr(stream) if is_file else contextlib.nullcontext()


def is_of_library(category):
    """Returns whether the warning that is being shown is one of another library.

    Args:
        category: The class of the warning.
    """
    if issubclass(category, (DeprecationWarning, PendingDeprecationWarning)):
        return True
    # By `stacklevel`, a warning may name any file: who has raised it is on the stack.
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name != "warnings" and name != f"{__package__}.program":
            return name.split(".")[0] in _LIBRARIES
        frame = frame.f_back
    return False
