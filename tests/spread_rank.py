"""Rankings of small networks: run by `spread.py` under a strategy."""

import models
import numpy as np

from keras_shapley_prune import (
    BaselineRanker,
    ShapleyRanker,
    StopWhen,
    estimators,
    games,
)

SURE = ShapleyRanker("loss", estimators.Permutation(9), stop=StopWhen(misassigned=0.2))
ADAPTIVE = estimators.Adaptive(2)
RMS = games.Loss(replacement="mean", reduction="rms")
OUTPUTS = games.Reconstruction(costs="outputs")
# Name -> ranker, number of examples, whether there are sample weights.
CASES = {
    "loss": (ShapleyRanker("loss", estimators.Permutation(2), batch_size=8), 21, True),
    "default": (ShapleyRanker(batch_size=8), 21, False),
    "few": (ShapleyRanker("loss", batch_size=8), 2, False),
    "default of few": (ShapleyRanker(), 1, False),
    "corrected": (ShapleyRanker("kl", "corrected_gradient", batch_size=6), 21, False),
    "adaptive": (ShapleyRanker("loss", ADAPTIVE, batch_size=8), 40, False),
    "stages": (ShapleyRanker("kl", "gradient", stages=3, batch_size=8), 21, False),
    "rms": (ShapleyRanker(RMS, batch_size=8), 21, False),
    "sure": (SURE, 40, False),
    "spent": (ShapleyRanker("loss", stop=StopWhen(evaluations=300)), 40, False),
    "timed": (ShapleyRanker("loss", stop=StopWhen(seconds=1e6)), 21, False),
    "exact": (ShapleyRanker("loss", "exact"), 9, False),
    "shared": (ShapleyRanker("loss", "shared_permutation", batch_size=8), 21, False),
    "on the way": (ShapleyRanker("loss", sequential=True, batch_size=8), 21, False),
    "default on the way": (ShapleyRanker(sequential=True, batch_size=8), 21, False),
    "outputs": (ShapleyRanker(OUTPUTS, batch_size=8), 21, False),
    "taylor": (BaselineRanker("taylor", batch_size=8), 21, False),
    "greedy": (BaselineRanker("greedy_backward", batch_size=8), 9, False),
    "surgeon": (BaselineRanker("reconstruction", batch_size=8), 21, False),
    "apoz": (BaselineRanker("apoz", batch_size=8), 21, False),
}
FIRST = ("loss", "default", "few")


def main(*names):
    """Returns a dict: `CASE/GROUP/WHAT` -> array."""
    found = {}
    for name in names or CASES:
        ranker, count, is_weighted = CASES[name]
        arrays = models.labelled_images(count)
        if is_weighted:
            arrays = (*arrays, np.linspace(0.5, 2.0, count).astype("float32"))
        ranking = ranker.rank(models.classifier(), arrays, verbose=0)
        for group, scores in ranking.items():
            for what, array in scores.to_arrays().items():
                found[f"{name}/{group}/{what}"] = np.asarray(array)
    return found
