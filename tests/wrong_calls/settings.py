"""Wrong settings: the constructors of the public classes, and what is registered."""

import keras
import numpy as np
from wrong_calls.cases import Call, Made
from wrong_calls.functions import MODEL, PRUNED
from wrong_calls.values import (
    BELOW,
    BOOLEANS,
    CHOICES,
    INF,
    INTEGERS,
    MODELS,
    NO_DATA,
    NO_NAMES,
    NO_NUMBER,
    NONE,
    NUMBERS,
    ODD,
    POSITIVE_INTEGERS,
    RATIOS,
    SHARES,
    TEXT,
    without,
)

import keras_shapley_prune as ksp

estimators, games = ksp.estimators, ksp.games
ABOVE_ZERO = {**NO_NUMBER, **BELOW, "zero": 0}
NEVER_NONE = {**POSITIVE_INTEGERS, **NONE}
SEEDS = {**INTEGERS, **NONE}
REDUCTIONS = {**without(CHOICES, "a class"), "no factor": "mean+twostd"}
FILLED = {"replacement": CHOICES, "reduction": REDUCTIONS}
WALKS = {
    "num_draws": POSITIVE_INTEGERS,
    "window": {**SHARES, "zero": 0},
    "decay": SHARES,
}
LAYER = {"a layer": Made(lambda w: keras.layers.Dense(2))}
NO_CALLABLE = {**NONE, **TEXT, **NUMBERS, **ODD}


def _nothing(labels, outputs):
    return outputs


