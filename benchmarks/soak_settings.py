"""Settings of soak.py: what is pruned, by which ranker, and how it is repaired."""

import dataclasses

import keras
from keras import layers

import keras_shapley_prune as ksp
from keras_shapley_prune.rank.baseline_ranker import BASELINE_NAMES

REPAIRS = (None, "mean", "batchnorm", *["least_squares"] * 3, "mimic")
LARGEST_EXACT = 5  # 2 ** 5 coalitions an example
MOST_SAMPLED = 2  # groups of games on outputs: each runs what is behind it again
RANKERS = ("default", "reconstruction", "outputs", "baseline")
# The one that few networks have the layers for is rare.
BASELINES = tuple(name for name in BASELINE_NAMES if name != "bn_gamma")


def draw_budget(choices, channel_map, few=False):
    """Returns a `PruningBudget` that can be met.

    Args:
        choices: `Choices`.
        channel_map: The `ChannelMap`, with at least one group.
        few: Boolean, whether it is of `MOST_SAMPLED` groups at most.
    """
    names = [group.producers[0] for group in channel_map.groups]
    some = {}
    if few or choices.integer(1, 4) == 1:
        count = choices.integer(1, MOST_SAMPLED)
        some["layers"] = [choices.pick(names) for _ in range(count)]
    if len(names) > 1 and choices.integer(1, 4) == 1:
        some["ignore"] = choices.pick(names)
        if some.get("layers") and set(some["layers"]) <= {some["ignore"]}:
            del some["ignore"]
    smallest = min(group.num_units for group in channel_map.groups)
    some["round_to"] = min(choices.pick([1, 1, 1, 2, 4]), max(smallest - 1, 1))
    some["min_units"] = min(choices.pick([1, 1, 1, 2, 3]), max(smallest - 1, 1))
    if choices.integer(1, 6) == 1:
        ratio = {choices.pick(names): choices.integer(1, 8) / 10, "*": 0.4}
        return ksp.PruningBudget(ratio, **some)
    some["of"] = choices.pick(["units", "params", "flops", "bytes"])
    some["scope"] = choices.pick(["layer", "global"])
    return _within_reach(choices.integer(2, 9) / 10, some, channel_map)


def _within_reach(share, some, channel_map):
    """Returns a budget of that share of all that can be removed."""
    budget = ksp.PruningBudget(0.5, **some)
    least = {}
    for group in budget.select_groups(channel_map):
        sizes = budget.sizes(group)
        least[group.name] = int(sizes[-1])
    plan = ksp.PruningPlan(channel_map, least, {})
    before, after = plan.costs[budget.of]
    ratio = share * (1 - after / before)
    return dataclasses.replace(budget, ratio=round(ratio, 4))


def draw_ranker(choices, kind, channel_map):
    """Returns a new ranker, or `None` for the default.

    Args:
        choices: `Choices`.
        kind: String, one of `RANKERS`.
        channel_map: The `ChannelMap`.
    """
    seed = choices.integer(0, 9)
    if kind == "default":
        return None
    if kind == "baseline":
        criterion = choices.pick(BASELINES)
        if choices.integer(1, 50) == 1:
            criterion = "bn_gamma"
        return ksp.BaselineRanker(criterion, _draw_output_game(choices), seed=seed)
    stages = choices.pick([None, 1, 2, "units"])
    sequential = choices.integer(1, 3) == 1
    if kind == "reconstruction":
        costs = "readers" if sequential else choices.pick(["readers", "outputs"])
        candidates = choices.pick([None, 1.25, 2.0])
        horizon = 1.0 if candidates is None else choices.pick([0.25, 1.0])
        game = ksp.games.Reconstruction(
            candidates, horizon, choices.integer(0, 1), costs
        )
        estimator = ksp.estimators.ClosedFormPermutation(1, choices.pick([0.0, 0.5]))
        return ksp.ShapleyRanker(
            game, estimator, stages=stages, sequential=sequential, seed=seed
        )
    largest = max(group.num_units for group in channel_map.groups)
    estimator = _draw_estimator(choices, largest)
    stages = stages if estimator.takes_stages else 1
    stop = ksp.StopWhen(evaluations=500) if choices.integer(1, 5) == 1 else None
    return ksp.ShapleyRanker(
        _draw_output_game(choices, estimator.takes_reduction),
        estimator,
        stages=stages,
        sequential=sequential,
        stop=stop,
        batch_size=choices.pick([5, 32]),
        seed=seed,
    )


def _draw_output_game(choices, takes_reduction=True):
    replacement = choices.pick(["mean", "zero"])
    reduction = choices.pick(["mean", "rms", "mean+2std"])
    reduction = reduction if takes_reduction else "mean"
    kind = choices.pick(["loss", "kl", "custom"])
    if kind == "custom":
        return ksp.games.Custom(spread_of, replacement, reduction)
    game = ksp.games.Loss if kind == "loss" else ksp.games.KL
    return game(replacement=replacement, reduction=reduction)


def spread_of(labels, outputs):
    """A game's function: minus the mean square of an example's outputs."""
    flat = [layers.Flatten()(tensor) for tensor in keras.tree.flatten(outputs)]
    return -sum(keras.ops.mean(tensor**2, axis=-1) for tensor in flat)


def _draw_estimator(choices, largest):
    window, decay = choices.pick([0.5, 1.0]), choices.pick([0.0, 0.8])
    made = [
        ksp.estimators.Permutation(1, window, decay),
        ksp.estimators.Gradient(1, window, decay),
        ksp.estimators.CorrectedGradient(1),
        ksp.estimators.SharedPermutation(2),
    ]
    if largest <= LARGEST_EXACT:
        made.append(ksp.estimators.Exact())
    return choices.pick(made)


def name_ranker(ranker):
    """Returns what tells rankers apart at a glance, a string."""
    if ranker is None:
        return "default"
    if isinstance(ranker, ksp.BaselineRanker):
        return ranker.criterion
    parts = [type(part).__name__ for part in (ranker.game, ranker.estimator)]
    return " ".join(parts + ["sequential"] * ranker.sequential)


def draw_repair(choices):
    """Returns a repair; mimic trains for three steps."""
    repair = choices.pick(REPAIRS)
    return ksp.Mimic(num_steps=3, batch_size=4) if repair == "mimic" else repair
