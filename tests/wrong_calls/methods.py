"""Wrong calls of the methods of the public classes, and of the records they return."""

import numpy as np
from wrong_calls import values
from wrong_calls.cases import Call, Made
from wrong_calls.functions import MAP, MODEL, NO_MODEL, PLAN, RANKING, SPY
from wrong_calls.values import NONE, NUMBERS, ODD, TEXT, without

import keras_shapley_prune as ksp

RANK = {
    "model": {**NO_MODEL, **values.LOCKED},
    "layers": values.LAYERS,
    "channel_map": values.MAPS,
    "ratio": {**values.RATIOS, "a dict of words": {"conv": "half"}},
}
VERBOSE = {"verbose": values.VERBOSE}
LONG = {**VERBOSE, "checkpoint": values.CHECKPOINTS}
QUIET = {"model": MODEL, "dataset": SPY, "verbose": 0}
NO_MAP = {**NONE, **without(values.MAPS, "of another model")}
NO_DICT = {**NONE, **TEXT, "a number": 3, "a list": [3], "an array": np.ones(2)}
KEPT = {
    **NO_DICT,
    "a name that does not exist": {"typo": 3},
    "too many": {"conv": 7},
    "none of them": {"conv": 0},
    "a fraction": {"conv": 2.5},
    "words": {"conv": "three"},
    "None within": {"conv": None},
    "a number as a name": {3: 3},
}
UNEVEN = {"lists of different lengths": [[1], [1, 2]]}
WORDS = {"words": ["a", "b", "c"]}
LENGTHS = {"another length": np.ones(4), "a matrix": np.ones((3, 1)), **UNEVEN}


def method(name):
    """Returns a function that calls a method of its argument `self`."""
    return lambda self, **arguments: getattr(self, name)(**arguments)


def _select(channel_map, **budget):
    return ksp.PruningBudget(**budget).select_groups(channel_map)


METHODS = [
    Call(
        "ShapleyRanker.rank",
        method("rank"),
        {"self": Made(lambda w: ksp.ShapleyRanker("kl")), **QUIET},
        {**RANK, **LONG, "dataset": values.DATA},
    ),
    Call(
        "ShapleyRanker.rank by the loss",
        method("rank"),
        {"self": Made(lambda w: ksp.ShapleyRanker("loss")), **QUIET},
        {
            "dataset": {**values.NO_LABELS, **values.LABELS},
            "model,loss": {"not compiled": Made(lambda w: w.plain)},
        },
    ),
    Call(
        "ShapleyRanker.estimate_cost",
        method("estimate_cost"),
        {"self": Made(lambda w: w.ranker), "model": MODEL, "dataset": SPY},
        {**RANK, "dataset": values.DATA},
    ),
    Call(
        "BaselineRanker.rank",
        method("rank"),
        {"self": Made(lambda w: ksp.BaselineRanker("l1_norm")), **QUIET},
        {**RANK, **LONG},
    ),
    Call(
        "BaselineRanker.rank by gradients",
        method("rank"),
        {"self": Made(lambda w: ksp.BaselineRanker("taylor")), **QUIET},
        {"dataset": {**values.DATA, **values.NO_LABELS, **values.LABELS}},
    ),
    Call(
        "Ranking",
        ksp.Ranking,
        {"groups": Made(lambda w: dict(w.ranking)), "method": "", "num_examples": 3},
        {
            "groups": {
                **NO_DICT,
                "numbers": {"conv": 3},
                "lists": {"conv": [1, 2]},
                "a number as a name": Made(lambda w: {3: w.ranking["conv"]}),
            },
            "method": {**NONE, **NUMBERS, **ODD},
            "num_examples": {**values.INTEGERS, **NONE},
            "locks": {**without(NO_DICT, "None"), "numbers": {"conv": 3}},
            "comparable": values.BOOLEANS,
            "costs": values.CHOICES,
        },
    ),
    Call(
        "GroupScores",
        ksp.GroupScores,
        {"values": np.ones(3), "standard_errors": np.ones(3), "num_evaluations": 3},
        {
            "values": {**NONE, **TEXT, **WORDS, **UNEVEN, "a number": 3}
            | {"a matrix": np.ones((3, 1)), "an object": object()},
            "standard_errors": {**NONE, **TEXT, **WORDS, **LENGTHS},
            "num_evaluations": {**values.INTEGERS, **NONE},
            "stages": {**TEXT, **WORDS, **LENGTHS, "fractions": np.ones(3) / 2},
            "removal_costs": {**TEXT, **WORDS, **LENGTHS},
        },
    ),
    Call(
        "GroupScores.from_dict",
        ksp.GroupScores.from_dict,
        {},
        {
            "content": {**NO_DICT, "an empty dict": {}, "another": {"values": [1.0]}},
        },
    ),
    Call(
        "Ranking.to_tensorboard",
        method("to_tensorboard"),
        {"self": RANKING, "logdir": Made(lambda w: w.folder / "logs")},
        {
            "logdir": without(
                values.OUTPUT_PATHS, "a folder", "in a folder that does not exist"
            ),
            "frontier": {
                **TEXT,
                **NUMBERS,
                **ODD,
                **WORDS,
                "curves": Made(lambda w: w.curves),
            },
            "step": {**values.INTEGERS, **NONE},
        },
    ),
    Call(
        "PruningPlan",
        ksp.PruningPlan,
        {"channel_map": MAP, "kept": {"conv": 3}, "orders": {}},
        {
            "channel_map": NO_MAP,
            "kept": KEPT,
            "orders": {
                **NO_DICT,
                "too short": {"conv": [0, 1]},
                "twice": {"conv": [0, 0, 1, 2, 3, 4]},
                "words": {"conv": list("abcdef")},
                "a number within": {"conv": 3},
                "fractions": {"conv": [0.5, 1, 2, 3, 4, 5]},
                "lists of different lengths": {"conv": [[1], [1, 2]]},
            },
            "budget": {**TEXT, **NUMBERS, **ODD},
        },
    ),
    Call("PruningPlan.resize", method("resize"), {"self": PLAN}, {"kept": KEPT}),
    Call(
        "PruningPlan.bind",
        method("bind"),
        {"self": PLAN},
        {"model": {**NO_MODEL, **values.LOCKED, "other": Made(lambda w: w.other)}},
    ),
    Call(
        "ChannelMap.select_groups",
        method("select_groups"),
        {"self": MAP},
        {"layers": values.LAYERS},
    ),
    Call(
        "ChannelMap.check_keep",
        method("check_keep"),
        {"self": MAP},
        {"keep": {**NONE, **values.KEEPS}},
    ),
    Call(
        "PruningBudget.select_groups",
        _select,
        {"channel_map": MAP},
        {
            "channel_map": NO_MAP,
            "ignore": {"a name that does not exist": "typo"},
            "layers": {"a name that does not exist": "typo"},
            "ratio": {"a name that does not exist": {"typo": 0.5}},
            "ignore,layers": {"all layers": "*"},
        },
    ),
]