SETTINGS = [
    Call(
        "PruningBudget",
        ksp.PruningBudget,
        {},
        {
            "ratio": {
                **RATIOS,
                "an empty dict": {},
                "a dict of words": {"conv": "half"},
                "a dict with a number as a name": {3: 0.5},
                "a dict with a function": {len: 0.5},
            },
            "of": CHOICES,
            "scope": CHOICES,
            "of,ratio": {
                "a dict of shares": {"...": 1, "ratio": {"a": 0.5}, "of": "flops"}
            },
            "layers": NO_NAMES,
            "ignore": NO_NAMES,
            "granularity": CHOICES,
            "round_to": POSITIVE_INTEGERS,
            "min_units": POSITIVE_INTEGERS,
            "target": {
                "a runtime for units": "litert",
                "a model": {"...": 1, "of": "latency", "target": keras.Sequential()},
                "a class": {"...": 1, "of": "latency", "target": ksp.Runtime},
            },
        },
    ),
    Call(
        "StopWhen",
        ksp.StopWhen,
        {},
        {
            "misassigned": without(SHARES, "None"),
            "evaluations": POSITIVE_INTEGERS,
            "seconds": {**ABOVE_ZERO, "infinity": INF},
        },
    ),
    Call(
        "Mimic",
        ksp.Mimic,
        {},
        {
            "num_steps": POSITIVE_INTEGERS,
            "minutes": {**ABOVE_ZERO, "infinity": INF},
            "num_steps,minutes": {"both": {"...": 1, "num_steps": 1, "minutes": 1}},
            "learning_rate": {**ABOVE_ZERO, **NONE},
            "batch_size": NEVER_NONE,
            "seed": SEEDS,
            "extra_images": NO_DATA,
        },
    ),
    Call(
        "Runtime",
        ksp.Runtime,
        {},
        {
            "name": {**CHOICES, **NONE},
            "batch_size": NEVER_NONE,
            "threads": {**POSITIVE_INTEGERS, "TensorFlow's": 2},
            "threads,name": {"none": {"...": 1, "name": "litert", "threads": 0}},
            "int8": {**BOOLEANS, "of TensorFlow": True},
            "folded": BOOLEANS,
            "folded,name": {
                "of LiteRT": {"...": True, "name": "litert", "folded": True}
            },
        },
    ),
    Call(
        "ShapleyRanker",
        ksp.ShapleyRanker,
        {},
        {
            "game": {**CHOICES, **NONE, "a class of games": games.Loss},
            "estimator": {
                **CHOICES,
                "of another game": "gradient",
                "a class of estimators": estimators.Permutation,
                "an object of another game": estimators.Exact(),
            },
            "stages": POSITIVE_INTEGERS,
            "sequential": BOOLEANS,
            "stop": {**TEXT, **NUMBERS, **ODD, "a class of rules": ksp.StopWhen},
            "batch_size": NEVER_NONE,
            "seed": SEEDS,
        },
    ),
    Call(
        "BaselineRanker",
        ksp.BaselineRanker,
        {"criterion": "l1_norm"},
        {
            "criterion": {**CHOICES, **NONE},
            "game": {
                **CHOICES,
                **NONE,
                "of other values": "reconstruction",
                "a class of games": games.Loss,
            },
            "batch_size": NEVER_NONE,
            "seed": SEEDS,
        },
    ),
    Call(
        "games.Loss",
        games.Loss,
        {},
        {
            "loss": {
                **TEXT,
                **NUMBERS,
                **without(ODD, "a dict"),
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
        {"function": NO_CALLABLE, **FILLED},
    ),
    Call(
        "games.Reconstruction",
        games.Reconstruction,
        {},
        {
            "candidates": {**NO_NUMBER, **BELOW, "below one": 0.5, "infinity": INF},
            "horizon": {**SHARES, "zero": 0},
            "horizon,candidates": {
                "of all": {"...": 1, "candidates": None, "horizon": 0.5}
            },
            "num_copies": INTEGERS,
            "costs": CHOICES,
        },
    ),
    Call(
        "estimators.Adaptive",
        estimators.Adaptive,
        {},
        {"num_draws": POSITIVE_INTEGERS},
    ),
    Call("estimators.Permutation", estimators.Permutation, {}, WALKS),
    Call("estimators.SharedPermutation", estimators.SharedPermutation, {}, WALKS),
    Call("estimators.Gradient", estimators.Gradient, {}, WALKS),
    Call(
        "estimators.CorrectedGradient",
        estimators.CorrectedGradient,
        {},
        {"num_draws": POSITIVE_INTEGERS},
    ),
    Call(
        "estimators.ClosedFormPermutation",
        estimators.ClosedFormPermutation,
        {},
        {"num_draws": POSITIVE_INTEGERS, "decay": SHARES},
    ),
    Call(
        "PruningDistiller",
        ksp.PruningDistiller,
        {"teacher": MODEL, "student": PRUNED},
        {
            "teacher": MODELS,
            "student": MODELS,
            "teacher,student": {"another model": Made(lambda w: w.other)},
            "distillation_losses": {
                **CHOICES,
                "no loss": [],
                "a loss of labels": keras.losses.KLDivergence(),
                "a class of losses": ksp.OutputDistillation,
            },
            "distillation_losses,outputs": {
                "two outputs": ksp.OutputDistillation(["softmax", "softmax"]),
                "another output": ksp.OutputDistillation({"typo": "softmax"}),
            },
            "distillation_loss_weights": {
                **without(NO_NUMBER, "a list"),
                "a number": 0.5,
                "two": [1.0, 2.0],
                "a negative weight": [-1.0],
                "a word": ["much"],
                "none for a loss": [None],
            },
            "student_loss_weight": SHARES,
            "name": {**ODD, **NUMBERS, "a slash": "a/b"},
            "kwargs": {"a setting of compile": {"...": 1, "run_eagerly": True}},
        },
    ),
    Call(
        "OutputDistillation",
        ksp.OutputDistillation,
        {},
        {
            "outputs": {**CHOICES, "a typo in a dict": {"typo": "softmaxx"}},
            "temperature": {**ABOVE_ZERO, **NONE},
        },
    ),
    Call(
        "register_layer",
        ksp.register_layer,
        {"layer_class": keras.layers.Dense, "flow": "mix"},
        {
            "layer_class": {**NONE, **TEXT, **NUMBERS, **ODD, **LAYER},
            "flow": {
                **NO_CALLABLE,
                "a class of types": ksp.LayerType,
                "a bare type": ksp.LayerType(),
            },
            "size": {**NUMBERS, **ODD, "a list": ["units"]},
            "weights": {
                **TEXT,
                **NUMBERS,
                "a list": ["io"],
                "an array": np.ones(2),
                "other letters": {"kernel": "xy"},
                "a number of axes": {"kernel": 2},
                "a number as a name": {3: "io"},
            },
            "unfit": without({**TEXT, **NUMBERS, **ODD}, "a class"),
            "like": {
                label: {"...": 1, "flow": None, "like": value}
                for label, value in {**TEXT, **NUMBERS, **ODD}.items()
            },
            "like,flow": {"both": {"...": 1, "like": keras.layers.Dense}},
        },
    ),
    Call(
        "register_elementwise",
        ksp.register_elementwise,
        {},
        {"function": {**NO_CALLABLE, **LAYER, "a list": [abs]}},
    ),
]
