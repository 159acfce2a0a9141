"""`prune`: from a trained model to a smaller one, in one line a step."""

from keras_shapley_prune.checkpoint.checkpoint import check_checkpoint
from keras_shapley_prune.checkpoint.runs import open_run
from keras_shapley_prune.cut.channels_last.to_channels_last import (
    convert_if_needed,
)
from keras_shapley_prune.cut.layer_copies import check_copies
from keras_shapley_prune.cut.model_classes import check_class
from keras_shapley_prune.cut.optimizer_slots import carry_optimizer, check_optimizer
from keras_shapley_prune.cut.trial_run import try_out
from keras_shapley_prune.devices.workers import check_strategy
from keras_shapley_prune.inputs.arguments import check_kind, check_run
from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.inputs.progress import Progress
from keras_shapley_prune.inputs.undisturbed import undisturbed
from keras_shapley_prune.plan.budget import to_budget
from keras_shapley_prune.plan.planner import plan_for
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.rank.games.outputs import OutputGame
from keras_shapley_prune.rank.given_ranking import GivenRanking
from keras_shapley_prune.rank.resolve_ranker import rank_for, resolve_ranker
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.repair.answers import check_answers
from keras_shapley_prune.repair.calibration_check import check_calibration
from keras_shapley_prune.repair.outcome import measure_outcome, tell_outcome
from keras_shapley_prune.repair.planned_steps import plan_steps
from keras_shapley_prune.repair.repair_channels import cut_and_repair, read_batches
from keras_shapley_prune.repair.resolve_repair import (
    check_extra_images,
    closed_form_of,
    resolve_repair,
)
from keras_shapley_prune.repair.sample import read_sample
from keras_shapley_prune.repair.targets import RecordedTargets
from keras_shapley_prune.trace.tracer import trace_channels


