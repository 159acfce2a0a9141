"""Tests of the examples that a student is trained on."""

import models
import numpy as np

from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.repair.training_data import TrainingData
from keras_shapley_prune.trace.recording import record_graph


def test_another_process_draws_what_is_next():
    model = models.build(models.chain)
    graph, images = record_graph(model), models.images(model, 12)
    first, second = (
        TrainingData(images, graph, Mimic(4, batch_size=5)) for _ in range(2)
    )
    batches = first.draw()
    for _ in range(3):  # in the middle of a shuffling
        next(batches)
    second.restore(first.state)
    expected = [next(batches) for _ in range(4)]
    for (ours,), (theirs,) in zip(second.draw(), expected, strict=False):
        np.testing.assert_array_equal(ours, theirs)
