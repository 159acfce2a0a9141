"""Wrong calls of the functions that prune, and of the steps they are made of."""

import numpy as np

import keras_shapley_prune as ksp
from wrong_calls import values
from wrong_calls.cases import Call, Made
from wrong_calls.world import Spy, images

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
        "a dict with a number as a name": {3: 0.5},
        "a dict of NaN": {"conv": values.NAN},
    },
    "of": values.CHOICES,
    "scope": values.CHOICES,
    "layers": values.LAYERS,
    "ignore": values.LAYERS,
    "ignore,layers": {"all layers": "*"},
    "round_to": values.POSITIVE_INTEGERS,
    "min_units": values.POSITIVE_INTEGERS,
}
SHORTHAND = {k: v for k, v in BUDGET.items() if k != "ratio"}
MEMORY = {k: v for k, v in values.POSITIVE_INTEGERS.items() if k != "None"}
LABEL_RANKER = Made(lambda w: ksp.ShapleyRanker("loss"))


def _ranked_by_loss(labels):
    """Returns data that a ranker of the loss refuses, as further arguments."""
    return {
        label: {"...": True, "dataset": data, "ranker": ksp.BaselineRanker("taylor")}
        for label, data in labels.items()
    }


METRICS = {
    **values.NONE,
    **values.NUMBERS,
    **values.ODD,
    "a name that does not exist": "typo",
    "a list": ["accuracy"],
    "a class of metrics": Made(lambda w: __import__("keras").metrics.Accuracy),
}
MEASURED = {**values.DATA, **values.NO_LABELS, **values.LABELS}
del METRICS["a class"], METRICS["a class of metrics"]  # these can be called

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
        },
    ),
    Call(
        "prune by the loss",
        ksp.prune,
        {"model": MODEL, "dataset": SPY, "verbose": 0},
        {"dataset": _ranked_by_loss({**values.NO_LABELS, **values.LABELS})},
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
        },
    ),
    Call(
        "prune_until",
        ksp.prune_until,
        {"model": MODEL, "dataset": SPY, "verbose": 0},
        {
            "model": {**NO_MODEL, **values.LOCKED},
            "dataset": values.DATA,
            "max_drop": {**values.NO_NUMBER, **values.NONE, **values.BELOW},
            "metric": METRICS,
            "validation_data": {k: v for k, v in MEASURED.items() if k != "None"},
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
            "model": PRUNABLE,
            "ranking": {**values.NONE, **values.RANKINGS},
            **BUDGET,
            "channel_map": values.MAPS,
            "input_shape": values.SHAPES,
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
                **{k: v for k, v in NO_MODEL.items() if k != "code"},
                "another model": Made(lambda w: w.other),
            },
            "keep": {**values.NONE, **values.KEEPS},
            "dataset": values.DATA,
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
        },
    ),
    Call("trace_channels", ksp.trace_channels, {}, {"model": NO_MODEL}),
    Call(
        "to_functional",
        ksp.to_functional,
        {"model": Made(lambda w: w.subclassed)},
        {
            "model": {k: v for k, v in NO_MODEL.items() if k != "code"},
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

MEASURING = [
    Call(
        "compare",
        ksp.compare,
        {"original": MODEL, "pruned": PRUNED, "verbose": 0},
        {
            "original": NO_MODEL,
            "pruned": NO_MODEL,
            "pruned,original": {"another model": Made(lambda w: w.other)},
            "data": {
                k: v for k, v in {**values.DATA, **values.LABELS}.items() if k != "None"
            },
            "ranking": values.RANKINGS,
            "measure": {
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "a list with such a name": ["latency", "typo"],
                "a list of lists": [["latency"]],
            },
            "data,measure": {"metrics without data": {"...": 1, "measure": "metrics"}},
            "verbose": values.VERBOSE,
        },
    ),
    Call(
        "channel_report",
        ksp.channel_report,
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
        {"input_shape": {k: v for k, v in values.SHAPES.items() if k != "other sizes"}},
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
            "ranking": {**values.NONE, **values.RANKINGS},
            "dataset": values.DATA,
            "ratios": {
                **values.NONE,
                **values.TEXT,
                **values.NUMBERS,
                "an object": object(),
                "an empty list": [],
                "a list of words": ["half"],
                "a share above one": [0.5, 1.5],
                "NaN": [values.NAN],
                "a class": dict,
                "a dict": {"conv": 0.5},
                "a dict within": [{"conv": 0.5}],
            },
            "validation_data": {k: v for k, v in MEASURED.items() if k != "None"},
            "metric": METRICS,
            "repair": values.REPAIRS,
            **SHORTHAND,
        },
    ),
    Call(
        "measure_ablation",
        ksp.measure_ablation,
        {"model": MODEL, "ranking": RANKING, "dataset": SPY},
        {
            "model": PRUNABLE,
            "model,metric": {"not compiled": Made(lambda w: w.plain)},
            "ranking": {**values.NONE, **values.RANKINGS},
            "dataset": MEASURED,
            "metric": METRICS,
            "layers": values.LAYERS,
            "num_points": {**values.POSITIVE_INTEGERS, **values.NONE, "one": 1},
            "channel_map": values.MAPS,
        },
    ),
    Call(
        "measure_latency",
        ksp.measure_latency,
        {"models": Made(lambda w: [w.model]), "inputs": images(2)},
        {
            "models": {
                **{k: v for k, v in NO_MODEL.items() if k != "a list"},
                "an empty list": [],
                "a list of words": ["model.keras"],
                "one model": MODEL,
            },
            "inputs": {
                **values.NONE,
                **values.TEXT,
                "an object": object(),
                "a class": dict,
                "images of another size": images(2, 5, 5, 1),
                "an empty list": [],
                "objects": np.array([object()] * 4),
            },
            "num_runs": {
                k: v for k, v in values.INTEGERS.items() if k != "a negative number"
            },
            "max_seconds": {**values.TEXT, **values.ODD, "a list": [1.0]},
        },
    ),
    Call(
        "plot_channels",
        ksp.plot_channels,
        {"model": MODEL},
        {
            "model": NO_MODEL,
            "rankdir": values.CHOICES,
            "dpi": {**values.POSITIVE_INTEGERS, **values.NONE},
            "channel_map": values.MAPS,
            "to_file": {k: v for k, v in values.OUTPUT_PATHS.items() if k != "None"},
        },
    ),
    Call(
        "plot_ranking",
        ksp.plot_ranking,
        {"ranking": RANKING},
        {
            "ranking": {
                k: v
                for k, v in {**values.NONE, **values.RANKINGS}.items()
                if k != "of another model"
            },
            "groups": {
                "a name that does not exist": "typo",
                "a number": 3,
                "an empty list": [],
                "an object": object(),
                "a class": dict,
                "a list of lists": [["conv"]],
            },
            "cut": {
                **values.TEXT,
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
            "ax": {**values.TEXT, "a number": 3, "an object": object()},
        },
    ),
    Call(
        "plot_ablation",
        ksp.plot_ablation,
        {"curves": Made(lambda w: w.curves)},
        {
            "curves": {
                **values.NONE,
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "an empty list": [],
                "points": Made(lambda w: w.points),
            },
            "ax": {**values.TEXT, "a number": 3, "an object": object()},
        },
    ),
    Call(
        "plot_frontier",
        ksp.plot_frontier,
        {"points": Made(lambda w: w.points)},
        {
            "points": {
                **values.NONE,
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "an empty list": [],
                "an empty dict": {},
                "curves": Made(lambda w: w.curves),
            },
            "cost": values.CHOICES,
            "ax": {**values.TEXT, "a number": 3, "an object": object()},
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
            "representative_data": {"not asked for": images(4)},
            "representative_data,int8": {"missing": {"...": True, "int8": True}},
            "input_shape": values.SHAPES,
        },
    ),
    Call("to_tf_keras", ksp.to_tf_keras, {}, {"model": NO_MODEL}),
]
FUNCTIONS = [*PRUNING, *MEASURING, *DEPLOYING]