@undisturbed
def prune(
    model,
    dataset,
    ratio=0.5,
    *,
    of="units",
    scope="layer",
    layers=None,
    ignore=None,
    granularity="filter",
    round_to=1,
    min_units=1,
    target=None,
    ranker=None,
    repair="least_squares",
    verify=True,
    keep_optimizer=False,
    memory=None,
    verbose="auto",
    checkpoint=None,
):
    """Removes the least valuable filters and neurons from a trained model.

    Each group of units (the filters of a convolution, the neurons of a dense layer,
    the channels of a residual stage) is ranked by Shapley values and loses the units
    that are worth least. The kept units make up for the removed ones: layer by layer,
    the weights are refitted on the data. Nothing is trained, and no labels are needed.
    What cannot be removed exactly is not touched; `compare(model, pruned)` says why.
    A model with layers of `data_format="channels_first"` is converted first, see
    `to_channels_last`; the result takes and returns what `model` does.

    In the scope of a `tf.distribute` strategy the work is divided among its devices
    and processes, each of which makes this same call, and returns the same network.

    Args:
        model: A built Sequential or functional `keras.Model`, trained. It is not
            changed. What is pruned is what `model(x)` returns, whatever a
            `predict_step` makes of it.
        dataset: Calibration data, what `model.predict` or `model.evaluate` takes: an
            array of images, a list or dict of arrays for several inputs, arrays
            `(x, y)` or `(x, y, sample_weight)`, a finite, batched `tf.data.Dataset`, a
            `keras.utils.PyDataset`, or an iterable of batches. 50 to 200 examples of
            the training set are enough. It may be read three times; a generator is
            read once, and has to end. A `UserWarning` tells if it is unlike what the
            first BatchNormalizations remember, or if the model is no better on it than
            guessing, as with images of a wrong scale. Labels are read to tell that, and
            the metric before and after.
        ratio: Float in [0, 1), the share to remove: of the units of each layer, if
            nothing else is said. The default, half of them, is about three quarters of
            the FLOPs and parameters, as a layer loses inputs as well as outputs;
            `of="flops"` halves the FLOPs. Or a dict: layer name, shell-style pattern
            or compiled regular expression -> the share of the units of these layers;
            the first pattern that matches counts, layers that match none are not
            pruned. Or a `PruningBudget`, which holds the next eight arguments too.
        of: String, the share of what: `"units"` (of those that can be removed),
            `"params"`, `"flops"`, `"bytes"` (of the weights), or `"latency"` (the
            seconds of one inference on `target`) of the whole model. The budget is met
            to within 1 % of the model's total, unless removing a single unit changes it
            by more. A latency is measured, and corrected to within 5 % of what is asked
            for: with a ratio of 0.5 the result is twice as fast. For that, the model
            and smaller ones of it are timed, some seconds to some minutes.
        scope: `"layer"`: every layer loses the same share of its units. `"global"`:
            units of any layer are removed, first those whose removal costs least for
            what it saves. With the default ranker, units are removed in ranked order.
            A unit costs the change of the model's outputs that it adds when all units
            before it are gone and their readers are refitted
            (`GroupScores.removal_costs`). Other Shapley values are compared as they
            are. Weight norms and activations are divided by the mean
            of their group, and not by what a unit saves.
        layers: `None` for all layers, or a layer name, a shell-style pattern such as
            `"block2_*"`, a compiled regular expression that is searched for in the
            names, a callable `fn(layer)` that returns `True` or `False`, or a list of
            them: only these layers (and the layers tied to them) lose units. Of a
            block, `layer` is the addition. A layer's own name is never read as a
            pattern: `"c[1]"` is not `"c1"` where there is a layer `"c[1]"`.
        ignore: `None`, or the same of layers that lose no units.
        granularity: String, what is removed: `"filter"`, filters and neurons;
            `"block"`, whole residual blocks, whose skip connection is kept; or
            `"both"`, best with `scope="global"`. See `trace_channels`.
        round_to: Integer. The number of units kept in each group is a multiple of
            it, or all of them. Many processors are fastest with multiples of 8.
        min_units: Integer, the minimum number of units kept in each group.
        target: For `of="latency"`, on what the model is timed: `"tensorflow"`, the
            compiled forward pass; `"litert"`, the `.tflite` file; a `Runtime`, which
            says with which batch, how many threads and whether int8; a function that
            takes a `keras.Model` and returns the seconds of one inference; or a
            `LatencyTable`, or the path of its `.json` file. `None` for `"tensorflow"`.
        ranker: A `ShapleyRanker`, a `BaselineRanker`, or another object with their
            method `rank`; or the criterion of a `BaselineRanker`, such as `"l1_norm"`;
            or a `Ranking` that one of them has made of this model, or the path of a
            saved one (`.json`): then nothing is ranked. A `UserWarning` tells if it
            was made for another budget: a smaller ratio, or other scope or layers.
            `None` for `ShapleyRanker()`, whose game has other settings for
            `scope="global"`.
        repair: How the kept units are repaired: `"least_squares"`, `"mimic"` (which
            then trains for some minutes), a `Mimic` (which says for how many),
            `"mean"`, `"batchnorm"`, or `None`. See `repair_channels`.
        verify: Boolean, whether to check on the first eight examples that the smaller
            model computes what the masked one does, see `verify_removal`.
        keep_optimizer: Boolean, whether the optimizer continues with the state of
            `model`'s optimizer: its number of steps, learning rate and, cut like the
            weights, its slots such as momentum.
        memory: Integer, how many bytes of activations may be held at a time. What does
            not fit is computed again. `None` for a quarter of what is free, at most
            1 GiB.
        verbose: `"auto"` or 1 for a progress bar over all of it, which names the step
            and the layer at work; 2 for one line a group and a step; 0 for silence.
            Both end with what was asked and reached, the parameters and FLOPs, how
            often the result agrees with `model`, and, where the data has labels, the
            metrics that `model` is compiled with (or the accuracy) before and after, on
            up to 64 examples of `dataset`.
        checkpoint: String or path-like, a folder that keeps what has been done, or
            `None`. It need not exist. If the process is killed or interrupted, the same
            call goes on from there, and returns the same weights to the last bit (on
            the same machine, with as many threads). `dataset` is read once more, and
            has to give the same examples in the same order. The ranking and the plan
            are kept there, too: `Ranking.load` reads `ranking.json`, and
            `PruningPlan.load` reads `plan.json`. The folder can be removed afterwards.

    Returns:
        A plain `keras.Model` (a `keras.Sequential` if `model` is one; of the class of
        `model` if that has a `train_step` of its own, see `remove_channels`), compiled
        like `model` if that is compiled, with an optimizer of its own. A `UserWarning`
        tells if it does not do what `model` does, or if the budget is missed by more
        than 1 %, a latency by more than 5 %.

    Raises:
        ValueError: If an argument is not of that form, the data does not fit the
            model, the model has nothing that can be removed, the budget cannot be
            met, or the checkpoint is of another model, data, seed or setting. If data,
            weights or repaired weights are not finite: what layers compute inside may
            be infinite, such as a mask of an attention, but not what statistics are
            taken of.
        RuntimeError: If the check fails, also by outputs that are finite in `model`
            only: a wrong network is never returned. Or if another process of the
            strategy has ended before its work was done.

    Example:

    ```python
    pruned = keras_shapley_prune.prune(model, images, ratio=0.5, of="flops")
    keras_shapley_prune.compare(model, pruned)

    # Ranked once, pruned several times:
    ranking = keras_shapley_prune.ShapleyRanker().rank(model, images, ratio=0.75)
    ranking.save("ranking.json")
    half = keras_shapley_prune.prune(model, images, 0.5, ranker=ranking)
    more = keras_shapley_prune.prune(model, images, 0.75, ranker="ranking.json")
    ```
    """
    shorthand = {
        "of": of,
        "scope": scope,
        "layers": layers,
        "ignore": ignore,
        "granularity": granularity,
        "round_to": round_to,
        "min_units": min_units,
        "target": target,
    }
    budget = to_budget("prune", ratio, shorthand)
    repair = resolve_repair(repair)
    check_run(verify, memory, verbose, keep_optimizer)
    check_checkpoint(checkpoint)
    check_strategy()
    dataset = make_repeatable(dataset)  # it is read to rank, and again to repair
    model = convert_if_needed(model, verbose, keep_optimizer)
    channel_map = trace_channels(model, budget.granularity)
    budget = budget.name_layers(channel_map)
    check_prunable(model, channel_map, keep_optimizer)
    ranker = open_ranker(model, ranker, budget, channel_map)
    surely_kept = channel_map.without(budget.select_groups(channel_map))
    sample = read_sample(dataset, channel_map.graph)
    channel_map = try_out(channel_map, sample.inputs)
    steps = plan_steps(channel_map, surely_kept, repair, verify)
    check_extra_images(repair, channel_map.graph, sample.inputs)
    check_calibration(channel_map.graph, sample)
    answers = check_answers(model, channel_map.graph, sample)
    settings = {"repair": repair, "budget": budget, "ranker": ranker}
    run = open_run(checkpoint, model, channel_map.graph, dataset, **settings)
    # What ranking and repair both ask of the original is taken down once.
    targets = RecordedTargets(memory)
    taken = targets if closed_form_of(repair) == "least_squares" else None
    with Progress(verbose, steps) as progress, run.explain_interruption():
        ranking = rank_for(
            model, dataset, budget, ranker, channel_map, verbose, taken, progress, run
        )
        plan = plan_for(model, ranking, budget, channel_map, progress, run)
        pruned = carry_out(
            model, plan, dataset, repair, verify, keep_optimizer, targets, progress, run
        )
        outcome = measure_outcome(
            model, plan, pruned, sample, answers, repair, progress
        )
    tell_outcome(outcome, verbose)
    return pruned


