"""From what is given as a ranker to the ranker: one place for the default."""

from keras_shapley_prune.rank.baseline_ranker import BASELINE_NAMES, BaselineRanker
from keras_shapley_prune.rank.games.reconstruction import Reconstruction
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker

RANKER_NAMES = ("shapley", *BASELINE_NAMES)
# A global budget removes most of some groups and little of others: candidates are
# counted for a shallow cut, so that the order is fine where all groups begin. And it
# compares layers, for which those of few rows need more of them.
_GLOBAL = {"horizon": 0.25, "num_copies": 2}


def resolve_ranker(ranker=None, scope="layer", seed=0):
    """Returns the ranker that an argument stands for.

    Args:
        ranker: `None` or `"shapley"` for the default, `ShapleyRanker()`; another
            string for the `BaselineRanker` of that criterion; or an object with the
            method `rank` of `ShapleyRanker`, which is returned as it is.
        scope: String, `"layer"` or `"global"`, how a budget will be spent. For
            `"global"` the game of the default has `horizon=0.25, num_copies=2`.
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
    if callable(getattr(ranker, "rank", None)) and not isinstance(ranker, type):
        return ranker
    raise ValueError(
        f"Argument `ranker` should be None, one of {list(RANKER_NAMES)}, or an object "
        f"with the method `rank` of `ShapleyRanker`. Received: ranker={ranker!r}"
    )
