"""The commands that make models smaller: `prune` and `prune-until`."""

import dataclasses
import importlib.util

import keras

from keras_shapley_prune.checkpoint.runs import open_run
from keras_shapley_prune.command_line.cluster import Cluster, check_alone
from keras_shapley_prune.command_line.commands import (
    REPORT_SUFFIXES,
    budget_to_rank,
    how_verbose,
    load_examples,
    load_to_prune,
    make_ranker,
    make_ranking,
    make_runtime,
    print_written,
    require_data,
    write_comparison,
)
from keras_shapley_prune.command_line.input_files import (
    InputError,
    load_ranking,
)
from keras_shapley_prune.command_line.library_messages import hold_back
from keras_shapley_prune.command_line.lines import fit_lines, progress
from keras_shapley_prune.command_line.staged_files import StagedFiles, check_targets
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.deploy.litert import export_litert
from keras_shapley_prune.latency.example_inputs import draw
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.planner import Planner
from keras_shapley_prune.pruning import apply_plan
from keras_shapley_prune.pruning_until import prune_until as prune_within
from keras_shapley_prune.rank.given_ranking import GivenRanking
from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.report.compare import compare
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.sizes import (
    find_open_inputs,
    give_sizes,
    read_sizes,
)
from keras_shapley_prune.trace.tracer import trace_channels
from keras_shapley_prune.trace.wanted_units import with_blocks_named

_NUM_DRAWN = 8
_TARGETS = {
    "output": (".keras",),
    "export": None,
    "litert": (".tflite",),
    "report": REPORT_SUFFIXES,
}


def prune(options):
    """Removes a share of a model, or several shares, one model for each.

    Args:
        options: What the parser returned.
    """
    budgets = [PruningBudget(ratio, **_budget(options)) for ratio in options.ratio]
    targets = [_fill_in(options, f"{ratio:g}") for ratio in options.ratio]
    # What is wrong with the options is said before anything is loaded.
    _check(options, targets)
    require_data(options, _needs_data(options))
    cluster = Cluster(options)
    model, ranking = load_to_prune(options), load_ranking(options.ranking)
    channel_map = trace_channels(model, options.granularity)
    if ranking is not None:
        channel_map = with_blocks_named(channel_map, ranking)
        deepest = max(budgets, key=lambda budget: budget.ratio)
        GivenRanking(ranking, "ranking").check(channel_map, deepest)
    examples = load_examples(options, model)
    graph = channel_map.graph  # FLOPs are counted for the sizes of the examples
    graph = give_sizes(graph, read_sizes(graph, examples))
    channel_map = dataclasses.replace(channel_map, graph=graph)
    # Numbers will do to see that what is removed is what was masked.
    drawn = _draw(graph) if examples is None and not options.dry_run else None
    validation = load_examples(options, model, validation=True)
    # One ranking serves all ratios.
    to_rank = budgets[0] if len(budgets) == 1 else budget_to_rank(options)
    ranker, repair = make_ranker(options, to_rank), _repair(options)
    with cluster.scope():
        run = open_run(
            options.checkpoint,
            model,
            graph,
            examples,
            repair,
            ranker=ranker if ranking is None else dict(ranking),
            budgets=budgets,
        )
        if ranking is None:
            ranked = to_rank, ranker, options, channel_map, run
            with run.explain_interruption():
                ranking = make_ranking(model, examples, *ranked)
    planner = Planner(model, channel_map, budgets[0])
    with progress(), cluster.scope():
        plans = [
            planner.plan(
                ranking, budget, entry=run.within("plan", number).entry("latency")
            )
            for number, budget in enumerate(budgets)
        ]
    with cluster.writing() as is_chief, StagedFiles() as files:
        if is_chief:
            print(fit_lines("\n\n".join(map(str, plans))))
        if options.dry_run:
            return
        # If one of the models fails, none is written.
        for number, (plan, paths) in enumerate(zip(plans, targets, strict=True)):
            with progress():
                with cluster.scope():
                    pruned = apply_plan(
                        model,
                        plan,
                        examples,
                        repair,
                        verify=examples is not None,
                        verbose=how_verbose(options),
                        checkpoint=run.within("plan", number),
                    )
                if examples is None:
                    verify_removal(model, pruned, plan.keep, drawn, plan.channel_map)
                    if not options.quiet:
                        print("checked on numbers drawn at random")
                if is_chief:
                    pruned = cluster.release(pruned)
                    _write(files, paths, pruned, options.int8, examples)
                    data, decided = (examples, validation), (ranking, plan)
                    _report(files, paths, (model, pruned), decided, data, options)
        if is_chief:
            print_written(files.commit())