def carry_out(
    model,
    plan,
    dataset,
    repair,
    verify=True,
    keep_optimizer=False,
    targets=None,
    progress=None,
    checkpoint=None,
):
    """Does the second half of `prune`: cuts, repairs, verifies and compiles.

    Args:
        model: The `keras.Model`, which `check_prunable` has let pass.
        plan: A `PruningPlan` of this very model: see `PruningPlan.bind`.
        dataset: See `prune`. `None` if nothing is repaired or verified.
        repair: What `resolve_repair` returned.
        verify: See `prune`.
        keep_optimizer: See `prune`.
        targets: `RecordedTargets` that a ranker may have filled, or `None`.
        progress: A `Progress`, for the steps of `plan_steps`, or `None` for silence.
        checkpoint: The `Checkpoint` of the run, or `None`.

    Returns:
        What `prune` returns.

    Raises:
        ValueError: If the data does not fit the model.
        RuntimeError: If the check fails.
    """
    keep, channel_map = plan.keep, plan.channel_map
    if targets is not None and targets.batches is not None:
        batches = [(inputs,) for inputs in targets.batches]  # what was ranked on
    else:
        batches = read_batches(dataset, channel_map.graph, repair, verify)
    progress = progress or Progress(0)
    progress.replan(plan_steps(channel_map, keep, repair, verify))
    pruned = cut_and_repair(
        model, keep, batches, repair, channel_map, verify, targets, progress, checkpoint
    )
    compile_with(pruned, copy_compile_config(model))
    if keep_optimizer:  # the optimizer is new, and gets its state now
        carry_optimizer(model, pruned, keep, channel_map)
    return pruned


