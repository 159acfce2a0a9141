"""Runs one command; errors become messages and exit codes.

What the parser itself can say is said before TensorFlow and Keras are imported.
"""

import contextlib
import importlib
import os
import re
import signal
import sys
import threading
import warnings

from keras_shapley_prune.command_line.library_messages import (
    import_quietly,
    is_of_library,
)
from keras_shapley_prune.command_line.parser import PROGRAM, parse
from keras_shapley_prune.inputs.one_line import describe

_PLACES = ("model", "pruned")  # what has no option, but a place in the command
_DISAGREES = "DisagreementWarning"  # its module takes long to import
_LONGEST = 800  # characters of a message: it may quote another one, of Keras


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: List of strings, or `None` for those of the process.

    Returns:
        Integer, the exit code: 0, 1 if it failed, 2 if what was given cannot be used, 3
        if a pruned model was written that does not do what the original does, 130 if it
        was interrupted, 141 if nobody reads what it prints any more, 143 if it was
        told to end (SIGTERM).

    Raises:
        SystemExit: By the parser, see `parse`.
    """
    options = parse(arguments)
    told = set()

    def show_warning(message, category, *place, **others):
        if not is_of_library(category):
            told.add(category.__name__)
            text = describe(message, _LONGEST)
            _say(f"warning: {_in_options(text, options)}")

    with warnings.catch_warnings():
        # `catch_warnings` puts back the old one in the end.
        warnings.showwarning = show_warning
        try:
            with _ending_in_order():
                _run(options)
        except ValueError as error:
            # `InputError` is one, and so are all complaints about arguments.
            return _fail(_in_options(describe(error, _LONGEST), options), 2)
        except BrokenPipeError:
            # Whoever read what was printed, such as `head`, has seen enough.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except (RuntimeError, OSError, ImportError) as error:
            return _fail(describe(error, _LONGEST), 1)
        except KeyboardInterrupt as error:
            # Of a long run, it says how to go on.
            return _fail(describe(error, _LONGEST), 130) if error.args else 130
        except _EndedError:
            return 143
        except Exception as error:  # of a layer of the user's own, or a mistake here
            return _fail(f"{type(error).__name__}: {describe(error, _LONGEST)}", 1)
    return 3 if _DISAGREES in told and not options.force else 0


def _run(options):
    module, function = options.run
    folder = f"{__package__}."
    with import_quietly():
        # All layers that the package saves in models have to be known to Keras.
        keras = importlib.import_module("keras")
        importlib.import_module("keras_shapley_prune.public_names")
        input_files = importlib.import_module(f"{folder}input_files")
        run = getattr(importlib.import_module(folder + module), function)
    # Also for copies of layers whose configs hold others.
    with keras.saving.custom_object_scope(input_files.import_modules(options.modules)):
        run(options)
    sys.stdout.flush()  # what goes wrong is to go wrong here


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
    _say(f"error: {text}")
    return code


def _say(text):
    print(f"{PROGRAM}: {text}", file=sys.stderr)