def prune_until(options):
    """Removes as much of a model as an allowed drop of a metric permits.

    Args:
        options: What the parser returned.
    """
    targets = _fill_in(options, None)
    budget = PruningBudget(**_budget(options))  # its ratio is what is looked for
    _check(options, [targets])
    check_alone("prune-until")
    require_data(options, "prune-until")
    model, ranking = load_to_prune(options), load_ranking(options.ranking)
    examples = load_examples(options, model)
    validation = load_examples(options, model, validation=True)
    # The report shows the ranking, which the pruned model does not hold.
    if ranking is None:
        ranker = _RankOnce(make_ranker(options, budget_to_rank(options)))
    else:
        ranker = GivenRanking(ranking, "ranking")
    with progress():
        pruned = prune_within(
            model,
            examples,
            options.max_drop,
            options.metric,
            mode=options.mode,
            validation_data=validation,
            budget=budget,
            repair=_repair(options),
            ranker=ranker,
            verbose=how_verbose(options),
        )
        comparison = compare(model, pruned, verbose=0)
    print(fit_lines(str(comparison)))
    with StagedFiles() as files:
        with progress():
            _write(files, targets, pruned, options.int8, examples)
            data, decided = (examples, validation), (ranker.ranking, None)
            _report(files, targets, (model, pruned), decided, data, options)
        print_written(files.commit())


def _needs_data(options):
    """Returns an option that needs data even if ranking does without, or `None`."""
    if options.dry_run:
        return None
    if options.repair != "none":
        return f"--repair {options.repair}"
    return "--int8" if options.int8 else None


def _draw(graph):
    """Returns examples that are drawn at random, as a model takes them."""
    if any(None in shape for shape in find_open_inputs(graph).values()):
        raise InputError(
            "Argument `--data` should be given: the model takes inputs of any size. "
            "Received: none"
        )
    drawn = draw(graph, _NUM_DRAWN)
    return (keras.tree.pack_sequence_as(graph.input_structure, drawn),)


class _RankOnce:
    """A ranker that keeps its ranking.

    Args:
        ranker: The ranker.
    """

    def __init__(self, ranker):
        self._ranker, self.ranking = ranker, None

    def rank(self, *arguments, **options):
        """Returns the ranking, see `ShapleyRanker.rank`."""
        self.ranking = self._ranker.rank(*arguments, **options)
        return self.ranking


def _budget(options):
    # The options have the names of the fields of `PruningBudget`.
    names = ("of", "scope", "layers", "ignore", "round_to", "min_units", "granularity")
    target = None
    if options.of == "latency":
        target = options.target or make_runtime(options)
    elif options.target is not None:
        raise InputError(
            f"Argument `--target` needs `--of latency`. Received: --of {options.of}"
        )
    return {name: getattr(options, name) for name in names} | {"target": target}


def _repair(options):
    if options.repair == "mimic":
        return Mimic(minutes=options.minutes, seed=options.seed)
    return None if options.repair == "none" else options.repair


def _fill_in(options, ratio):
    """Returns a dict: option -> the path it names for a ratio, or `None`.

    Args:
        options: What the parser returned.
        ratio: String, or `None` if there is none.

    Raises:
        InputError: If there is no ratio, and a path holds `{ratio}`.
    """
    paths = {name: getattr(options, name) for name in _TARGETS}
    if ratio is None:
        for name, path in paths.items():
            if "{ratio}" in (path or ""):
                raise InputError(
                    f"Argument `--{name}` should not hold {{ratio}}: the share to "
                    f"remove is known only at the end. Received: {path!r}"
                )
        return paths
    return {
        name: None if path is None else path.replace("{ratio}", ratio)
        for name, path in paths.items()
    }


