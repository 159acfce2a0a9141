"""Runs one command; errors become messages and exit codes.

What TensorFlow logs while it is imported cannot be silenced from here: the package,
and with it TensorFlow, is imported first, and reads `TF_CPP_MIN_LOG_LEVEL` only then.
It has to be set in the shell. All of it goes to standard error.
"""

import sys
import warnings

import keras

from keras_shapley_prune.command_line.input_files import import_modules
from keras_shapley_prune.command_line.parser import PROGRAM, build_parser
from keras_shapley_prune.inputs.one_line import describe

_LONGEST = 800  # characters of a message: it may quote another one, of Keras


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: List of strings, or `None` for those of the process.

    Returns:
        Integer, the exit code: 0, 1 if it failed, 2 if what was given cannot be used,
        130 if it was interrupted.

    Raises:
        SystemExit: By argparse, with 2 for options that are not known or not of the
            right form, with 0 after `--help` and `--version`.
    """
    options = build_parser().parse_args(arguments)
    with warnings.catch_warnings():
        # `catch_warnings` puts back the old one in the end.
        warnings.showwarning = _show_warning
        try:
            # Also for copies of layers whose configs hold others.
            with keras.saving.custom_object_scope(import_modules(options.modules)):
                options.run(options)
        except ValueError as error:
            # `InputError` is one, and so are all complaints about arguments.
            return _fail(error, 2)
        except (RuntimeError, OSError, ImportError) as error:
            return _fail(error, 1)
        except KeyboardInterrupt as error:
            # Of a long run, it says how to go on.
            return _fail(error, 130) if error.args else 130
    return 0


def _fail(error, code):
    print(f"{PROGRAM}: error: {describe(error, _LONGEST)}", file=sys.stderr)
    return code


def _show_warning(message, category, filename, lineno, file=None, line=None):
    """Prints a warning in one line, unless it is meant for programmers."""
    if issubclass(category, (DeprecationWarning, PendingDeprecationWarning)):
        return
    print(f"{PROGRAM}: warning: {describe(message, _LONGEST)}", file=sys.stderr)
