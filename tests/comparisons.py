"""A comparison with everything in it."""

import numpy as np

from keras_shapley_prune import Comparison, GroupScores
from keras_shapley_prune.report.group_comparison import GroupComparison
from keras_shapley_prune.report.runtime_comparison import RuntimeComparison

SCORES = GroupScores(
    values=np.array([0.5, -0.25, np.nan, 2.0]),
    standard_errors=np.array([0.1, 0.2, np.inf, np.inf]),
    num_evaluations=9,
    stages=np.array([0, 0, 1, 1]),
)


RUNTIME = RuntimeComparison(
    name="LiteRT int8",
    description="LiteRT 2.3.0 (XNNPACK), int8, batch of 1, 2 threads, a <fast> one",
    batch_size=1,
    seconds=(0.0125, 0.00505),
    quartiles=((0.012, 0.013), (0.005, 0.0055)),
    file_size=(3000, 900),
    num_runs=100,
)


def make(**changes):
    """Returns a comparison with everything in it."""
    fields = {
        "units": {"conv": (4, 2), "logits": (3, 3)},
        "parameters": (2000, 500),
        "flops": (9000, 4500),
        "locks": {"logits": "model output", "norm": "axis=1"},
        "groups": (
            GroupComparison("conv", (4, 2), ("conv",), ("logits",), SCORES),
            GroupComparison("dense", (6, 6), ("dense",), ()),
        ),
        "name": "small",
        "method": "Shapley values",
    }
    measured = {
        "file_size": (4000, 1000),
        "activations": (800, 400),
        "latency": {1: (0.002, 0.001), 32: (0.02, 0.01)},
        "metrics": {"accuracy": (0.9, 0.875), "loss": (0.25, 0.5)},
        "environment": {"machine": "a <fast> one", "cores": 2},
    }
    known = measured.keys() | {"runtime", "agreement", "alarms"}
    measured |= {name: changes.pop(name) for name in known & changes.keys()}
    return Comparison(**(fields | changes), measured=measured)
