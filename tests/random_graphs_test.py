"""Whatever the graph, masked == pruned.

Eight graphs by default, 500 with `-m slow`. Thousands:

    python -m pytest tests/random_graphs_test.py --hypothesis-profile=thousands
"""

import hypothesis
import models
import numpy as np
import pytest
import random_graphs
from hypothesis import given
from hypothesis import strategies as st

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels

GRAPHS = given(
    model=random_graphs.networks(),
    fraction=st.sampled_from([0.2, 0.5, 0.8]),
    seed=st.integers(0, 9),
)


@GRAPHS
def test_masked_is_pruned_is_counted(model, fraction, seed):
    check(model, fraction, seed)


@pytest.mark.slow
@hypothesis.settings(max_examples=500)
@GRAPHS
def test_hundreds(model, fraction, seed):
    check(model, fraction, seed)


def check(model, fraction, seed):
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, fraction, seed)
    inputs = models.images(model)
    masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
    smaller = remove_channels(model, keep, channel_map)
    pruned = models.outputs_of(smaller, inputs)
    assert [output.shape for output in masked] == [output.shape for output in pruned]
    assert all(np.isfinite(output).all() for output in pruned)
    assert models.relative_difference(pruned, masked) < 1e-4
    for of, counted in [
        ("params", smaller.count_params()),
        ("flops", count_flops(smaller)),
    ]:
        assert CostModel(channel_map, of).count(keep) == counted
