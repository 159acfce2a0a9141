"""Random networks out of the registry: uses of its entries, joined at random."""

import math

import fresh_seeds
import keras
import models
import numpy as np
import registry_builders as builders
from hypothesis import reject
from hypothesis import strategies as st
from keras import layers, ops

from keras_shapley_prune.layer_types import registry

_REGISTERED = {layer_class.__name__ for layer_class in registry.LAYER_TYPES}
_WIDTH = 8  # channels that the uses of the registry are made for
_KINDS = (
    *("use", "use", "use", "add", "concatenate", "shared", "nested", "locked"),
    *("mixed positions", "attention", "deep"),
)


def _uses_of(tables):
    """Returns a dict: rank -> list of `(name, use)`."""
    found = {rank: [] for rank in builders.SHAPES}
    for table in tables:
        for name, uses in sorted(table.items()):
            if table is builders.LAYERS and name not in _REGISTERED:
                continue
            if not builders.is_in_keras(name):
                continue
            for rank, use in uses:
                found[rank].append((name, use))
    return found


USES = _uses_of([builders.LAYERS, builders.OPERATIONS])
LOCKED = _uses_of([builders.LOCKED])


class Drawn:
    """What `build` chooses by, where hypothesis chooses.

    Whoever chooses otherwise has another object with these methods.

    Args:
        draw: What a composite strategy is given.
    """

    def __init__(self, draw):
        self._draw = draw

    def pick(self, values):
        """Returns one of a sequence."""
        return self._draw(st.sampled_from(values))

    def several(self, values):
        """Returns a list of some of a sequence, perhaps none, some of them twice."""
        return self._draw(st.lists(st.sampled_from(values)))

    def integer(self, low, high):
        """Returns an integer, both ends included."""
        return self._draw(st.integers(low, high))

    def boolean(self):
        """Returns whether."""
        return self._draw(st.booleans())


@st.composite
def networks(draw):
    """Strategy of functional models with branches, joins, nesting, shared layers."""
    model = build(Drawn(draw))
    try:
        models.outputs_of(model, models.images(model))
    except Exception:  # Keras itself cannot run it
        reject()
    return model


def build(choices, most=7):
    """Returns a functional model, which Keras cannot run in rare cases.

    Args:
        choices: An object with the methods of `Drawn`.
        most: Integer, the largest number of steps.
    """
    fresh_seeds.clear_session()
    rank = choices.pick(sorted(builders.SHAPES))
    inputs = keras.Input(builders.SHAPES[rank])
    pool, read = [_mix(inputs), _mix(inputs)], []
    for _ in range(choices.integer(2, most)):
        a = choices.pick(pool)
        b = choices.pick([x for x in pool if x.shape == a.shape])
        kind = choices.pick(_KINDS)
        step = _choose_step(choices, rank, kind)
        try:
            results = step(a, b)
        except ValueError:  # a window larger than what is left of the positions
            continue
        for result in keras.tree.flatten(results):
            if kind in ("attention", "mixed positions"):
                read.append(result)  # of another rank, perhaps
            usable = len(result.shape) == rank + 2 and None not in result.shape[1:]
            if not usable or 0 in result.shape:
                continue
            result = ops.cast(result, "float32")
            passes = result.shape[-1] == _WIDTH and choices.boolean()
            pool.append(ops.sigmoid(result) if passes else _mix(result))
    outputs = [layers.Dense(3)(tensor) for tensor in [*pool, *read]]
    return models.randomize(keras.Model(inputs, outputs), choices.integer(0, 9))


def _mix(tensor):
    """New channels, as many as uses are made for, with values between 0 and 1."""
    return layers.Dense(_WIDTH, activation="sigmoid")(tensor)


