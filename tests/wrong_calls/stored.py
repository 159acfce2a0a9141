"""Wrong calls that read or write files: other paths, damaged and edited files."""

import copy
import json

from wrong_calls import values
from wrong_calls.cases import Call, Made
from wrong_calls.functions import MODEL, NO_MODEL
from wrong_calls.methods import method

import keras_shapley_prune as ksp

GONE = object()
ABSURD = {"None": None, "a word": "x", "a number": 3, "a list": [1], "a dict": {"a": 1}}


def _edits(kind, changes):
    """Returns files in each of which one thing has been changed.

    Args:
        kind: String, `"ranking"`, `"plan"` or `"comparison"`.
        changes: Dict: label -> tuple: the keys that lead there, and the new value.
    """
    return {
        label: Made(_edit(kind, label, *change)) for label, change in changes.items()
    }


def _edit(kind, label, keys, value):
    def make(world):
        content = copy.deepcopy(world.saved(kind))
        inner = content
        for key in keys[:-1]:
            inner = inner[key]
        if value is GONE:
            del inner[keys[-1]]
        else:
            inner[keys[-1]] = value
        name = f"{kind} {label}.json".replace("/", " ")
        return world.path(name, json.dumps(content))

    return make


def _absurd(place, keys, *fitting):
    """Returns changes of a place to what it may never be."""
    return {
        f"{place}: {label}": (keys, value)
        for label, value in {**ABSURD, "missing": GONE}.items()
        if label not in fitting
    }


CONV = ("groups", "conv")
RANKING_EDITS = {
    **_absurd("method", ("method",), "a word"),
    **_absurd("num_examples", ("num_examples",), "a number"),
    "num_examples: negative": (("num_examples",), -1),
    "num_examples: a fraction": (("num_examples",), 1.5),
    **_absurd("locks", ("locks",)),
    **_absurd("comparable", ("comparable",), "missing"),
    **_absurd("costs", ("costs",), "missing", "None"),
    **_absurd("groups", ("groups",)),
    **_absurd("a group", CONV, "missing"),
    **_absurd("values", (*CONV, "values")),
    "values: one too few": ((*CONV, "values"), [1.0] * 5),
    "values: words": ((*CONV, "values"), list("abcdef")),
    "values: lists": ((*CONV, "values"), [[1.0]] * 6),
    "values: booleans": ((*CONV, "values"), [True] * 6),
    **_absurd("standard_errors", (*CONV, "standard_errors")),
    "standard_errors: negative": ((*CONV, "standard_errors"), [-1.0] * 6),
    **_absurd("num_evaluations", (*CONV, "num_evaluations"), "a number"),
    **_absurd("stages", (*CONV, "stages"), "missing"),
    "stages: fractions": ((*CONV, "stages"), [0.5] * 6),
    "stages: negative": ((*CONV, "stages"), [-1] * 6),
    **_absurd("removal_costs", (*CONV, "removal_costs"), "missing", "None"),
    "format: another": (("format",), "keras_shapley_prune.PruningPlan"),
}
del RANKING_EDITS["locks: a dict"]
PLAN_EDITS = {
    **_absurd("groups", ("groups",)),
    **_absurd("a group", CONV, "missing"),
    **_absurd("num_kept", (*CONV, "num_kept"), "a number"),
    "num_kept: too many": ((*CONV, "num_kept"), 7),
    "num_kept: none": ((*CONV, "num_kept"), 0),
    "num_kept: a fraction": ((*CONV, "num_kept"), 2.5),
    "num_kept: true": ((*CONV, "num_kept"), True),
    **_absurd("order", (*CONV, "first_to_leave_first")),
    "order: twice": ((*CONV, "first_to_leave_first"), [0, 0, 1, 2, 3, 4]),
    "order: words": ((*CONV, "first_to_leave_first"), list("abcdef")),
    "order: lists": ((*CONV, "first_to_leave_first"), [[0], [1, 2], 3, 4, 5, 6]),
    "order: fractions": ((*CONV, "first_to_leave_first"), [0.5, 1, 2, 3, 4, 5]),
    **_absurd("input_shapes", ("input_shapes",), "missing", "None"),
    "another group": (("groups", "typo"), {"num_kept": 2, "first_to_leave_first": [0]}),
    "format: another": (("format",), "keras_shapley_prune.Ranking"),
}
COMPARISON_EDITS = {
    **_absurd("units", ("units",)),
    "units: three": (("units", "conv"), [1, 2, 3]),
    "units: words": (("units", "conv"), ["a", "b"]),
    **_absurd("parameters", ("parameters",)),
    **_absurd("flops", ("flops",), "None"),
    **_absurd("locks", ("locks",)),
    **_absurd("groups", ("groups",)),
    **_absurd("name", ("name",), "a word"),
    **_absurd("method", ("method",), "a word", "None", "missing"),
    **_absurd("latency", ("latency",), "missing", "None"),
    **_absurd("metrics", ("metrics",), "missing", "None"),
    **_absurd("file_size", ("file_size",), "missing", "None"),
    **_absurd("a group", ("groups", 0)),
    **_absurd("producers", ("groups", 0, "producers")),
    **_absurd("scores", ("groups", 0, "scores"), "None"),
    "format: another": (("format",), "keras_shapley_prune.Ranking"),
}
for name in ("parameters: a list", "flops: a list"):
    COMPARISON_EDITS.pop(name)
