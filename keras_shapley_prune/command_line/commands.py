"""The commands that look at models: `inspect`, `rank` and `report`."""

import sys
import warnings

import keras

from keras_shapley_prune.checkpoint.runs import open_run
from keras_shapley_prune.command_line.choices import RANKERS
from keras_shapley_prune.command_line.cluster import Cluster
from keras_shapley_prune.command_line.cost_table import format_costs
from keras_shapley_prune.command_line.data_checks import check_data
from keras_shapley_prune.command_line.data_sources import DataSource
from keras_shapley_prune.command_line.input_files import (
    InputError,
    load_model,
    load_ranking,
)
from keras_shapley_prune.command_line.lines import fit_lines, progress
from keras_shapley_prune.command_line.npz_files import TEXT, count_examples
from keras_shapley_prune.command_line.staged_files import StagedFiles, check_targets
from keras_shapley_prune.cut.channels_last.to_channels_last import (
    convert_if_needed,
)
from keras_shapley_prune.latency.runtime import Runtime, resolve_runtime
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.selection import DEEPEST
from keras_shapley_prune.rank.resolve_ranker import rank_for, resolve_ranker
from keras_shapley_prune.rank.weight_scores import WEIGHT_SCORES
from keras_shapley_prune.report import inspection
from keras_shapley_prune.report.compare import compare
from keras_shapley_prune.trace.tracer import map_of, trace_channels

REPORT_SUFFIXES = (".html", ".json")


def inspect(options):
    """Prints what each layer of a model costs, its groups and its locks.

    Args:
        options: What the parser returned; so are those of all commands.
    """
    model = load_to_prune(options)
    channel_map = trace_channels(model, options.granularity)
    print(format_costs(model, channel_map))
    print()
    print(fit_lines(str(inspection.inspect(model, channel_map))))


def rank(options):
    """Ranks the units of a model and saves the ranking."""
    check_targets([("--output", options.output, (".json",))], [options.model])
    require_data(options)
    # Without a ratio, the ranking has to serve the deepest cut that any budget may
    # make.
    budget = budget_to_rank(options)
    if options.ratio is not None:
        budget = PruningBudget(options.ratio, **read_selection(options))
    cluster = Cluster(options)
    model = load_to_prune(options)
    channel_map = trace_channels(model, options.granularity)
    examples = load_examples(options, model)
    ranker = make_ranker(options, budget)
    graph, settings = channel_map.graph, {"budget": budget, "ranker": ranker}
    with cluster.scope():
        run = open_run(options.checkpoint, model, graph, examples, **settings)
        with run.explain_interruption():
            ranked = budget, ranker, options, channel_map, run
            ranking = make_ranking(model, examples, *ranked)
    with cluster.writing() as is_chief, StagedFiles() as files:
        if is_chief:
            print(fit_lines(str(ranking)))
            ranking.save(files.stage(options.output))
            print_written(files.commit())


def report(options):
    """Compares two models, and writes the comparison."""
    inputs = [options.model, options.pruned, options.ranking]
    check_targets([("--output", options.output, REPORT_SUFFIXES)], inputs)
    runtime = make_runtime(options)
    if options.int8 and options.runtime != "litert":
        raise InputError("Argument `--int8` needs `--runtime litert`. Received: none")
    models = load_model(options.model), load_model(options.pruned)
    _check_order(options, *models)
    data = load_examples(options, models[0])
    with progress(), warnings.catch_warnings():
        # It is said above, with the names of the files.
        warnings.filterwarnings("ignore", "Arguments `original` and `pruned` should")
        ranking = load_ranking(options.ranking)
        comparison = compare(*models, data, ranking, verbose=0, runtime=runtime)
    # The result alone goes to standard output.
    print(fit_lines(str(comparison)))
    if options.output is not None:
        with StagedFiles() as files:
            write_comparison(comparison, files.stage(options.output))
            print_written(files.commit())


def _check_order(options, original, pruned):
    sizes = [model.count_params() for model in (original, pruned)]
    if sizes[0] < sizes[1]:
        warnings.warn(
            f"BEFORE, {options.model}, has fewer parameters than AFTER, "
            f"{options.pruned}: {sizes[0]:,} and {sizes[1]:,}. Are they in the wrong "
            "order?",
            stacklevel=2,
        )


def budget_to_rank(options):
    """Returns the `PruningBudget` whose ranking serves any ratio and quantity."""
    return PruningBudget(DEEPEST, scope="global", **read_selection(options))


