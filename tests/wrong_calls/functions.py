"""Wrong calls of the functions that prune, and of the steps they are made of."""

import re

import numpy as np
from wrong_calls import values
from wrong_calls.cases import Call, Made
from wrong_calls.values import without
from wrong_calls.world import Spy, images

import keras_shapley_prune as ksp

MODEL, MAP = Made(lambda w: w.model), Made(lambda w: w.map)
RANKING, PLAN = Made(lambda w: w.ranking), Made(lambda w: w.plan)
PRUNED = Made(lambda w: w.pruned)
SPY = Made(lambda w: Spy())
NO_MODEL = values.MODELS
PRUNABLE = {**NO_MODEL, **values.LOCKED}
BUDGET = {
    "ratio": {
        **values.RATIOS,
        "an empty dict": {},
        "a dict with a name that does not exist": {"typo": 0.5},
        "a dict of words": {"conv": "half"},
        "a dict of a share above one": {"conv": 2.0},
        "a dict of percentages": {"conv": 50},
        "a dict with a number as a name": {3: 0.5},
        "a dict of NaN": {"conv": values.NAN},
        "a dict with an expression that matches nothing": {re.compile("typo"): 0.5},
        "a dict with an expression of bytes": {re.compile(b"conv"): 0.5},
        "a dict with a function": {len: 0.5},
    },
    "of": values.CHOICES,
    "scope": values.CHOICES,
    "layers": values.LAYERS,
    "ignore": values.LAYERS,
    "ignore,layers": {"all layers": "*"},
    "granularity": values.CHOICES,
    "round_to": values.POSITIVE_INTEGERS,
    "min_units": values.POSITIVE_INTEGERS,
    "target": {
        "a runtime for units": "litert",
        "a runtime that does not exist": {"...": 1, "of": "latency", "target": "phone"},
        "a number": {"...": 1, "of": "latency", "target": 3},
        "a table that does not exist": {"...": 1, "of": "latency", "target": "a.json"},
    },
}
SHORTHAND = without(BUDGET, "ratio")
MEMORY = values.POSITIVE_INTEGERS


def _ranked_by_loss(labels):
    """Returns data that a ranker of the loss refuses, as further arguments."""
    return {
        label: {"...": True, "dataset": data, "ranker": ksp.BaselineRanker("taylor")}
        for label, data in labels.items()
    }


def _prune_with(extra_images, **arguments):
    repair = ksp.Mimic(num_steps=1, extra_images=extra_images)
    return ksp.prune(repair=repair, **arguments)


METRICS = {
    **values.NONE,
    **values.NUMBERS,
    **without(values.ODD, "a class"),  # which can be called
    "a name that does not exist": "typo",
    "a list": ["accuracy"],
}
MEASURED = {**values.DATA, **values.NO_LABELS, **values.LABELS}

