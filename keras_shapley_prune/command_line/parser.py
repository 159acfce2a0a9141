"""The commands and their options."""

import argparse
import difflib
import re

import keras_shapley_prune
from keras_shapley_prune.command_line.choices import METHODS, MODES
from keras_shapley_prune.command_line.numbers_given import (
    allowed_drop,
    positive_integer,
    positive_number,
    share,
)
from keras_shapley_prune.command_line.options import (
    add_budget_options,
    add_checkpoint_option,
    add_data_options,
    add_granularity_option,
    add_layers_options,
    add_outputs_options,
    add_ranker_options,
    add_runtime_options,
)

PROGRAM = "keras-shapley-prune"

_EPILOG = """exit codes: 0 all is done; 1 it failed, such as the check of a pruned
model; 2 the command or a file it names cannot be used; 3 all is done and written, but a
pruned model does not do what the original does. Results go to standard output, progress
and errors to standard error. Files are written when everything has succeeded."""

# Parts of the names of metrics that are between 0 and 1.
_SHARES = ("acc", "auc", "f1", "iou", "precision", "recall")


class _Parser(argparse.ArgumentParser):
    """Prints errors in one line, and asks what a misspelled option was meant for."""

    def error(self, message):
        wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)$", message)
        if wrong is not None:
            message += _suggest(wrong[1], re.findall(r"[\w-]+", wrong[2]))
        # Without the usage, which argparse prints first and which is longer than that.
        self.exit(2, f"{PROGRAM}: error: {message} (see {self.prog} --help)\n")

    def suggest(self, word):
        """Returns the question whether an option was meant, or an empty string."""
        return _suggest(word.partition("=")[0], list(self._option_string_actions))


def _suggest(word, known):
    near = difflib.get_close_matches(word, known, 1)
    return f". Did you mean {near[0]}?" if near else ""


def parse(arguments=None):
    """Parses a command, with nothing imported that takes long.

    Args:
        arguments: List of strings, or `None` for those of the process.

    Returns:
        A namespace: the options of the command, and as `run` the module and the name of
        the function to call with them.

    Raises:
        SystemExit: With 2 for options that are not known or not of the right form, with
            0 after `--help` and `--version`.
    """
    options, unknown = build_parser().parse_known_args(arguments)
    parser = vars(options).pop("parser")
    if unknown:
        near = parser.suggest(unknown[0])
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{near}")
    drop, metric = getattr(options, "max_drop", 0), getattr(options, "metric", "")
    if drop >= 1 and any(part in metric.lower() for part in _SHARES):
        parser.error(
            f"argument --max-drop: should be a number in [0, 1) for --metric {metric}. "
            f"Received: {drop:g}. Did you mean {drop / 100:g}, {drop:g} percent?"
        )
    return options


def build_parser():
    """Returns the parser, see `parse`."""
    parser = _Parser(
        prog=PROGRAM,
        description="Removes the least valuable filters of a trained Keras model.",
        epilog=_EPILOG,
    )
    version = f"{PROGRAM} {keras_shapley_prune.__version__}"
    parser.add_argument("--version", action="version", version=version)
    add = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_inspect(add)
    _add_rank(add)
    _add_prune(add)
    _add_prune_until(add)
    _add_report(add)
    return parser


def _add_inspect(add):
    text = "show what can be pruned in a model, what is locked, and why"
    add_granularity_option(_add_command(add, "inspect", ("commands", "inspect"), text))


def _add_rank(add):
    text = "rank the filters of a model once, for any number of ratios"
    parser = _add_command(add, "rank", ("commands", "rank"), text)
    add_data_options(parser)
    add_ranker_options(parser)
    add_checkpoint_option(parser)
    add_layers_options(parser)
    parser.add_argument(
        "--ratio",
        type=share,
        help="the share that will be removed: ranks only as far as `prune` needs for "
        "this ratio (default: the ranking serves any ratio)",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="a .json file"
    )


def _add_prune(add):
    text = "remove a share of a model"
    parser = _add_command(add, "prune", ("prune_commands", "prune"), text)
    parser.add_argument(
        "--ratio",
        type=share,
        nargs="+",
        default=[0.5],
        help="the share to remove, in [0, 1) (default 0.5); several shares are ranked "
        "once, and {ratio} in a file's name becomes the share",
    )
    _add_pruning(parser)
    add_checkpoint_option(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan, write nothing"
    )


def _add_prune_until(add):
    text = "remove as much as an allowed drop of a metric permits"
    parser = _add_command(add, "prune-until", ("prune_commands", "prune_until"), text)
    parser.add_argument(
        "--max-drop",
        type=allowed_drop,
        default=0.01,
        help="by how much the metric may get worse (default 0.01)",
    )
    parser.add_argument(
        "--metric",
        default="accuracy",
        help="loss, or a metric the model is compiled with (default accuracy)",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="auto",
        help="whether the metric is better when it is lower (min) or higher (max); "
        "known of the metrics of Keras (default auto)",
    )
    _add_pruning(parser, of="flops")


def _add_report(add):
    text = "compare a model with its pruned copy"
    run = "commands", "report"
    parser = _add_command(add, "report", run, text, "BEFORE", " AFTER")
    parser.add_argument("pruned", metavar="AFTER", help="the pruned model")
    add_data_options(parser, num_examples=2000)
    parser.add_argument(
        "--ranking", metavar="FILE", help="by which it was pruned, from `rank`"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="a page, .html, or numbers, .json"
    )
    add_runtime_options(parser)
    parser.add_argument(
        "--int8",
        action="store_true",
        help="quantize the LiteRT files that --runtime litert times",
    )


def _add_command(add, name, run, text, metavar="MODEL", more=""):
    parser = add.add_parser(
        name,
        help=text,
        description=f"{text.capitalize()}.",
        # The list of all of them is longer than what it is to be a summary of.
        usage=f"{PROGRAM} {name} [options] {metavar}{more}",
    )
    parser.set_defaults(run=run, parser=parser)
    parser.add_argument("model", metavar=metavar, help="a .keras or .h5 file")
    parser.add_argument(
        "--import",
        dest="modules",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="Python modules with layers, losses and other functions of your own",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="without progress on standard error"
    )
    return parser


def _add_pruning(parser, of="units"):
    add_data_options(parser)
    parser.add_argument(
        "--validation-data",
        metavar="SOURCE",
        help="labelled examples, other than those of --data, to measure metrics on "
        "(prune: for the report)",
    )
    parser.add_argument(
        "--num-validation-examples",
        type=positive_integer,
        default=2000,
        metavar="N",
        help="how many of them are drawn, at most (default 2000)",
    )
    add_budget_options(parser, of)
    add_ranker_options(parser)
    parser.add_argument(
        "--ranking", metavar="FILE", help="from `rank`, instead of ranking again"
    )
    parser.add_argument(
        "--repair",
        choices=METHODS,
        default="least_squares",
        help="how the kept units make up for the removed ones (default least_squares)",
    )
    parser.add_argument(
        "--minutes",
        type=positive_number,
        metavar="MINUTES",
        help="how long --repair mimic may train (default 2000 steps)",
    )
    add_outputs_options(parser)
    add_runtime_options(parser)
