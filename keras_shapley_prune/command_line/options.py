"""The options that several commands share, by what they are about."""

from keras_shapley_prune.command_line.choices import (
    GRANULARITIES,
    QUANTITIES,
    RANKERS,
    RUNTIMES,
    SCOPES,
)
from keras_shapley_prune.command_line.numbers_given import (
    number,
    positive_integer,
    seed,
)

_DATA = """examples: a folder of class folders, an .npz file with the arrays x and y, or
tfds:NAME[:SPLIT], a set of TensorFlow Datasets (split train by default). Images are
given the size and the channels that the model takes; their values are 0..255 unless
--rescale is given"""


def add_data_options(parser, num_examples=200):
    """Adds where examples come from, how many, and what is done to them.

    Args:
        parser: The parser of a command.
        num_examples: Integer, how many are drawn by default.
    """
    data = parser.add_argument_group("data")
    data.add_argument("--data", metavar="SOURCE", help=_DATA)
    data.add_argument(
        "--num-examples",
        type=positive_integer,
        default=num_examples,
        metavar="N",
        help="how many are drawn, at most (default %(default)s)",
    )
    data.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of the draw and of what rankers and --repair mimic draw (default 0)",
    )
    data.add_argument(
        "--rescale",
        type=number,
        default=1.0,
        metavar="FACTOR",
        help="multiply values by it, such as 1/255 for models that expect 0..1",
    )
    data.add_argument(
        "--offset",
        type=number,
        default=0.0,
        metavar="VALUE",
        help="then add it: --rescale 1/127.5 --offset=-1 gives -1..1",
    )
    data.add_argument(
        "--image-size",
        type=positive_integer,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of images, for a model that takes any",
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="where TensorFlow Datasets keeps its files"
    )
    data.add_argument(
        "--force",
        action="store_true",
        help="take data that is unlike what the model was trained on, which is an "
        "error otherwise; and exit with 0 where it would be 3",
    )


def add_ranker_options(parser):
    """Adds by what units are ranked.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--ranker",
        choices=RANKERS,
        metavar="NAME",
        help=f"how filters are ranked, one of {', '.join(RANKERS)} (default shapley: "
        "Shapley values of the reconstruction game); the criteria of gradients and of "
        "the loss need labels",
    )


def add_checkpoint_option(parser):
    """Adds where what has been done is kept, for a command that is run again.

    Args:
        parser: The parser of a command.
    """
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        help="keep what has been done in this folder: if the command is killed, the "
        "same command goes on from there",
    )


def add_layers_options(parser):
    """Adds which layers may lose units.

    Args:
        parser: The parser of a command, or a group of options.
    """
    for name, text in (
        ("--layers", "only these layers lose units: names or patterns such as 'conv*'"),
        ("--ignore", "these layers lose none"),
    ):
        parser.add_argument(name, nargs="+", metavar="PATTERN", help=text)
    add_granularity_option(parser)


def add_granularity_option(parser):
    """Adds what a unit is.

    Args:
        parser: The parser of a command, or a group of options.
    """
    parser.add_argument(
        "--granularity",
        choices=GRANULARITIES,
        default="filter",
        help="what a unit is: a filter (default), a whole residual block, or both",
    )


def add_budget_options(parser, of):
    """Adds how much is removed, see `PruningBudget`.

    Args:
        parser: The parser of a command.
        of: String, the quantity by default.
    """
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
    add_layers_options(budget)
    for name, text in (
        (
            "--round-to",
            "the number of units kept in each group is a multiple of it (default 1)",
        ),
        ("--min-units", "the minimum number of units kept in each group (default 1)"),
    ):
        budget.add_argument(
            name, type=positive_integer, default=1, metavar="N", help=text
        )
    budget.add_argument(
        "--target",
        metavar="TABLE",
        help="of --of latency: a .json file of measured times, in place of --runtime",
    )


def add_outputs_options(parser):
    """Adds what a pruned model is written as.

    Args:
        parser: The parser of a command.
    """
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


def add_runtime_options(parser):
    """Adds what the latency in a report is measured on, see `Runtime`.

    Args:
        parser: The parser of a command. `--int8` is not among these options.
    """
    runtime = parser.add_argument_group(
        "what --of latency and the report time the models on"
    )
    runtime.add_argument(
        "--runtime",
        choices=RUNTIMES,
        help="litert: the .tflite files, of --int8 if it is given; tensorflow: the "
        "compiled forward pass",
    )
    runtime.add_argument(
        "--batch-size",
        type=positive_integer,
        metavar="N",
        help="examples an inference (default 1)",
    )
    runtime.add_argument(
        "--threads",
        type=positive_integer,
        metavar="N",
        help="of LiteRT (default 1); TensorFlow keeps those it has",
    )