def read_selection(options):
    """Returns which units may be removed, as fields of a `PruningBudget`."""
    names = ("layers", "ignore", "granularity")
    return {name: getattr(options, name) for name in names}


def load_to_prune(options):
    """Returns the model that is to be made smaller, its channels on the last axis.

    Args:
        options: What the parser returned.
    """
    model = load_model(options.model)
    with progress():
        return convert_if_needed(model, how_verbose(options))


def make_ranking(model, examples, budget, ranker, options, channel_map, run=None):
    """Ranks the units of a model as the options say.

    Args:
        model: The `keras.Model`.
        examples: Tuple of arrays, or `None`.
        budget: A `PruningBudget`.
        ranker: What `make_ranker` returned.
        options: What the parser returned.
        channel_map: The `ChannelMap` of `model`.
        run: The `Checkpoint` of the command, or `None`.

    Returns:
        A `Ranking`.
    """
    channel_map = map_of(model, channel_map)
    verbose = how_verbose(options)
    with progress():
        return rank_for(
            model, examples, budget, ranker, channel_map, verbose, checkpoint=run
        )


def make_ranker(options, budget):
    """Returns the ranker that `--ranker` names: by default that of `prune`."""
    return resolve_ranker(options.ranker, budget.scope, options.seed)


def make_runtime(options):
    """Returns what `--runtime` names, as `compare` takes it, or `None`.

    Args:
        options: What the parser returned.

    Raises:
        ImportError: If its packages are missing.
        InputError: If there are settings of it, and it is not named.
    """
    settings = {"batch_size": options.batch_size, "threads": options.threads}
    given = {name: value for name, value in settings.items() if value is not None}
    if options.runtime is None:
        for name in given:
            raise InputError(
                f"Argument `--{name.replace('_', '-')}` needs `--runtime`. "
                "Received: none"
            )
        return None
    if options.int8 and options.runtime == "litert":
        given["int8"] = True
    # A name alone takes the batches that the model does, if they are of a fixed size.
    runtime = Runtime(options.runtime, **given) if given else options.runtime
    resolve_runtime(runtime, "runtime")
    return runtime


def require_data(options, needed_for=None):
    """Raises an `InputError` if there is no data, and it is needed.

    Args:
        options: What the parser returned.
        needed_for: String, an option that needs data even if ranking does without, or
            `None`.
    """
    # Nothing is ranked if a ranking is given, and weights need no data to be ranked by.
    given = getattr(options, "ranking", None) is not None
    ranks_by_weights = options.ranker in WEIGHT_SCORES
    if options.data is not None or (not needed_for and (given or ranks_by_weights)):
        return
    needed_for = needed_for or f"--ranker {options.ranker or RANKERS[0]}"
    raise InputError(
        f"Argument `--data` should be given, for {needed_for}. Received: none"
    )


def load_examples(options, model, validation=False):
    """Returns the examples of `--data` or `--validation-data`, or `None`.

    Args:
        options: What the parser returned.
        model: The `keras.Model` that takes them.
        validation: Boolean, which of the two.
    """
    name = options.validation_data if validation else options.data
    if name is None:
        return None
    number = options.num_validation_examples if validation else options.num_examples
    source = DataSource(
        name,
        number,
        options.seed,
        options.image_size,
        options.rescale,
        options.offset,
        options.data_dir,
    )
    with progress():
        examples = source.load(model)
        if not options.quiet:
            labels = "labels" if len(examples) == 2 else "no labels"
            parts = keras.tree.flatten(examples[0])
            described = ", ".join(map(_describe_array, parts))
            print(f"{name}: {count_examples(parts)} examples of {described}, {labels}")
        if not options.force:
            check_data(model, examples, source)
    return examples


def _describe_array(array):
    """Returns the shape of examples, and the range of their values.

    The range shows where `--rescale` was forgotten.
    """
    shape = f"shape {array.shape[1:]}"
    if array.dtype.kind in TEXT:
        return f"{shape}, strings"
    return f"{shape}, values from {array.min():.4g} to {array.max():.4g}"


def write_comparison(comparison, path):
    """Writes a `Comparison` to a path, as what its suffix says."""
    write = comparison.to_html if path.suffix == ".html" else comparison.to_json
    write(path)


def how_verbose(options):
    """Returns the `verbose` of rankers: bars are for terminals, lines for logs."""
    if options.quiet:
        return 0
    return 1 if sys.stderr.isatty() else 2


def print_written(paths):
    """Prints the paths of what was written, one a line."""
    for path in paths:
        print(f"wrote {path}")
