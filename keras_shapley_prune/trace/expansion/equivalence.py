"""The check that a functional model returns what a layer does."""

import keras
import numpy as np

from keras_shapley_prune.inputs.one_line import first_line
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.layer_types.masked_calls import takes_training
from keras_shapley_prune.trace.agreement import describe_difference
from keras_shapley_prune.trace.expansion.marks import shrink
from keras_shapley_prune.trace.graph import fill_in, is_symbolic

TOLERANCE = 1e-4  # of the largest output
COUNTS = 48, 64  # of examples, tried where a layer takes windows of images
LENGTHS = 32, 64, 224, 8, 4, 1  # tried where a model does not fix the length of an axis


def find_difference(layer, form, args, kwargs, training=False):
    """Returns how a functional model differs from a layer on one random batch.

    Args:
        layer: A `keras.Layer` or `keras.Model`.
        form: The functional model of the list of what it reads.
        args: See `Expander.trace`.
        kwargs: See `Expander.trace`.
        training: Boolean, whether both are told that they are trained.

    Returns:
        String, or `None` if both return the same.
    """
    for arrays, expected in random_runs(layer, args, kwargs, training):
        if isinstance(expected, Exception):  # perhaps of another length
            failure = f"cannot be run on random numbers: {first_line(expected)}"
            continue
        structure = keras.tree.pack_sequence_as(form.input, arrays)

        def run_form(structure=structure):
            with HeldState():  # so both draw the same random numbers
                return form(structure, training=training)

        try:
            received = run_form()
        except Exception as error:
            return f"cannot be run: {first_line(error)}"
        difference = describe_difference(expected, received, TOLERANCE)
        if difference is not None:
            again = _run(layer, args, {**kwargs, "training": training}, arrays)
            runs = expected, again, received, run_form()
            difference = _describe_repeated(*map(keras.tree.flatten, runs))
        return difference and f"returns {difference}"
    return failure


def _describe_repeated(expected, again, received, received_again):
    """Returns how outputs differ that may be drawn by no seed of Keras.

    What is not the same in two runs of a layer should not be in two of its form, and
    cannot be compared; the other outputs are.

    Args:
        expected: List of the outputs of the layer.
        again: List of the outputs of another run of it.
        received: List of the outputs of the form.
        received_again: List of the outputs of another run of it.
    """
    for ours, ours_again, theirs, theirs_again in zip(
        expected, again, received, received_again, strict=True
    ):
        difference = describe_difference(ours, theirs, TOLERANCE)
        is_drawn = describe_difference(ours, ours_again, TOLERANCE) is not None
        if is_drawn and ours.shape == theirs.shape:
            same = describe_difference(theirs, theirs_again, TOLERANCE) is None
            difference = "the same in every run, unlike the layer" if same else None
        if difference is not None:
            return difference
    return None


def find_assigned(layer, args, kwargs):
    """Returns the names of a layer's own weights that a call of it assigns to.

    Args:
        layer: The layer.
        args: See `Expander.trace`.
        kwargs: See `Expander.trace`.
    """
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    changed = {}
    for training in (False, True) if takes_training(layer) else (False,):
        with HeldState() as state:
            runs = random_runs(layer, args, kwargs, training)
            next((e for _, e in runs if not isinstance(e, Exception)), None)
        changed |= state.changed
    return [variable.name for variable in own if id(variable) in changed]


def find_read(layer, weights, args, kwargs):
    """Returns the paths of those of some weights that matter to what a layer returns.

    Args:
        layer: The layer.
        weights: List of weights of it, or of layers within it.
        args: See `Expander.trace`.
        kwargs: See `Expander.trace`.
    """
    if not weights:
        return []
    before = _first_run(layer, args, kwargs)

    def matters(weight):
        with HeldState([(weight, weight * 2 + 1)]):
            after = _first_run(layer, args, kwargs)
        return describe_difference(before, after, 0.0) is not None

    floats = [w for w in weights if keras.backend.is_float_dtype(w.dtype)]
    return [weight.path for weight in floats if matters(weight)]


def _first_run(layer, args, kwargs):
    runs = random_runs(layer, args, kwargs)
    return next(e for _, e in runs if not isinstance(e, Exception))


def random_runs(layer, args, kwargs, training=False):
    """Yields random inputs of a layer, and what it returns for them or raises."""
    # Also if its call has no such argument: else a layer within that has another
    # default tells those behind it.
    kwargs = {**kwargs, "training": training}
    for count, length in [*((2, n) for n in LENGTHS), *((n, 32) for n in COUNTS)]:
        generator = np.random.default_rng(0)
        arrays = [
            _draw(leaf, count, length, generator)
            for leaf in keras.tree.flatten((args, kwargs))
            if is_symbolic(leaf)
        ]
        try:
            returned = _run(layer, args, kwargs, arrays)
        except Exception as error:
            returned = error
        yield arrays, returned


def _run(layer, args, kwargs, arrays):
    args, kwargs = fill_in((args, kwargs), arrays)
    with HeldState():
        return layer(*args, **kwargs)


def _draw(tensor, count, length, generator):
    """Returns a random array in the place of a symbolic tensor.

    Args:
        tensor: The symbolic tensor.
        count: Integer, for the number of examples if the tensor does not fix it.
        length: Integer, for axes whose length the tensor does not fix.
        generator: A `np.random.Generator`.
    """
    first, *others = tensor.shape or (None,)
    shape = [first or count, *(n or length for n in others)][: len(tensor.shape)]
    shape = [shrink(n) for n in shape]
    if tensor.dtype == "string":
        return np.full(shape, "1", object)
    if keras.backend.is_float_dtype(tensor.dtype):
        return generator.normal(size=shape).astype("float32")
    return generator.integers(0, 2, shape).astype(tensor.dtype)
