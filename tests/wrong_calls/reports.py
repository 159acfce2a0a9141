"""Wrong calls of the functions that measure, report, draw and export."""

import numpy as np
from wrong_calls import values
from wrong_calls.cases import Call, Made
from wrong_calls.functions import (
    MEASURED,
    METRICS,
    MODEL,
    NO_MODEL,
    PRUNABLE,
    PRUNED,
    RANKING,
    SHORTHAND,
    SPY,
)
from wrong_calls.values import NONE, NUMBERS, ODD, TEXT, without
from wrong_calls.world import images

import keras_shapley_prune as ksp

RUNTIMES = {
    **TEXT,
    **NUMBERS,
    **ODD,
    "a list": ["litert"],
    "a class of runtimes": ksp.Runtime,
    "a model": MODEL,
    "a function that returns no time": lambda model: "fast",
}
AXES = {"ax": {**TEXT, "a number": 3, "an object": object()}}

MEASURING = [
    Call(
        "compare",
        ksp.compare,
        {"original": MODEL, "pruned": PRUNED, "verbose": 0},
        {
            "original": NO_MODEL,
            "pruned": NO_MODEL,
            "pruned,original": {"another model": Made(lambda w: w.other)},
            "dataset": without({**values.DATA, **values.LABELS}, "None"),
            "ranking": values.RANKINGS,
            "measure": {
                **TEXT,
                **NUMBERS,
                **ODD,
                "a list with such a name": ["latency", "typo"],
                "a list of lists": [["latency"]],
            },
            "runtime": RUNTIMES,
            "dataset,measure": {
                "metrics without data": {"...": 1, "measure": "metrics"},
                "agreement without data": {"...": 1, "measure": "agreement"},
            },
            "plan": {
                **TEXT,
                **NUMBERS,
                **ODD,
                "a ranking": RANKING,
                "of other sizes": Made(lambda w: w.plan.resize({"conv": 1})),
            },
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "inspect",
        ksp.inspect,
        {"model": MODEL},
        {"model": NO_MODEL, "channel_map": values.MAPS},
    ),
    Call(
        "count_flops",
        ksp.count_flops,
        {"model": MODEL},
        {"model": NO_MODEL, "input_shape": values.SHAPES},
    ),
    Call(
        "count_flops of any size",
        ksp.count_flops,
        {"model": Made(lambda w: w.open)},
        {"input_shape": without(values.SHAPES, "other sizes")},
    ),
    Call(
        "count_activation_bytes",
        ksp.count_activation_bytes,
        {"model": MODEL},
        {"model": NO_MODEL, "input_shape": values.SHAPES},
    ),
    Call(
        "measure_frontier",
        ksp.measure_frontier,
        {"model": MODEL, "ranking": RANKING, "dataset": SPY},
        {
            "model": PRUNABLE,
            "ranking": {**NONE, **values.RANKINGS},
            "dataset": values.DATA,
            "ratios": {
                **NONE,
                **TEXT,
                **NUMBERS,
                "an object": object(),
                "an empty list": [],
                "a list of words": ["half"],
                "a share above one": [0.5, 1.5],
                "NaN": [values.NAN],
                "a class": dict,
                "a dict": {"conv": 0.5},
                "a dict within": [{"conv": 0.5}],
            },
            "validation_data": without(MEASURED, "None"),
            "metric": METRICS,
            "repair": values.REPAIRS,
            "verbose": values.VERBOSE,
            **SHORTHAND,
        },
    ),
    Call(
        "measure_ablation",
        ksp.measure_ablation,
        {"model": MODEL, "ranking": RANKING, "dataset": SPY},
        {
            "model": NO_MODEL,
            "model,ranking": values.LOCKED,
            "model,metric": {"not compiled": Made(lambda w: w.plain)},
            "ranking": {**NONE, **values.RANKINGS},
            "dataset": MEASURED,
            "metric": METRICS,
            "layers": values.LAYERS,
            "num_points": {**values.POSITIVE_INTEGERS, **NONE, "one": 1},
            "channel_map": values.MAPS,
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "measure_latency",
        ksp.measure_latency,
        {"models": Made(lambda w: [w.model]), "inputs": images(2)},
        {
            "models": {
                **without(NO_MODEL, "a list"),
                "an empty list": [],
                "a list of words": ["model.keras"],
                "one model": MODEL,
            },
            "inputs": {
                **NONE,
                **TEXT,
                "an object": object(),
                "a class": dict,
                "images of another rank": images(2, 7),
                "an empty list": [],
                "objects": np.array([object()] * 4),
            },
            "num_runs": without(values.INTEGERS, "a negative number"),
            "max_seconds": {**TEXT, **ODD, "a list": [1.0]},
            "runtime": RUNTIMES,
        },
    ),
    Call(
        "measure_latency_table",
        ksp.measure_latency_table,
        {"model": MODEL, "target": lambda model: 1.0},
        {
            "model": PRUNABLE,
            "target": RUNTIMES,
            "channel_map": values.MAPS,
            "input_shape": values.SHAPES,
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "write_latency_pieces",
        ksp.write_latency_pieces,
        {"model": MODEL, "folder": "pieces"},
        {
            "model": PRUNABLE,
            "folder": {"a number": 3, "empty": "", **NONE},
            "int8": values.BOOLEANS,
            "channel_map": values.MAPS,
            "input_shape": values.SHAPES,
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "measure_latency on a runtime",
        ksp.measure_latency,
        {"models": Made(lambda w: [w.model]), "inputs": None, "runtime": "tensorflow"},
        {
            "models": {
                "subclassed": Made(lambda w: [w.subclassed]),
                "a function": [print],
            },
            "inputs": {
                **TEXT,
                "an object": object(),
                "images of another rank": images(2, 7),
            },
        },
    ),
    Call(
        "plot_channels",
        ksp.plot_channels,
        {"model": MODEL},
        {
            "model": NO_MODEL,
            "rankdir": values.CHOICES,
            "dpi": {**values.POSITIVE_INTEGERS, **NONE},
            "channel_map": values.MAPS,
            "expand_blocks": values.BOOLEANS,
            "to_file": without(values.OUTPUT_PATHS, "None"),
        },
    ),
    Call(
        "plot_ranking",
        ksp.plot_ranking,
        {"ranking": RANKING},
        {
            "ranking": without({**NONE, **values.RANKINGS}, "of another model"),
            "groups": {
                "a name that does not exist": "typo",
                "a number": 3,
                "an empty list": [],
                "an object": object(),
                "a class": dict,
                "a list of lists": [["conv"]],
            },
            "cut": {
                **TEXT,
                **values.BELOW,
                "NaN": values.NAN,
                "one": 1.0,
                "a list": [0.5],
                "an object": object(),
                "a dict of words": {"conv": "half"},
                "a dict of too many": {"conv": 99},
                "a dict of fewer than none": {"conv": -1},
                "a dict with a name that does not exist": {"typo": 1},
                "an array": np.ones(2),
            },
            **AXES,
        },
    ),
    Call(
        "plot_ablation",
        ksp.plot_ablation,
        {"curves": Made(lambda w: w.curves)},
        {
            "curves": {
                **NONE,
                **TEXT,
                **NUMBERS,
                **ODD,
                "an empty list": [],
                "points": Made(lambda w: w.points),
            },
            **AXES,
        },
    ),
    Call(
        "plot_frontier",
        ksp.plot_frontier,
        {"points": Made(lambda w: w.points)},
        {
            "points": {
                **NONE,
                **TEXT,
                **NUMBERS,
                **ODD,
                "an empty list": [],
                "an empty dict": {},
                "curves": Made(lambda w: w.curves),
            },
            "cost": values.CHOICES,
            **AXES,
        },
    ),
]

DEPLOYING = [
    Call(
        "export_litert",
        ksp.export_litert,
        {"model": MODEL, "path": Made(lambda w: w.folder / "a.tflite")},
        {
            "model": NO_MODEL,
            "path": {
                **values.OUTPUT_PATHS,
                "another ending": "model.keras",
                "in a file": Made(lambda w: w.path("file.txt", "x") / "a.tflite"),
            },
            "int8": values.BOOLEANS,
            "dataset": {"not asked for": images(4)},
            "dataset,int8": {"missing": {"...": True, "int8": True}},
            "input_shape": values.SHAPES,
            "verbose": values.VERBOSE,
        },
    ),
    Call("fold_normalization", ksp.fold_normalization, {}, {"model": NO_MODEL}),
    Call("to_tf_keras", ksp.to_tf_keras, {}, {"model": NO_MODEL}),
]
