"""Wrong calls of the public classes and of their methods."""

import keras
import numpy as np

import keras_shapley_prune as ksp
from wrong_calls import values
from wrong_calls.cases import Call, Made
from wrong_calls.functions import (
    MEASURED,
    MODEL,
    NO_MODEL,
    PRUNED,
    RANKING,
    SPY,
)

estimators, games = ksp.estimators, ksp.games
RANK = {
    "model": {**NO_MODEL, **values.LOCKED},
    "layers": values.LAYERS,
    "channel_map": values.MAPS,
    "ratio": {**values.RATIOS, "a dict of words": {"conv": "half"}},
    "verbose": values.VERBOSE,
}
FILLED = {
    "replacement": values.CHOICES,
    "reduction": {
        **{k: v for k, v in values.CHOICES.items() if k != "a class"},
        "a factor that is none": "mean+twostd",
    },
}
WALKS = {
    "num_draws": values.POSITIVE_INTEGERS,
    "window": {**values.SHARES, "zero": 0},
    "decay": values.SHARES,
}


def _method(name):
    """Returns a function that calls a method of its argument `self`."""
    return lambda self, **arguments: getattr(self, name)(**arguments)


def _nothing(labels, outputs):
    return outputs


SETTINGS = [
    Call(
        "PruningBudget",
        ksp.PruningBudget,
        {},
        {
            "ratio": {
                **values.RATIOS,
                "an empty dict": {},
                "a dict of words": {"a": "b"},
                "a dict with a number as a name": {3: 0.5},
            },
            "of": values.CHOICES,
            "scope": values.CHOICES,
            "of,ratio": {
                "a dict of shares": {"...": 1, "ratio": {"conv": 0.5}, "of": "flops"}
            },
            "layers": {
                k: v
                for k, v in values.LAYERS.items()
                if k
                in (
                    "an empty list",
                    "an empty string",
                    "a number",
                    "a list of numbers",
                    "None in a list",
                    "bytes",
                    "a dict",
                    "an array",
                    "a layer",
                    "a class",
                    "NaN",
                )
            },
            "ignore": {
                k: v
                for k, v in values.LAYERS.items()
                if k
                in (
                    "an empty string",
                    "a number",
                    "a list of numbers",
                    "None in a list",
                    "bytes",
                    "a dict",
                    "an array",
                    "a layer",
                    "a class",
                    "NaN",
                )
            },
            "round_to": values.POSITIVE_INTEGERS,
            "min_units": values.POSITIVE_INTEGERS,
        },
    ),
    Call(
        "StopWhen",
        ksp.StopWhen,
        {},
        {
            "misassigned": {k: v for k, v in values.SHARES.items() if k != "None"},
            "evaluations": values.POSITIVE_INTEGERS,
            "seconds": {
                **values.NO_NUMBER,
                **values.BELOW,
                "zero": 0,
                "infinity": values.INF,
            },
        },
    ),
    Call(
        "Mimic",
        ksp.Mimic,
        {},
        {
            "num_steps": values.POSITIVE_INTEGERS,
            "minutes": {
                **values.NO_NUMBER,
                **values.BELOW,
                "zero": 0,
                "infinity": values.INF,
            },
            "num_steps,minutes": {"both": {"...": 1, "num_steps": 1, "minutes": 1}},
            "learning_rate": {
                **values.NO_NUMBER,
                **values.NONE,
                **values.BELOW,
                "zero": 0,
            },
            "batch_size": {**values.POSITIVE_INTEGERS, **values.NONE},
            "seed": {**values.INTEGERS, **values.NONE},
            "extra_images": {
                k: v
                for k, v in values.DATA.items()
                if k
                in (
                    "a path",
                    "an integer",
                    "a class",
                    "an object",
                    "a function",
                    "words",
                    "a set",
                    "an empty list",
                    "without end",
                    "a number",
                    "objects",
                )
            },
        },
    ),
    Call(
        "ShapleyRanker",
        ksp.ShapleyRanker,
        {},
        {
            "game": {k: v for k, v in values.CHOICES.items()}
            | {**values.NONE, "a class of games": games.Loss},
            "estimator": {
                **values.CHOICES,
                "of another game": "gradient",
                "a class of estimators": estimators.Permutation,
                "an object of another game": Made(lambda w: estimators.Exact()),
            },
            "stages": {**values.POSITIVE_INTEGERS},
            "sequential": values.BOOLEANS,
            "stop": {
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "a class of rules": ksp.StopWhen,
            },
            "batch_size": {**values.POSITIVE_INTEGERS, **values.NONE},
            "seed": {**values.INTEGERS, **values.NONE},
        },
    ),
    Call(
        "BaselineRanker",
        ksp.BaselineRanker,
        {"criterion": "l1_norm"},
        {
            "criterion": {**values.CHOICES, **values.NONE},
            "game": {
                **values.CHOICES,
                **values.NONE,
                "of other values": "reconstruction",
                "a class of games": games.Loss,
            },
            "batch_size": {**values.POSITIVE_INTEGERS, **values.NONE},
            "seed": {**values.INTEGERS, **values.NONE},
        },
    ),
    Call(
        "games.Loss",
        games.Loss,
        {},
        {
            "loss": {
                **values.TEXT,
                **values.NUMBERS,
                "an object": object(),
                "an array": np.ones(2),
                "a class of losses": keras.losses.MeanSquaredError,
                "a list of words": ["mse", "typo"],
            },
            **FILLED,
        },
    ),
    Call("games.KL", games.KL, {}, FILLED),
    Call(
        "games.Custom",
        games.Custom,
        {"function": _nothing},
        {
            "function": {
                **values.NONE,
                **values.TEXT,
                **values.NUMBERS,
                "a dict": {},
                "an array": np.ones(2),
                "an object": object(),
                "a class": dict,
            },
            **FILLED,
        },
    ),
    Call(
        "games.Reconstruction",
        games.Reconstruction,
        {},
        {
            "candidates": {
                **values.NO_NUMBER,
                **values.BELOW,
                "below one": 0.5,
                "infinity": values.INF,
            },
            "horizon": {**values.SHARES, "zero": 0},
            "horizon,candidates": {
                "of all": {"...": 1, "candidates": None, "horizon": 0.5}
            },
            "num_copies": values.INTEGERS,
            "costs": values.CHOICES,
        },
    ),
    Call("estimators.Permutation", estimators.Permutation, {}, WALKS),
    Call("estimators.SharedPermutation", estimators.SharedPermutation, {}, WALKS),
    Call("estimators.Gradient", estimators.Gradient, {}, WALKS),
    Call(
        "estimators.CorrectedGradient",
        estimators.CorrectedGradient,
        {},
        {"num_draws": values.POSITIVE_INTEGERS},
    ),
    Call(
        "estimators.ClosedFormPermutation",
        estimators.ClosedFormPermutation,
        {},
        {"num_draws": values.POSITIVE_INTEGERS, "decay": values.SHARES},
    ),
    Call(
        "Distiller",
        ksp.Distiller,
        {"student": PRUNED, "teacher": MODEL},
        {
            "student": {**NO_MODEL},
            "teacher": {**NO_MODEL},
            "teacher,student": {"another model": Made(lambda w: w.other)},
            "alpha": values.SHARES,
            "temperature": {
                **values.NO_NUMBER,
                **values.NONE,
                **values.BELOW,
                "zero": 0,
            },
            "outputs": {
                **values.CHOICES,
                "two": ["softmax", "softmax"],
                "another output": {"typo": "softmax"},
            },
        },
    ),
    Call(
        "register_layer",
        ksp.register_layer,
        {"layer_class": keras.layers.Dense, "flow": "mix"},
        {
            "layer_class": {
                **values.NONE,
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "a layer": Made(lambda w: keras.layers.Dense(2)),
                "a class": dict,
            },
            "flow": {
                **values.NONE,
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "a class of types": ksp.LayerType,
                "a bare type": Made(lambda w: ksp.LayerType()),
            },
            "size": {**values.NUMBERS, **values.ODD, "a list": ["units"]},
            "weights": {
                **values.TEXT,
                **values.NUMBERS,
                "a list": ["io"],
                "an array": np.ones(2),
                "other letters": {"kernel": "xy"},
                "a number of axes": {"kernel": 2},
                "a number as a name": {3: "io"},
            },
            "unfit": {
                **values.TEXT,
                **values.NUMBERS,
                "a dict": {},
                "an array": np.ones(2),
            },
            "like": {**values.TEXT, **values.NUMBERS, **values.ODD}
            and {
                k: {"...": 1, "flow": None, "like": v}
                for k, v in {
                    **values.TEXT,
                    **values.NUMBERS,
                    **values.ODD,
                    "a layer": Made(lambda w: keras.layers.Dense(2)),
                }.items()
                if k != "a layer"
            },
            "like,flow": {"both": {"...": 1, "like": keras.layers.Dense}},
        },
    ),
    Call(
        "register_elementwise",
        ksp.register_elementwise,
        {},
        {
            "function": {
                **values.NONE,
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "a layer": Made(lambda w: keras.layers.ReLU()),
                "a list": [abs],
            }
        },
    ),
]
METHODS = [
    Call(
        "ShapleyRanker.rank",
        _method("rank"),
        {
            "self": Made(lambda w: ksp.ShapleyRanker("kl")),
            "model": MODEL,
            "dataset": SPY,
            "verbose": 0,
        },
        {**RANK, "dataset": values.DATA},
    ),
    Call(
        "ShapleyRanker.rank by the loss",
        _method("rank"),
        {
            "self": Made(lambda w: ksp.ShapleyRanker("loss")),
            "model": MODEL,
            "dataset": SPY,
            "verbose": 0,
        },
        {
            "dataset": {**values.NO_LABELS, **values.LABELS},
            "model,loss": {"not compiled": Made(lambda w: w.plain)},
        },
    ),
    Call(
        "ShapleyRanker.plan",
        _method("plan"),
        {"self": Made(lambda w: ksp.ShapleyRanker()), "model": MODEL, "dataset": SPY},
        {k: v for k, v in {**RANK, "dataset": values.DATA}.items() if k != "verbose"},
    ),
    Call(
        "BaselineRanker.rank",
        _method("rank"),
        {
            "self": Made(lambda w: ksp.BaselineRanker("l1_norm")),
            "model": MODEL,
            "verbose": 0,
        },
        RANK,
    ),
    Call(
        "BaselineRanker.rank by gradients",
        _method("rank"),
        {
            "self": Made(lambda w: ksp.BaselineRanker("taylor")),
            "model": MODEL,
            "verbose": 0,
        },
        {"dataset": {**values.DATA, **values.NO_LABELS, **values.LABELS}},
    ),
    Call(
        "Ranking",
        ksp.Ranking,
        {"groups": Made(lambda w: dict(w.ranking)), "method": "m", "num_examples": 3},
        {
            "groups": {
                **values.NONE,
                **values.TEXT,
                "a number": 3,
                "a list": [1],
                "an array": np.ones(3),
                "numbers": {"conv": 3},
                "lists": {"conv": [1, 2]},
                "a number as a name": Made(lambda w: {3: w.ranking["conv"]}),
            },
            "method": {**values.NONE, **values.NUMBERS, **values.ODD},
            "num_examples": {**values.INTEGERS, **values.NONE},
            "locks": {
                **values.TEXT,
                "a number": 3,
                "a list": [1, 2],
                "numbers": {"conv": 3},
            },
            "comparable": values.BOOLEANS,
        },
    ),
    Call(
        "GroupScores",
        ksp.GroupScores,
        {"values": np.ones(3), "standard_errors": np.ones(3), "num_evaluations": 3},
        {
            "values": {
                **values.NONE,
                **values.TEXT,
                "a number": 3,
                "words": ["a", "b", "c"],
                "a matrix": np.ones((3, 1)),
                "lists of different lengths": [[1], [1, 2]],
                "an object": object(),
            },
            "standard_errors": {
                **values.NONE,
                **values.TEXT,
                "another length": np.ones(4),
                "a matrix": np.ones((3, 1)),
                "words": ["a", "b", "c"],
            },
            "num_evaluations": {**values.INTEGERS, **values.NONE},
            "stages": {
                **values.TEXT,
                "another length": np.ones(4, int),
                "fractions": np.array([0.5, 1, 2]),
            },
            "removal_costs": {
                **values.TEXT,
                "another length": np.ones(4),
                "words": ["a", "b", "c"],
            },
        },
    ),
    Call(
        "Ranking.to_tensorboard",
        _method("to_tensorboard"),
        {"self": RANKING, "logdir": Made(lambda w: w.folder / "logs")},
        {
            "logdir": {
                k: v
                for k, v in values.OUTPUT_PATHS.items()
                if not k.endswith(("exist", "a folder"))
            },
            "frontier": {
                **values.TEXT,
                **values.NUMBERS,
                **values.ODD,
                "words": ["a"],
                "curves": Made(lambda w: w.curves),
            },
            "step": {**values.INTEGERS, **values.NONE},
        },
    ),
    Call(
        "PruningPlan",
        ksp.PruningPlan,
        {"channel_map": Made(lambda w: w.map), "kept": {"conv": 3}, "orders": {}},
        {
            "channel_map": {
                **values.NONE,
                **{k: v for k, v in values.MAPS.items() if k != "of another model"},
            },
            "kept": {
                **values.NONE,
                **values.TEXT,
                "a number": 3,
                "a list": [3],
                "an array": np.ones(2),
                "a name that does not exist": {"typo": 3},
                "too many": {"conv": 7},
                "none of them": {"conv": 0},
                "a fraction": {"conv": 2.5},
                "words": {"conv": "three"},
                "None within": {"conv": None},
                "a number as a name": {3: 3},
            },
            "orders": {
                **values.NONE,
                **values.TEXT,
                "a number": 3,
                "a list": [3],
                "too short": {"conv": [0, 1]},
                "twice": {"conv": [0, 0, 1, 2, 3, 4]},
                "words": {"conv": list("abcdef")},
                "None within": {"conv": None},
                "a number within": {"conv": 3},
                "fractions": {"conv": [0.5, 1, 2, 3, 4, 5]},
                "lists of different lengths": {"conv": [[1], [1, 2]]},
            },
            "budget": {**values.TEXT, **values.NUMBERS, **values.ODD},
        },
    ),
    Call(
        "PruningPlan.resize",
        _method("resize"),
        {"self": Made(lambda w: w.plan)},
        {
            "kept": {
                **values.NONE,
                **values.TEXT,
                "a number": 3,
                "a list": [3],
                "an array": np.ones(2),
                "a name that does not exist": {"typo": 3},
                "too many": {"conv": 7},
                "none of them": {"conv": 0},
                "a fraction": {"conv": 2.5},
                "words": {"conv": "three"},
                "None within": {"conv": None},
                "a number as a name": {3: 3},
            }
        },
    ),
    Call(
        "PruningPlan.bind",
        _method("bind"),
        {"self": Made(lambda w: w.plan)},
        {
            "model": {
                **NO_MODEL,
                **values.LOCKED,
                "another model": Made(lambda w: w.other),
            }
        },
    ),
    Call(
        "ChannelMap.select_groups",
        _method("select_groups"),
        {"self": Made(lambda w: w.map)},
        {"layers": values.LAYERS},
    ),
    Call(
        "ChannelMap.check_keep",
        _method("check_keep"),
        {"self": Made(lambda w: w.map)},
        {"keep": {**values.NONE, **values.KEEPS}},
    ),
    Call(
        "PruningBudget.select_groups",
        lambda **b: ksp.PruningBudget(
            **{k: v for k, v in b.items() if k != "channel_map"}
        ).select_groups(b["channel_map"]),
        {"channel_map": Made(lambda w: w.map)},
        {
            "channel_map": {
                **values.NONE,
                **{k: v for k, v in values.MAPS.items() if k != "of another model"},
            },
            "ignore": {"a name that does not exist": "typo"},
            "layers": {"a name that does not exist": "typo"},
            "ratio": {"a name that does not exist": {"typo": 0.5}},
            "ignore,layers": {"all layers": "*"},
        },
    ),
]
OBJECTS = [*SETTINGS, *METHODS]