def _check(options, targets):
    """Raises an error unless the options for files go together.

    Args:
        options: What the parser returned.
        targets: List of dicts: option -> path or `None`, one for each model.
    """
    if options.ranking is not None and options.ranker is not None:
        raise InputError(
            "Arguments `--ranking` and `--ranker` exclude each other. Received: "
            f"{options.ranking!r}, {options.ranker!r}"
        )
    if options.minutes is not None and options.repair != "mimic":
        raise InputError(
            "Argument `--minutes` needs `--repair mimic`. Received: --repair "
            f"{options.repair}"
        )
    # `prune-until` has no such option.
    dry_run = getattr(options, "dry_run", False)
    # If nothing were written, all of the work would be for nothing.
    if not any(targets[0].values()) and not dry_run:
        raise InputError(
            "One of `--output`, `--export`, `--litert` and `--report` should be given"
            f"{', or `--dry-run`' if hasattr(options, 'dry_run') else ''}. "
            "Received: none"
        )
    if options.int8 and options.litert is None and options.runtime != "litert":
        raise InputError(
            "Argument `--int8` needs `--litert` or `--runtime litert`. Received: none"
        )
    if options.int8 and importlib.util.find_spec("litert_quantizer") is None:
        raise ImportError(  # best known before the work
            "`--int8` needs: pip install litert-quantizer ai-edge-litert"
        )
    make_runtime(options)
    is_read = options.report is not None or options.of == "latency"
    if options.runtime is not None and not is_read:
        raise InputError(
            "Argument `--runtime` needs `--report` or `--of latency`. Received: none"
        )
    if len({tuple(paths.values()) for paths in targets}) < len(targets):
        raise InputError(
            "Paths should hold {ratio}, as in pruned_{ratio}.keras, and ratios should "
            f"differ, where there are several. Received: {options.ratio}"
        )
    check_targets(
        [
            (f"--{name}", path, _TARGETS[name])
            for paths in targets
            for name, path in paths.items()
        ],
        [options.model, options.ranking, options.data, options.validation_data],
    )


def _write(files, paths, pruned, int8, examples):
    """Writes what a pruned model is wanted as, see `_report`.

    Args:
        files: The `StagedFiles`.
        paths: Dict: option -> path, or `None`.
        pruned: The pruned `keras.Model`.
        int8: Boolean, whether to quantize the LiteRT file.
        examples: The calibration data.
    """
    if paths["output"] is not None:
        pruned.save(files.stage(paths["output"]))
    if paths["export"] is not None:
        pruned.export(files.stage(paths["export"]), verbose=False)
    if paths["litert"] is not None:
        data = examples[0] if int8 else None
        shapes = read_sizes(record_graph(pruned), examples)
        path = files.stage(paths["litert"])
        with hold_back():  # quantizing runs LiteRT, which says so
            export_litert(pruned, path, int8, data, input_shape=shapes, verbose=0)


def _report(files, paths, models, decided, data, options):
    """Writes the comparison with the original.

    Metrics are of the validation data only: on the calibration data, which the model
    was repaired on, they would be too good.

    Args:
        files: See `_write`.
        paths: See `_write`.
        models: Tuple of the original `keras.Model` and the pruned one.
        decided: Tuple of the `Ranking`, and of the `PruningPlan` or `None`.
        data: Tuple of the calibration data, and of the validation data or `None`.
        options: What the parser returned.
    """
    if paths["report"] is None:
        return
    (examples, validation), (ranking, plan) = data, decided
    measure = None if validation else ["file_size", "activations", "latency"]
    dataset, runtime = validation or examples, make_runtime(options)
    comparison = compare(*models, dataset, ranking, measure, 0, runtime, plan)
    write_comparison(comparison, files.stage(paths["report"]))
