"""`prune`: from a trained model to a smaller one, in one line a step."""

from keras_shapley_prune.cut.layer_copies import check_copies
from keras_shapley_prune.cut.optimizer_slots import carry_optimizer, check_optimizer
from keras_shapley_prune.inputs.compiling import compile_with, copy_compile_config
from keras_shapley_prune.inputs.data import make_repeatable
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.selection import make_plan, ratios_to_rank
from keras_shapley_prune.rank.resolve_ranker import resolve_ranker
from keras_shapley_prune.repair.repair_channels import check_method, repair_channels
from keras_shapley_prune.trace.tracer import trace_channels


def prune(
    model,
    dataset,
    ratio=0.5,
    *,
    of="units",
    scope="layer",
    layers=None,
    ignore=None,
    round_to=1,
    min_units=1,
    ranker=None,
    repair="least_squares",
    verify=True,
    keep_optimizer=False,
    verbose="auto",
):
    """Removes the least valuable filters and neurons from a trained model.

    Each group of units (the filters of a convolution, the neurons of a dense layer,
    the channels of a residual stage) is ranked by Shapley values and loses the units
    that are worth least. What stays makes up for what leaves: layer by layer, the
    weights are refitted on the data. Nothing is trained, and no labels are needed.
    What cannot be removed exactly is left alone; `compare(model, pruned)` says why.

    Args:
        model: A built Sequential or functional `keras.Model`, trained. It is not
            changed.
        dataset: Calibration data, what `model.predict` or `model.evaluate` takes: an
            array of images, a finite, batched `tf.data.Dataset`, a
            `keras.utils.PyDataset`, arrays `(x, y)` or `(x, y, sample_weight)`, or an
            iterable of batches. 50 to 200 examples of the training set do. It is
            read twice.
        ratio: Float in [0, 1), the share to remove. Or, by layer, a dict: layer name
            or shell-style pattern -> the share of the units of these layers; the
            first that matches counts, other layers stay whole.
        of: String, the share of what: `"units"` (of those that can be removed),
            `"params"`, `"flops"`, or `"bytes"` (of the weights) of the whole model.
            These are met within 1 % of the whole where single units are that small.
        scope: `"layer"`: every layer loses the same share of its units. `"global"`:
            units leave where least is lost for what they cost. With the default
            ranker that is the share of the variance of the layers that read them
            which is lost when they leave after all those before them
            (`GroupScores.removal_costs`). Other Shapley values are compared as they
            are; of weight norms and activations, shares of the mean of each group.
        layers: `None` for all layers, or a layer name, a shell-style pattern such as
            `"block2_*"`, or a list of them: only these layers (and the layers tied
            to them) lose units.
        ignore: `None`, or names or patterns of layers that lose no units.
        round_to: Integer: of each group a multiple of it stays, or all of it. Many
            processors are fastest with multiples of 8.
        min_units: Integer: at least so many units of each group stay.
        ranker: A `ShapleyRanker`, a `BaselineRanker`, or another object with their
            method `rank`; or the criterion of a `BaselineRanker`, such as `"l1_norm"`.
            `None` for `ShapleyRanker()`, whose game has `horizon=0.25` for
            `scope="global"`.
        repair: String, how what stays is repaired: `"least_squares"`, `"mimic"`
            (then trains for some minutes), `"mean"`, `"batchnorm"`, or `None`. See
            `repair_channels`.
        verify: Boolean, whether to check on the first batch that the smaller model
            computes what the masked one does. It costs little.
        keep_optimizer: Boolean, whether the optimizer goes on from where that of
            `model` is: with its number of steps, learning rate and, cut like the
            weights, its slots such as momentum.
        verbose: `"auto"` or 1 for a progress bar, 2 for one line a group, 0 for
            silence.

    Returns:
        A plain `keras.Model` (a `keras.Sequential` if `model` is one), compiled like
        `model` if that is compiled, with an optimizer of its own.

    Raises:
        ValueError: If an argument is not of that form, the data does not fit the
            model, the model has nothing that can be removed, or the budget cannot be
            met.
        RuntimeError: If the check fails: never a wrong network.

    Example:

    ```python
    pruned = keras_shapley_prune.prune(model, images, ratio=0.5, of="flops")
    keras_shapley_prune.compare(model, pruned)
    ```
    """
    budget = PruningBudget(ratio, of, scope, layers, ignore, round_to, min_units)
    check_method(repair)
    dataset = make_repeatable(dataset)
    channel_map = trace_channels(model)
    check_copies(channel_map.graph)
    if keep_optimizer:
        check_optimizer(model, channel_map.graph)
    compile_config = copy_compile_config(model)
    ranking = rank_for(model, dataset, budget, ranker, channel_map, verbose)
    plan = make_plan(channel_map, ranking, budget)
    pruned = repair_channels(
        model, plan.keep, dataset, repair, channel_map, verify=verify
    )
    compile_with(pruned, compile_config)
    if keep_optimizer:
        carry_optimizer(model, pruned, plan.keep, channel_map)
    return pruned


def apply_plan(
    model,
    plan,
    dataset=None,
    repair="least_squares",
    verify=True,
    keep_optimizer=False,
):
    """Prunes a model as planned.

    Args:
        model: The `keras.Model` that `plan` is for. It is not changed.
        plan: A `PruningPlan`.
        dataset: See `prune`. `None` if nothing is repaired or verified.
        repair: See `prune`.
        verify: See `prune`.
        keep_optimizer: See `prune`.

    Returns:
        What `prune` returns.

    Raises:
        ValueError: If `plan` is of another model, or an argument not of that form.
        RuntimeError: If the check fails.

    Example:

    ```python
    plan = keras_shapley_prune.PruningPlan.load("plan.json", model)
    pruned = keras_shapley_prune.apply_plan(model, plan, images)
    ```
    """
    compile_config = copy_compile_config(model)
    plan = plan.bind(model)
    if keep_optimizer:
        check_optimizer(model, plan.channel_map.graph)
    pruned = repair_channels(
        model, plan.keep, dataset, repair, plan.channel_map, verify=verify
    )
    compile_with(pruned, compile_config)
    if keep_optimizer:
        carry_optimizer(model, pruned, plan.keep, plan.channel_map)
    return pruned


def rank_for(model, dataset, budget, ranker, channel_map, verbose):
    """Ranks the units among which a budget has to choose.

    Args:
        model: See `prune`.
        dataset: See `prune`.
        budget: A `PruningBudget`.
        ranker: See `prune`.
        channel_map: The `ChannelMap` of `model`.
        verbose: See `prune`.

    Returns:
        A `Ranking`.
    """
    ranker = resolve_ranker(ranker, budget.scope)
    groups = budget.select_groups(channel_map)
    return ranker.rank(
        model,
        dataset,
        layers=list(dict.fromkeys(group.producers[0] for group in groups)),
        channel_map=channel_map,
        ratio=ratios_to_rank(channel_map, budget),
        verbose=verbose,
    )
