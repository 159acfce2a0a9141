"""Values that are wrong for an argument, by what the argument should be."""

import itertools
import os
import re

import keras
import numpy as np
import tensorflow as tf
from wrong_calls.cases import Made
from wrong_calls.world import Subclassed, images

NAN, INF = float("nan"), float("inf")
# What is neither a number nor a string, nor anything else that an argument may be.
ODD = {
    "a dict": {"a": 1},
    "an array": np.ones(2),
    "a class": dict,
    "an object": object(),
}
NUMBERS = {"NaN": NAN, "an integer": 3, "a float": 1.5}
TEXT = {"a string": "many"}
NONE = {"None": None}
BELOW = {"a negative number": -1}
NO_NUMBER = {**TEXT, **ODD, "a list": [1, 2], "a boolean": True, "NaN": NAN}

INTEGERS = {**NO_NUMBER, "a float": 1.5, "infinity": INF, **BELOW}
POSITIVE_INTEGERS = {**INTEGERS, "zero": 0}
SHARES = {**NO_NUMBER, **NONE, **BELOW, "above one": 1.5}
RATIOS = {
    **{k: v for k, v in NO_NUMBER.items() if k != "a dict"},
    **NONE,
    **BELOW,
    "one": 1.0,
    "a percentage": 50,
}
BOOLEANS = {**NONE, **TEXT, **ODD, "a list": [], "an integer": 2, "a float": 0.5}
CHOICES = {**TEXT, **ODD, **NUMBERS, "a list": ["zero"]}
# Folders that are new, or hold such a run, are right.
CHECKPOINTS = {
    **ODD,
    **NUMBERS,
    "an empty string": "",
    "a list": ["run"],
    "a file": __file__,
    "a folder of something else": os.path.dirname(__file__),
}
VERBOSE = {**NONE, **TEXT, "a dict": {}, "an array": np.ones(2), "an integer": 3}

MODELS = {
    **NONE,
    "a path": "model.keras",
    "an integer": 3,
    "an array": np.ones((2, 2)),
    "a class": keras.Model,
    "a layer": Made(lambda w: keras.layers.Dense(2)),
    "a list": Made(lambda w: [w.model]),
    "a dict": Made(lambda w: {"model": w.model}),
    "not built": Made(lambda w: keras.Sequential([keras.layers.Dense(2)])),
    "code, not built": Made(lambda w: Subclassed()),
    "code": Made(lambda w: w.subclassed),
}
LOCKED = {"nothing to remove": Made(lambda w: w.locked)}