@undisturbed
def apply_plan(
    model,
    plan,
    dataset=None,
    repair="least_squares",
    verify=True,
    keep_optimizer=False,
    memory=None,
    verbose="auto",
    checkpoint=None,
):
    """Prunes a model as planned.

    Args:
        model: The `keras.Model` that `plan` is for. It is not changed.
        plan: A `PruningPlan`.
        dataset: See `prune`. `None` if nothing is repaired or verified.
        repair: See `prune`.
        verify: See `prune`.
        keep_optimizer: See `prune`.
        memory: See `prune`.
        verbose: `"auto"` or 1 for a progress bar, 2 for one line a step, 0 for silence.
            It ends with the lines of `prune`.
        checkpoint: See `prune`. It holds no ranking.

    Returns:
        What `prune` returns.

    Raises:
        ValueError: If `plan` is of another model, an argument not of that form, or the
            checkpoint of another run.
        RuntimeError: If the check fails.

    Example:

    ```python
    plan = keras_shapley_prune.PruningPlan.load("plan.json", model)
    pruned = keras_shapley_prune.apply_plan(model, plan, images)
    ```
    """
    repair = resolve_repair(repair)
    check_run(verify, memory, verbose, keep_optimizer)
    check_kind("plan", plan, PruningPlan, "a `PruningPlan`")
    check_checkpoint(checkpoint)
    check_strategy()
    model = convert_if_needed(model, verbose, keep_optimizer)
    plan = plan.bind(model)
    check_prunable(model, plan.channel_map, keep_optimizer)
    graph, targets = plan.channel_map.graph, RecordedTargets(memory)
    dataset = make_repeatable(dataset)
    sample = read_sample(dataset if repair or verify else None, graph)
    plan.channel_map = try_out(plan.channel_map, sample.inputs)
    check_extra_images(repair, graph, sample.inputs)
    check_calibration(graph, sample)
    answers = check_answers(model, graph, sample)
    steps = plan_steps(plan.channel_map, plan.keep, repair, verify)
    run = open_run(checkpoint, model, graph, dataset, repair=repair, keep=plan.keep)
    with Progress(verbose, steps) as progress, run.explain_interruption():
        pruned = carry_out(
            model, plan, dataset, repair, verify, keep_optimizer, targets, progress, run
        )
        outcome = measure_outcome(
            model, plan, pruned, sample, answers, repair, progress
        )
    tell_outcome(outcome, verbose)
    return pruned


def check_prunable(model, channel_map, keep_optimizer=False):
    """Raises, or warns of, now what `carry_out` would after minutes of ranking.

    Args:
        model: The `keras.Model`.
        channel_map: Its `ChannelMap`.
        keep_optimizer: See `prune`.

    Raises:
        ValueError: If a layer cannot be re-created from its config, or the optimizer's
            state cannot be taken over.
        TypeError: If a metric or the optimizer cannot be made from its config.
    """
    check_copies(channel_map.graph)
    check_class(model, stacklevel=5)
    copy_compile_config(model)
    if keep_optimizer:
        check_optimizer(model, channel_map.graph)


def open_ranker(model, ranker, budget, channel_map):
    """Returns a ranker, and raises what it would raise before it reads the data.

    Args:
        model: The `keras.Model`.
        ranker: See `prune`.
        budget: The `PruningBudget`.
        channel_map: The `ChannelMap` of `model`.

    Raises:
        ValueError: If `ranker` is none, plays with a loss that `model` has not, or is
            a ranking of another model.
    """
    ranker = resolve_ranker(ranker, budget.scope)
    if isinstance(ranker, GivenRanking):
        ranker.check(channel_map, budget, stacklevel=5)
    # A baseline has a game too, but some criteria do not play it.
    if isinstance(ranker, ShapleyRanker) and isinstance(ranker.game, OutputGame):
        ranker.game.open_value(model)
    return ranker