PRUNING = [
    Call(
        "prune",
        ksp.prune,
        {"model": MODEL, "dataset": SPY, "verbose": 0},
        {
            "model": PRUNABLE,
            "dataset": values.DATA,
            **BUDGET,
            "ranker": values.RANKERS,
            "repair": values.REPAIRS,
            "verify": values.BOOLEANS,
            "keep_optimizer": values.BOOLEANS,
            "memory": MEMORY,
            "verbose": values.VERBOSE,
            "checkpoint": values.CHECKPOINTS,
        },
    ),
    Call(
        "prune by the loss",
        ksp.prune,
        {"model": MODEL, "dataset": SPY, "verbose": 0},
        {"dataset": _ranked_by_loss({**values.NO_LABELS, **values.LABELS})},
    ),
    Call(
        "prune with extra images",
        _prune_with,
        {"model": MODEL, "dataset": SPY, "verbose": 0},
        {"extra_images": without(values.DATA, "None")},
    ),
    Call(
        "apply_plan",
        ksp.apply_plan,
        {"model": MODEL, "plan": PLAN, "dataset": SPY, "verbose": 0},
        {
            "model": {**NO_MODEL, **values.LOCKED},
            "model,plan": {"another model": Made(lambda w: w.other)},
            "plan": {
                **values.NONE,
                **values.TEXT,
                **values.ODD,
                "a ranking": RANKING,
                "an array": np.ones(18, bool),
            },
            "dataset": values.DATA,
            "repair": values.REPAIRS,
            "verify": values.BOOLEANS,
            "keep_optimizer": values.BOOLEANS,
            "memory": MEMORY,
            "verbose": values.VERBOSE,
            "checkpoint": values.CHECKPOINTS,
        },
    ),
    Call(
        "prune_until",
        ksp.prune_until,
        {"model": MODEL, "dataset": SPY, "verbose": 0},
        {
            "model": {**NO_MODEL, **values.LOCKED},
            "dataset": values.DATA,
            "max_drop": {
                **values.NO_NUMBER,
                **values.NONE,
                **values.BELOW,
                "a percentage": 2,
            },
            "metric": METRICS,
            "mode": values.CHOICES,
            "validation_data": without(MEASURED, "None"),
            "budget": {
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "of a dict": Made(lambda w: ksp.PruningBudget({"conv": 0.5})),
            },
            **SHORTHAND,
            "repair": values.REPAIRS,
            "ranker": values.RANKERS,
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "plan_pruning",
        ksp.plan_pruning,
        {"model": MODEL, "ranking": RANKING},
        {
            "model": NO_MODEL,
            "model,ranking": values.LOCKED,
            "ranking": {**values.NONE, **values.RANKINGS},
            **BUDGET,
            "channel_map": values.MAPS,
            "input_shape": values.SHAPES,
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "remove_channels",
        ksp.remove_channels,
        {"model": MODEL, "keep": None},
        {
            "model": NO_MODEL,
            "keep": {**values.NONE, **values.KEEPS},
            "remove": values.REMOVES,
            "channel_map": values.MAPS,
        },
    ),
    Call(
        "mask_channels",
        ksp.mask_channels,
        {"model": MODEL, "keep": None},
        {
            "model": NO_MODEL,
            "keep": {**values.NONE, **values.KEEPS},
            "remove": values.REMOVES,
            "channel_map": values.MAPS,
        },
    ),
    Call(
        "repair_channels",
        ksp.repair_channels,
        {"model": MODEL, "keep": {"conv": [0, 1]}, "dataset": SPY, "verbose": 0},
        {
            "model": NO_MODEL,
            "keep": {**values.NONE, **values.KEEPS},
            "remove": {
                k: {"...": True, "keep": None, "remove": v}
                for k, v in values.REMOVES.items()
            },
            "dataset": values.DATA,
            "repair": values.REPAIRS,
            "channel_map": values.MAPS,
            "batch_size": {**values.POSITIVE_INTEGERS, **values.NONE},
            "verify": values.BOOLEANS,
            "memory": MEMORY,
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "verify_removal",
        ksp.verify_removal,
        {"model": MODEL, "pruned": PRUNED, "keep": Made(lambda w: w.plan.keep)}
        | {"dataset": SPY},
        {
            "model": NO_MODEL,
            "pruned": {
                **without(NO_MODEL, "code"),
                "another model": Made(lambda w: w.other),
            },
            "keep": {**values.NONE, **values.KEEPS},
            # Of a generator no more than the first batch is read.
            "dataset": without(values.DATA, "a generator without end"),
            "channel_map": values.MAPS,
            "batch_size": {**values.POSITIVE_INTEGERS, **values.NONE},
        },
    ),
    Call(
        "mimic",
        ksp.mimic,
        {"pruned": PRUNED, "original": MODEL, "dataset": SPY},
        {
            "pruned": {**NO_MODEL, "another model": Made(lambda w: w.other)},
            "original": {**NO_MODEL, "another model": Made(lambda w: w.other)},
            "dataset": values.DATA,
            "settings": {**values.TEXT, **values.NUMBERS, **values.ODD},
            "keep": values.KEEPS,
            "channel_map": values.MAPS,
            "verbose": values.VERBOSE,
            "callbacks": {
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "a list of words": ["log"],
            },
            "checkpoint": values.CHECKPOINTS,
        },
    ),
    Call(
        "trace_channels",
        ksp.trace_channels,
        {"model": MODEL},
        {"model": NO_MODEL, "granularity": values.CHOICES},
    ),
    Call(
        "to_functional",
        ksp.to_functional,
        {"model": Made(lambda w: w.subclassed)},
        {
            "model": without(NO_MODEL, "code"),
            "inputs": {
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "data": images(4),
                "a shape": (6, 6, 1),
                "the model": MODEL,
            },
        },
    ),
    Call("to_channels_last", ksp.to_channels_last, {}, {"model": NO_MODEL}),
]
