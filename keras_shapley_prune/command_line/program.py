"""Runs one command; errors become messages and exit codes.

What TensorFlow logs while it is imported cannot be silenced from here: the package,
and with it TensorFlow, is imported first, and reads `TF_CPP_MIN_LOG_LEVEL` only then.
It has to be set in the shell. All of it goes to standard error.
"""

import contextlib
import re
import signal
import sys
import threading
import warnings

import keras

from keras_shapley_prune.command_line.input_files import import_modules
from keras_shapley_prune.command_line.parser import PROGRAM, build_parser
from keras_shapley_prune.inputs.one_line import describe

_PLACES = ("model", "pruned")  # what has no option, but a place in the command
_LONGEST = 800  # characters of a message: it may quote another one, of Keras


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: List of strings, or `None` for those of the process.

    Returns:
        Integer, the exit code: 0, 1 if it failed, 2 if what was given cannot be used,
        130 if it was interrupted, 143 if it was told to end (SIGTERM).

    Raises:
        SystemExit: By argparse, with 2 for options that are not known or not of the
            right form, with 0 after `--help` and `--version`.
    """
    options = build_parser().parse_args(arguments)
    with warnings.catch_warnings():
        # `catch_warnings` puts back the old one in the end.
        warnings.showwarning = _show_warning
        try:
            with _ending_in_order():
                _run(options)
        except ValueError as error:
            # `InputError` is one, and so are all complaints about arguments.
            return _fail(_in_options(describe(error, _LONGEST), options), 2)
        except (RuntimeError, OSError, ImportError) as error:
            return _fail(describe(error, _LONGEST), 1)
        except KeyboardInterrupt as error:
            # Of a long run, it says how to go on.
            return _fail(describe(error, _LONGEST), 130) if error.args else 130
        except _EndedError:
            return 143
        except Exception as error:  # of a layer of the user's own, or a mistake here
            return _fail(f"{type(error).__name__}: {describe(error, _LONGEST)}", 1)
    return 0


def _run(options):
    # Also for copies of layers whose configs hold others.
    with keras.saving.custom_object_scope(import_modules(options.modules)):
        options.run(options)


class _EndedError(BaseException):
    """The process was told to end: no handler of errors is to catch it."""


@contextlib.contextmanager
def _ending_in_order():
    """Lets SIGTERM raise an error, so that no file is left unfinished."""

    def end(number, frame):
        raise _EndedError

    # Only there can handlers be set; elsewhere the process ends as it would.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _in_options(text, options):
    """Returns a message in which arguments of functions have the names of options."""
    names = {name: name for name in vars(options) if name not in _PLACES}
    names["dataset"] = "data"

    def rename(match):
        name = names.get(match[1])
        return f"`--{name.replace('_', '-')}`" if name else match[0]

    return re.sub(r"`(\w+)`", rename, text)


def _fail(text, code):
    print(f"{PROGRAM}: error: {text}", file=sys.stderr)
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None):
    """Prints a warning in one line, unless it is meant for programmers."""
    if issubclass(category, (DeprecationWarning, PendingDeprecationWarning)):
        return
    print(f"{PROGRAM}: warning: {describe(message, _LONGEST)}", file=sys.stderr)
