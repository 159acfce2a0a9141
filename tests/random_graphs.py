"""Random networks out of the registry: uses of its entries, joined at random."""

import keras
import models
import registry_builders as builders
from hypothesis import reject
from hypothesis import strategies as st
from keras import layers, ops

from keras_shapley_prune.layer_types import registry

_REGISTERED = {layer_class.__name__ for layer_class in registry.LAYER_TYPES}
_WIDTH = 8  # channels that the uses of the registry are made for
_KINDS = ("use", "use", "use", "add", "concatenate", "shared", "nested", "locked")


def _uses_of(tables):
    """Returns a dict: rank -> list of `(name, use)`."""
    found = {rank: [] for rank in builders.SHAPES}
    for table in tables:
        for name, uses in sorted(table.items()):
            if table is builders.LAYERS and name not in _REGISTERED:
                continue
            for rank, use in uses:
                found[rank].append((name, use))
    return found


USES = _uses_of([builders.LAYERS, builders.OPERATIONS])
LOCKED = _uses_of([builders.LOCKED])


@st.composite
def networks(draw):
    """Strategy of functional models with branches, joins, nesting, shared layers."""
    keras.utils.clear_session(free_memory=False)
    rank = draw(st.sampled_from(sorted(builders.SHAPES)))
    inputs = keras.Input(builders.SHAPES[rank])
    pool = [_mix(inputs), _mix(inputs)]
    for _ in range(draw(st.integers(2, 7))):
        a = draw(st.sampled_from(pool))
        b = draw(st.sampled_from([x for x in pool if x.shape == a.shape]))
        step = _draw_step(draw, rank, draw(st.sampled_from(_KINDS)))
        try:
            results = step(a, b)
        except ValueError:  # a window larger than what is left of the positions
            continue
        for result in keras.tree.flatten(results):
            usable = len(result.shape) == rank + 2 and None not in result.shape[1:]
            if not usable or 0 in result.shape:
                continue
            result = ops.cast(result, "float32")
            passes = result.shape[-1] == _WIDTH and draw(st.booleans())
            pool.append(ops.sigmoid(result) if passes else _mix(result))
    outputs = [layers.Dense(3)(tensor) for tensor in pool]
    model = models.randomize(keras.Model(inputs, outputs), draw(st.integers(0, 9)))
    try:
        models.outputs_of(model, models.images(model))
    except Exception:  # Keras itself cannot run it
        reject()
    return model


def _mix(tensor):
    """New channels, as many as uses are made for, with values between 0 and 1."""
    return layers.Dense(_WIDTH, activation="sigmoid")(tensor)


def _draw_step(draw, rank, kind):
    """Returns a function of two tensors of one shape."""
    if kind == "add":
        return lambda a, b: layers.Add()([a, b])
    if kind == "concatenate":
        return lambda a, b: layers.Concatenate()([a, b])
    if kind == "shared":
        shared = layers.Dense(draw(st.sampled_from([5, _WIDTH])), activation="relu")
        return lambda a, b: [shared(a), shared(b)]
    table = LOCKED if kind == "locked" and LOCKED[rank] else USES
    _, use = draw(st.sampled_from(table[rank]))
    return _nest(use, draw(st.booleans())) if kind == "nested" else use


def _nest(use, twice):
    """Returns a step that runs a use within a model of its own, once or twice."""

    def step(a, b):
        inner = [keras.Input(tensor.shape[1:]) for tensor in (a, b)]
        model = keras.Model(inner, use(*inner))
        return [model([a, b]), model([b, a])] if twice else model([a, b])

    return step