def _choose_step(choices, rank, kind):
    """Returns a function of two tensors of one shape."""
    if kind == "add":
        return lambda a, b: layers.Add()([a, b])
    if kind == "concatenate":
        return lambda a, b: layers.Concatenate()([a, b])
    if kind == "shared":
        shared = layers.Dense(choices.pick([5, _WIDTH]), activation="relu")
        return lambda a, b: [shared(a), shared(b)]
    if kind == "mixed positions":
        return _mix_positions(choices)
    if kind == "attention":
        return _attend(choices)
    table = LOCKED if kind == "locked" and LOCKED[rank] else USES
    _, use = choices.pick(table[rank])
    if kind == "deep":
        use = _nest(use, choices.boolean())
    return _nest(use, choices.boolean()) if kind in ("nested", "deep") else use


def _mix_positions(choices):
    """Returns a step that computes on another axis than that of the channels."""
    axis = choices.integer(1, 3)
    inside = choices.several(["dense", "norm", "softmax", "join", "slice"])
    merges = choices.boolean()

    def step(a, b):
        axis_of = min(axis, len(a.shape) - 2)
        x, y = (ops.swapaxes(t, axis_of, -1) if axis_of > 0 else t for t in (a, b))
        for kind in inside:
            if kind == "dense":
                x = layers.Dense(x.shape[-1], activation="tanh")(x)
            elif kind == "norm":
                x = layers.LayerNormalization()(x)
            elif kind == "softmax":
                x = ops.softmax(x, axis=-1)
            elif kind == "join":
                x = x * y if x.shape == y.shape else x
            elif axis_of > 0:
                x = ops.concatenate(ops.split(x, [3], axis=axis_of)[::-1], axis_of)
        if merges:
            return layers.Flatten()(x)
        return ops.swapaxes(x, axis_of, -1) if axis_of > 0 else x

    return step


def _attend(choices):
    """Returns a step of attention that is written with products of tensors."""
    heads, fused = choices.pick([1, 2, 4]), choices.boolean()
    written = choices.pick(["matmul", "einsum", "transposed"])
    biased = choices.boolean()

    def step(a, b):
        if len(a.shape) < 3:
            raise ValueError("There are no positions to attend to")
        a, b = (ops.reshape(t, (-1, math.prod(t.shape[1:-1]), _WIDTH)) for t in (a, b))
        length, size = a.shape[1], _WIDTH // heads
        if fused:
            mixed = layers.Dense(3 * _WIDTH)(a)
            mixed = ops.reshape(mixed, (-1, length, 3, heads, size))
            q, k, v = (mixed[:, :, number] for number in range(3))
        else:
            q, k, v = (
                layers.Reshape((length, heads, size))(layers.Dense(_WIDTH)(t))
                for t in (a, b, b)
            )
        if written == "einsum":
            scores = ops.einsum("bnhd,bmhd->bhnm", q, k)
            return _merge_heads(ops.einsum("bhnm,bmhd->bnhd", ops.softmax(scores), v))
        q, k, v = (ops.transpose(t, (0, 2, 1, 3)) for t in (q, k, v))
        scores = ops.matmul(q, ops.swapaxes(k, -1, -2)) / size**0.5
        if biased:
            scores = scores + np.linspace(0, 1, heads, dtype="f")[:, None, None]
        scores = layers.Softmax()(scores)
        if written == "transposed":
            out = ops.swapaxes(v, -1, -2) @ ops.swapaxes(scores, -1, -2)
            return _merge_heads(ops.transpose(out, (0, 3, 1, 2)))
        return _merge_heads(ops.transpose(scores @ v, (0, 2, 1, 3)))

    return step


def _merge_heads(tensor):
    return ops.reshape(tensor, (-1, tensor.shape[1], _WIDTH))


def _nest(use, twice):
    """Returns a step that runs a use within a model of its own, once or twice."""

    def step(a, b):
        inner = [keras.Input(tensor.shape[1:]) for tensor in (a, b)]
        model = keras.Model(inner, use(*inner))
        return [model([a, b]), model([b, a])] if twice else model([a, b])

    return step
