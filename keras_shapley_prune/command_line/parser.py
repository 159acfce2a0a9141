"""The commands and their options."""

import argparse
import fractions

import keras_shapley_prune
from keras_shapley_prune.budgets import SCOPES
from keras_shapley_prune.command_line import commands, prune_commands
from keras_shapley_prune.cost_model import QUANTITIES
from keras_shapley_prune.ranking.baseline_ranker import BASELINE_NAMES
from keras_shapley_prune.repair.repair_channels import METHODS

PROGRAM = "keras-shapley-prune"

_EPILOG = """exit codes: 0 all is done; 1 it failed, such as the check of a pruned
model; 2 the command or a file it names cannot be used. Results go to standard output,
progress and errors to standard error. Files are written when everything has
succeeded."""

_DATA = """examples: a folder of class folders, an .npz file with the arrays x and y, or
tfds:NAME[:SPLIT], a set of TensorFlow Datasets (split train by default). Images are
given the size and the channels that the model takes; their values stay 0..255 unless
--rescale is given"""


class _Parser(argparse.ArgumentParser):
    """Tells errors in one line."""

    def error(self, message):
        self.exit(2, f"{PROGRAM}: error: {message} (see {self.prog} --help)\n")


def build_parser():
    """Returns the parser; what it parses has the function to call as `run`."""
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
    text = "show what of a model can be pruned, what is locked, and why"
    _add_command(add, "inspect", commands.inspect, text)


def _add_rank(add):
    text = "rank the filters of a model once, for any number of ratios"
    parser = _add_command(add, "rank", commands.rank, text)
    _add_data(parser)
    _add_ranker(parser)
    _add_layers(parser)
    parser.add_argument(
        "--ratio",
        type=float,
        help="what share will leave: looks no further than `prune` would for this "
        "ratio alone (default: serves any)",
    )
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="a .json file"
    )


def _add_prune(add):
    text = "remove a share of a model"
    parser = _add_command(add, "prune", prune_commands.prune, text)
    parser.add_argument(
        "--ratio",
        type=float,
        nargs="+",
        default=[0.5],
        help="the share to remove, in [0, 1) (default 0.5); of several, which are "
        "ranked once, {ratio} in a file's name becomes the ratio",
    )
    _add_pruning(parser)
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan, write nothing"
    )


def _add_prune_until(add):
    text = "remove as much as an allowed drop of a metric permits"
    parser = _add_command(add, "prune-until", prune_commands.prune_until, text)
    parser.add_argument(
        "--max-drop",
        type=float,
        default=0.01,
        help="by how much the metric may get worse (default 0.01)",
    )
    parser.add_argument(
        "--metric",
        default="accuracy",
        help="loss, or a metric the model is compiled with (default accuracy)",
    )
    _add_pruning(parser, of="flops")


def _add_report(add):
    text = "compare a model with its pruned copy"
    parser = _add_command(add, "report", commands.report, text, "BEFORE")
    parser.add_argument("pruned", metavar="AFTER", help="the pruned model")
    _add_data(parser, num_examples=2000)
    parser.add_argument(
        "--ranking", metavar="FILE", help="by which it was pruned, from `rank`"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="a page, .html, or numbers, .json"
    )


def _add_command(add, name, run, text, metavar="MODEL"):
    parser = add.add_parser(name, help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=run)
    parser.add_argument("model", metavar=metavar, help="a .keras or .h5 file")
    parser.add_argument(
        "--import",
        dest="modules",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="Python modules that register layers of your own",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="without progress on standard error"
    )
    return parser


def _add_data(parser, num_examples=200):
    data = parser.add_argument_group("data")
    data.add_argument("--data", metavar="SOURCE", help=_DATA)
    data.add_argument(
        "--num-examples",
        type=_positive_integer,
        default=num_examples,
        metavar="N",
        help="how many are drawn, at most (default %(default)s)",
    )
    data.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="of the draw and of what a ranker draws (default 0)",
    )
    data.add_argument(
        "--rescale",
        type=_number,
        default=1.0,
        metavar="FACTOR",
        help="multiply values by it, such as 1/255 for models that expect 0..1",
    )
    data.add_argument(
        "--offset",
        type=_number,
        default=0.0,
        metavar="VALUE",
        help="then add it: --rescale 1/127.5 --offset=-1 gives -1..1",
    )
    data.add_argument(
        "--image-size",
        type=_positive_integer,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of images, for a model that takes any",
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its files"
    )


def _add_ranker(parser):
    parser.add_argument(
        "--ranker",
        choices=("shapley", *BASELINE_NAMES),
        help="by what filters are ranked (default shapley, of the reconstruction "
        "game); those of gradients and of the loss need labels",
    )


def _add_layers(parser):
    for name, text in (
        ("--layers", "only these layers lose units: names or patterns such as 'conv*'"),
        ("--ignore", "these layers lose none"),
    ):
        parser.add_argument(name, nargs="+", metavar="PATTERN", help=text)


def _add_pruning(parser, of="units"):
    _add_data(parser)
    parser.add_argument(
        "--validation-data",
        metavar="SOURCE",
        help="examples with labels, like --data, for metrics (prune: of the report)",
    )
    parser.add_argument(
        "--num-validation-examples",
        type=_positive_integer,
        default=2000,
        metavar="N",
        help="how many are drawn of them, at most (default 2000)",
    )
    _add_budget(parser, of)
    _add_ranker(parser)
    parser.add_argument(
        "--ranking", metavar="FILE", help="from `rank`, instead of ranking again"
    )
    parser.add_argument(
        "--repair",
        choices=[str(method or "none") for method in METHODS],
        default="least_squares",
        help="how what stays makes up for what leaves (default least_squares)",
    )
    _add_outputs(parser)


def _add_budget(parser, of):
    budget = parser.add_argument_group("budget")
    budget.add_argument(
        "--of", choices=QUANTITIES, default=of, help=f"the share of what (default {of})"
    )
    budget.add_argument(
        "--scope",
        choices=SCOPES,
        default="layer",
        help="the same share of each layer (default), or from where it is worth least",
    )
    _add_layers(budget)
    for name, text in (
        ("--round-to", "a multiple of it stays of each group (default 1)"),
        ("--min-units", "at least so many stay of each group (default 1)"),
    ):
        budget.add_argument(
            name, type=_positive_integer, default=1, metavar="N", help=text
        )


def _add_outputs(parser):
    outputs = parser.add_argument_group("files to write")
    for option, metavar, text in (
        ("--output", "FILE", "the pruned model, .keras"),
        ("--export", "DIR", "a SavedModel of it, for TensorFlow Serving"),
        ("--litert", "FILE", "a LiteRT (TensorFlow Lite) file, .tflite"),
        ("--report", "FILE", "a page about the difference, .html, or .json"),
    ):
        names = ("-o", option) if option == "--output" else (option,)
        outputs.add_argument(*names, metavar=metavar, help=text)
    outputs.add_argument(
        "--int8", action="store_true", help="quantize the LiteRT file, on --data"
    )


def _positive_integer(text):
    return _integer(text, 1)


def _seed(text):
    return _integer(text, 0)


def _integer(text, least):
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"should be an integer of at least {least}. Received: {text!r}"
        )
    return int(text)


def _number(text):
    """Returns a number or a fraction, of numbers such as `1/127.5`."""
    above, _, below = text.partition("/")
    try:
        return float(fractions.Fraction(above) / fractions.Fraction(below or "1"))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"should be a number or a fraction such as 1/255. Received: {text!r}"
        ) from None