COMPARISON_EDITS.pop("a group: missing", None)


def _load_plan(path, model, input_shape=None):
    return ksp.PruningPlan.load(path, model, input_shape)


NPZ = Made(lambda w: w.path("cut.keras", b"PK\x03\x04" + b"\0" * 40))
STORED = [
    Call(
        "Ranking.load",
        ksp.Ranking.load,
        {},
        {
            "path": {
                **values.INPUT_PATHS,
                "a plan": Made(
                    lambda w: (w.saved("plan"), w.folder / "saved_plan.json")[1]
                ),
                "cut off": Made(
                    lambda w: w.path("cut.json", json.dumps(w.saved("ranking"))[:200])
                ),
                **_edits("ranking", RANKING_EDITS),
            }
        },
    ),
    Call(
        "PruningPlan.load",
        _load_plan,
        {"model": MODEL},
        {
            "path": {
                **values.INPUT_PATHS,
                "a ranking": Made(
                    lambda w: (w.saved("ranking"), w.folder / "saved_ranking.json")[1]
                ),
                "cut off": Made(
                    lambda w: w.path("cut.json", json.dumps(w.saved("plan"))[:100])
                ),
                **_edits("plan", PLAN_EDITS),
            }
        },
    ),
    Call(
        "PruningPlan.load for a model",
        _load_plan,
        {
            "path": Made(lambda w: (w.saved("plan"), w.folder / "saved_plan.json")[1]),
            "model": MODEL,
        },
        {
            "model": NO_MODEL,
            "model,path": {"another model": Made(lambda w: w.other)},
            "input_shape": values.SHAPES,
        },
    ),
    Call(
        "Comparison.load",
        ksp.Comparison.load,
        {},
        {
            "path": {
                **values.INPUT_PATHS,
                "a plan": Made(
                    lambda w: (w.saved("plan"), w.folder / "saved_plan.json")[1]
                ),
                "cut off": Made(
                    lambda w: w.path(
                        "cut.json", json.dumps(w.saved("comparison"))[:200]
                    )
                ),
                **_edits("comparison", COMPARISON_EDITS),
            }
        },
    ),
    Call(
        "LatencyTable.load",
        ksp.LatencyTable.load,
        {},
        {
            "path": {
                **values.INPUT_PATHS,
                "a plan": Made(
                    lambda w: (w.saved("plan"), w.folder / "saved_plan.json")[1]
                ),
            }
        },
    ),
    Call(
        "Ranking.save",
        method("save"),
        {"self": Made(lambda w: w.ranking)},
        {"path": values.OUTPUT_PATHS},
    ),
    Call(
        "PruningPlan.save",
        method("save"),
        {"self": Made(lambda w: w.plan)},
        {"path": values.OUTPUT_PATHS},
    ),
    Call(
        "Comparison.to_json",
        method("to_json"),
        {"self": Made(lambda w: w.comparison)},
        {"path": values.OUTPUT_PATHS},
    ),
    Call(
        "Comparison.to_html",
        method("to_html"),
        {"self": Made(lambda w: w.comparison)},
        {"path": values.OUTPUT_PATHS},
    ),
    Call(
        "load_model",
        ksp.load_model,
        {"path": "none.keras"},
        {
            "path": {
                **values.INPUT_PATHS,
                "not a model": Made(lambda w: w.path("text.keras", "hello")),
                "a damaged .keras": NPZ,
                "a damaged .h5": Made(
                    lambda w: w.path("cut.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 40)
                ),
                "an empty .h5": Made(lambda w: w.path("empty.h5", b"")),
                "a .keras that does not exist": "none.keras",
                "a .h5 that does not exist": "none.h5",
                "a folder .keras": Made(lambda w: _folder(w, "folder.keras")),
            },
            "custom_objects": {
                **values.TEXT,
                "a number": 3,
                "a list": [1],
                "an object": object(),
            },
        },
    ),
]


def _folder(world, name):
    path = world.folder / name
    path.mkdir(exist_ok=True)
    return path
