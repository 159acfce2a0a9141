"""A ranking by several workers that keeps what it has done: run by `spread.py`."""

import models
import numpy as np

from keras_shapley_prune import ShapleyRanker, estimators
from keras_shapley_prune.checkpoint import checkpoint

RANKERS = {
    "loss": lambda: ShapleyRanker("loss", estimators.Permutation(40), batch_size=8),
    "default": lambda: ShapleyRanker(estimator=estimators.ClosedFormPermutation(400)),
}


def main(game, folder=""):
    """Returns a dict: group name -> values."""
    checkpoint.SECONDS = 0.0  # every round is kept
    ranking = RANKERS[game]().rank(
        models.classifier(),
        models.labelled_images(21),
        verbose=0,
        checkpoint=folder or None,
    )
    return {name: np.asarray(scores.values) for name, scores in ranking.items()}
