"""From what is given as a ranker to the ranker, and to the ranking of a budget."""

import time

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.plan.selection import ratios_to_rank
from keras_shapley_prune.rank.baseline_ranker import BASELINE_NAMES, BaselineRanker
from keras_shapley_prune.rank.games.reconstruction import Reconstruction
from keras_shapley_prune.rank.given_ranking import read_given
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.stored_ranking import read_ranking, store_ranking

RANKER_NAMES = ("shapley", *BASELINE_NAMES)
# A global budget removes most of some groups and little of others: candidates are
# counted for a shallow cut, so that the order is fine where all groups begin. And it
# compares layers: by what the outputs lose, for which those of few rows need more.
_GLOBAL = {"horizon": 0.25, "num_copies": 2, "costs": "outputs"}


def resolve_ranker(ranker=None, scope="layer", seed=0):
    """Returns the ranker that an argument stands for.

    Args:
        ranker: `None` or `"shapley"` for the default, `ShapleyRanker()`; another
            string for the `BaselineRanker` of that criterion; a `Ranking`, or the path
            of a saved one, for one that ranks nothing; or an object with the method
            `rank` of `ShapleyRanker`, which is returned as it is.
        scope: String, `"layer"` or `"global"`, how a budget will be spent. For
            `"global"` the game of the default has `horizon=0.25, num_copies=2,
            costs="outputs"`.
        seed: Integer, of rankers that are made here.

    Returns:
        An object with the method `rank`.

    Raises:
        ValueError: If it is none of these.
    """
    if ranker is None or (isinstance(ranker, str) and ranker == "shapley"):
        game = Reconstruction(**_GLOBAL) if scope == "global" else Reconstruction()
        return ShapleyRanker(game, seed=seed)
    if isinstance(ranker, str) and ranker in BASELINE_NAMES:
        return BaselineRanker(ranker, seed=seed)
    given = read_given(ranker)
    if given is not None:
        return given
    if callable(getattr(ranker, "rank", None)) and not isinstance(ranker, type):
        return ranker
    raise ValueError(
        f"Argument `ranker` should be None, one of {list(RANKER_NAMES)}, a `Ranking`, "
        "the path of a saved one (.json), or an object with the method `rank` of "
        f"`ShapleyRanker`. Received: ranker={show(ranker)}"
    )


def rank_for(
    model,
    dataset,
    budget,
    ranker,
    channel_map,
    verbose,
    targets=None,
    progress=None,
    checkpoint=None,
):
    """Ranks the units among which a budget has to choose.

    Args:
        model: See `prune`.
        dataset: See `prune`.
        budget: A `PruningBudget`.
        ranker: See `prune`.
        channel_map: The `ChannelMap` of `model`.
        verbose: See `prune`.
        targets: `RecordedTargets` to be filled on the way, or `None`.
        progress: A `Progress` that goes on after the ranking, or `None`.
        checkpoint: The `Checkpoint` of the run that this is a part of, or `None`.

    Returns:
        A `Ranking`.
    """
    start = time.perf_counter()
    ranker = resolve_ranker(ranker, budget.scope)
    extras = {"targets": targets} if isinstance(ranker, ShapleyRanker) else {}
    kept = (checkpoint or Checkpoint()).within("ranking")
    # A subclass with a `rank` of its own may not know of it.
    reports = type(ranker).rank in (ShapleyRanker.rank, BaselineRanker.rank)
    if reports:
        extras |= {"progress": progress, "checkpoint": kept}
    entry = kept.entry("whole")
    # Of one that keeps nothing on the way, the result is kept.
    ranking = None if reports else read_ranking(entry)
    if ranking is None:
        groups = budget.select_groups(channel_map)
        ranking = ranker.rank(
            model,
            dataset,
            # One producer names its whole group; a group may share one with another.
            layers=list(dict.fromkeys(group.producers[0] for group in groups)),
            channel_map=channel_map,
            ratio=ratios_to_rank(channel_map, budget),
            verbose=verbose,
            **extras,
        )
        if not reports:
            store_ranking(entry, ranking)
    if checkpoint is not None and isinstance(ranking, Ranking):
        checkpoint.keep("ranking.json", ranking.save)
    if progress is not None and not reports:
        # What it did is one step, of which nothing was known before.
        progress.begin("rank", time.perf_counter() - start)
    return ranking