DATA = {
    **NONE,
    "a path": "images/",
    "an integer": 3,
    "a class": dict,
    "a function": lambda: None,
    "an object": object(),
    "a number": np.float32(1),
    "an empty dict": {},
    "an empty list": [],
    "an empty tuple": (),
    "no examples": np.zeros((0, 6, 6, 1), "float32"),
    "no examples, labelled": (np.zeros((0, 6, 6, 1), "float32"), np.zeros(0)),
    "other images": images(8, 5, 5, 1),
    "other channels": images(8, 6, 6, 3),
    "one image": images(1)[0],
    "a vector": np.ones(5),
    "strings": np.array(["a", "b"]),
    "objects": np.array([object()] * 4),
    "words": ["a", "b"],
    "a set": {1, 2},
    "lists of different lengths": [[1.0, 2.0], [1.0]],
    "a list of None": [None, None],
    "four entries": (images(8), np.zeros(8), np.ones(8), np.ones(8)),
    "fewer labels": (images(8), np.zeros(5)),
    "another input": {"picture": images(8)},
    "batches of two inputs": [((images(4), images(4)), np.zeros(4))],
    "batches of four": [(images(4), np.zeros(4), np.ones(4), np.ones(4))],
    "batches of images of another size": [images(4, 5, 5, 1)],
    "fewer labels in a batch": [(images(4), np.zeros(3))],
    "an iterator of words": Made(lambda w: iter(["a", "b"])),
    "an iterator of nothing": Made(lambda w: iter(())),
    "not batched": Made(lambda w: tf.data.Dataset.from_tensor_slices(images(8))),
    "without end": Made(
        lambda w: tf.data.Dataset.from_tensor_slices(images(8)).batch(4).repeat()
    ),
    "no batches": Made(
        lambda w: tf.data.Dataset.from_tensor_slices(images(8)).batch(4).take(0)
    ),
    "ragged": Made(lambda w: tf.ragged.constant([[1.0], [1.0, 2.0]])),
    "a generator without end": Made(lambda w: itertools.repeat(images(4096))),
}
NO_LABELS = {
    "no labels": images(8),
    "batches without labels": [images(4)],
    "labels None": (images(8), None),
}
LABELS = {
    "a class too many": (images(4), np.array([0, 1, 4, 2])),
    "a negative class": (images(4), np.array([0, 1, -1, 2])),
    "a class too many in a later batch": [
        (images(4), np.array([0, 1, 3, 2])),
        (images(4), np.array([0, 1, 9, 2])),
    ],
    "words": (images(4), np.array(list("abcd"))),
    "one-hot": (images(4), np.eye(4)),
    "fractions": (images(4), np.array([0.5, 1.0, 2.0, 0.0])),
    "NaN": (images(4), np.array([0, 1, NAN, 2])),
    "lists": (images(4), [[0], [1, 2], [3], [0]]),
    "two outputs": (images(4), [np.zeros(4), np.zeros(4)]),
    "another output": (images(4), {"other": np.zeros(4)}),
    "objects": (images(4), np.array([object()] * 4)),
}
MAPS = {
    **TEXT,
    "a dict": {"conv": 2},
    "an integer": 3,
    "an array": np.ones(2, bool),
    "the model": Made(lambda w: w.model),
    "of another model": Made(lambda w: w.other_map),
}
RANKINGS = {
    "a path": "ranking.json",
    "an integer": 3,
    "a list": [1, 2],
    "an array": np.ones(14),
    "a dict of numbers": {"conv": 2},
    "a dict of lists": {"conv": [1, 2, 3]},
    "a ranker": Made(lambda w: "l1_norm"),
    "a plan": Made(lambda w: w.plan),
    "of another model": Made(lambda w: w.other_ranking),
}
LAYERS = {
    "a name that does not exist": "typo",
    "a pattern that matches nothing": "typo*",
    "a list with such a name": ["conv", "typo"],
    "a locked layer": "classes",
    "an empty list": [],
    "an empty string": "",
    "a number": 3,
    "a list of numbers": [1],
    "None in a list": [None],
    "bytes": b"conv",
    "a dict": {"conv": 0.5},
    "an array": np.ones(2),
    "a layer": Made(lambda w: w.model.layers[0]),
    "a list of layers": Made(lambda w: w.model.layers),
    "a class": dict,
    "NaN": NAN,
    "an expression of bytes": re.compile(b"conv"),
    "an expression that matches nothing": re.compile("typo"),
    "a function that selects nothing": lambda layer: False,
    "a function that returns nothing": lambda layer: None,
    "a function that raises": lambda layer: {}[layer.name],
    "a function of nothing": lambda: True,
    "a list with such a function": ["conv", lambda layer: "conv" in layer.name or 0],
}
KEEPS = {
    "a string": "conv",
    "a number": 3,
    "None in a dict": {"conv": None},
    "an object": object(),
    "another length": np.ones(3, bool),
    "another type": np.ones(14, int),
    "floats": np.ones(14),
    "a list of words": ["conv"],
    "lists of different lengths": [[1], [1, 2]],
    "nothing kept": np.zeros(18, bool),
    "a name that does not exist": {"typo": [0]},
    "a number as a name": {3: [0]},
    "a position too many": {"conv": [6]},
    "a negative position": {"conv": [-1]},
    "a position twice": {"conv": [1, 1]},
    "fractions": {"conv": [0.5]},
    "a string of positions": {"conv": "123"},
    "a mask too short": {"conv": [True, False]},
    "a nested dict": {"conv": {"a": 1}},
    "lists within": {"conv": [[0], [1, 2]]},
    "a locked layer": {"classes": [0]},
}
REMOVES = {
    "a string": "conv",
    "a number": 3,
    "an array": np.ones(18, bool),
    "a list": ["conv"],
    "a set": {"conv"},
    "None in a dict": {"conv": None},
    "a name that does not exist": {"typo": [0]},
    "a position too many": {"conv": [6]},
    "a negative position": {"conv": [-1]},
    "fractions": {"conv": [0.5]},
    "all of a group": {"conv": [0, 1, 2, 3, 4, 5]},
    "a locked layer": {"classes": [0]},
    "a mask too long": {"conv": [True] * 7},
}
RANKERS = {
    "a name that does not exist": "l3_norm",
    **ODD,
    **NUMBERS,
    "a list": ["l1_norm"],
    "a class of rankers": Made(lambda w: type(w.ranker)),
    "a function": lambda *arguments: None,
    "a ranking of another model": Made(lambda w: w.other_ranking),
    "a plan": Made(lambda w: w.plan),
    "a ranking that does not exist": "none.json",
    "a game": "loss",
}
REPAIRS = {
    "a name that does not exist": "typo",
    **ODD,
    **NUMBERS,
    "a boolean": True,
    "a list": ["mean"],
    "a class of repairs": Made(lambda w: type(w.mimic)),
}
SHAPES = {
    **TEXT,
    "a number": 3,
    "a float": 1.5,
    "an object": object(),
    "a class": dict,
    "an empty tuple": (),
    "with the batch": (1, 6, 6, 1),
    "other sizes": (5, 5, 1),
    "a negative size": (-6, 6, 1),
    "zero": (0, 6, 1),
    "fractions": (6.0, 6.0, 1),
    "None within": (None, None, 1),
    "another input": {"picture": (6, 6, 1)},
    "a shape too many": [(6, 6, 1), (6, 6, 1)],
    "words": ("a", "b", "c"),
    "a dict of numbers": {"image": 6},
    "booleans": (True, True, True),
}
OUTPUT_PATHS = {
    **NONE,
    "a number": 3,
    "a float": 1.5,
    "an object": object(),
    "a class": dict,
    "a list": ["a"],
    "an empty string": "",
    "a folder": Made(lambda w: w.folder),
    "in a folder that does not exist": Made(lambda w: w.folder / "none" / "a.json"),
    "in a file": Made(lambda w: w.path("file.txt", "x") / "a.json"),
    "not writable": "/proc/keras_shapley_prune.json",
    "a character that no path has": "a\0b.json",
}
INPUT_PATHS = {
    **NONE,
    "a number": 3,
    "an object": object(),
    "a class": dict,
    "a list": ["a"],
    "an empty string": "",
    "a folder": Made(lambda w: w.folder),
    "a file that does not exist": Made(lambda w: w.folder / "none.json"),
    "a character that no path has": "a\0b.json",
    "an empty file": Made(lambda w: w.path("empty.json", "")),
    "text": Made(lambda w: w.path("text.json", "hello")),
    "bytes": Made(lambda w: w.path("bytes.json", b"\xff\xfe\x00\x80" * 9)),
    "an image": Made(lambda w: w.path("image.json", b"\x89PNG\r\n\x1a\n" * 4)),
    "a list of JSON": Made(lambda w: w.path("list.json", "[1, 2]")),
    "a number of JSON": Made(lambda w: w.path("number.json", "3")),
    "another JSON": Made(lambda w: w.path("other.json", '{"format": "other"}')),
    "JSON too deep": Made(lambda w: w.path("deep.json", "[" * 100_000)),
}


def without(values, *labels):
    """Returns wrong values but for those that are right here.

    Args:
        values: Dict: what is wrong -> value.
        *labels: Strings, what is not wrong.
    """
    assert set(labels) <= set(values), set(labels) - set(values)
    return {label: value for label, value in values.items() if label not in labels}


# What no layer name or pattern can be, whatever the model.
NO_NAMES = without(
    LAYERS,
    "a name that does not exist",
    "a pattern that matches nothing",
    "a list with such a name",
    "a locked layer",
    "an empty list",
    "an empty string",
    "an expression that matches nothing",
    "a function that selects nothing",
    "a function that returns nothing",
    "a function that raises",
    "a function of nothing",
    "a list with such a function",
)
# What no data can be, whatever the model.
NO_DATA = {
    label: DATA[label]
    for label in ("a path", "an integer", "a class", "a function", "an object")
} | {"a number": DATA["a number"], "without end": DATA["without end"]}
