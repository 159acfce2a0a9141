"""Calls that leave the random numbers and names of the rest of a program alone."""

import collections
import contextlib
import functools
import random
import re
import threading

import keras
import numpy as np
from keras.src.backend.common import global_state
from tensorflow.python.eager import context

from keras_shapley_prune.inputs.old_names import to_new_names

_NAMES, _SEEDS = "object_name_uids", "global_seed_generator"  # what Keras calls them
_running = threading.local()


def undisturbed(function=None, *, old_names=None):
    """Lets a public function draw and count without a trace.

    What Python, NumPy, TensorFlow and Keras draw after the call is what they would have
    drawn without it, and layers that are made afterwards have the names that they would
    have had: but for those that layers of a returned model have taken.

    Args:
        function: The function, or a method. `None` for a decorator.
        old_names: Dict: old name of an argument, which still works -> its name. `None`
            for none.

    Returns:
        A function of the same arguments. One frame stands between it and its caller,
        which counts in the `stacklevel` of a warning.
    """

    if function is None:
        return functools.partial(undisturbed, old_names=old_names)

    @functools.wraps(function)
    def run(*args, **kwargs):
        if old_names:
            kwargs = to_new_names(function, kwargs, old_names)
        with kept_streams() as names:
            returned = function(*args, **kwargs)
            names.take(returned)
        return returned

    return run


@contextlib.contextmanager
def kept_streams():
    """Puts back, at its end, all streams of random numbers and the counts of names.

    Within another such context it does nothing: what is made in one call has seeds and
    names of its own.

    Yields:
        The `_TakenNames`, which may be told of names that are to stay taken.
    """
    names = _TakenNames()
    if getattr(_running, "is_inside", False):
        yield names
        return
    _running.is_inside = True
    try:
        with kept_seeds(), _own_tensorflow_seeds():
            yield names
    finally:
        _running.is_inside = False
        names.put_back()


@contextlib.contextmanager
def kept_seeds():
    """Puts back, at its end, the streams of Python, NumPy and Keras.

    Two runs in contexts of their own, one after the other, draw the same.
    """
    python, numpy = random.getstate(), np.random.get_state()
    generator = global_state.get_global_attribute(_SEEDS)
    state = None if generator is None else generator.state.numpy()
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        global_state.set_global_attribute(_SEEDS, generator)
        if generator is not None:
            generator.state.assign(state)


@contextlib.contextmanager
def _own_tensorflow_seeds():
    """Lets TensorFlow number its draws by another stream than the user's.

    Not by the same one, put back: TensorFlow goes on where it has been in the stream of
    a number that it has met before.
    """
    engine = context.context()
    before = getattr(engine, "_rng", None)
    engine._rng = random.Random(f"{context.global_seed()} {__name__}")
    try:
        yield
    finally:
        engine._rng = before


class _TakenNames:
    """The counts by which Keras names layers, as they were."""

    def __init__(self):
        self._before, self._taken = dict(_counts()), {}

    def take(self, returned):
        """Lets the names of layers of a model stay taken.

        Else a layer that is made afterwards, and reads what the model returns, could
        have the name of one in it, which Keras refuses.

        Args:
            returned: A `keras.Model`, or anything else: that takes no names.
        """
        if not isinstance(returned, keras.Model):
            return
        for layer in returned._flatten_layers():
            for operation in (layer, *getattr(layer, "operations", ())):
                self._take(operation.name)

    def _take(self, name):
        numbered = re.fullmatch(r"(.+)_(\d+)", name)
        readings = [(name, 0), *([(numbered[1], int(numbered[2]))] if numbered else [])]
        for prefix, number in readings:
            if self._before.get(prefix, 0) <= number < _counts().get(prefix, 0):
                self._taken[prefix] = max(self._taken.get(prefix, 0), number + 1)

    def put_back(self):
        """Lets Keras count from where it was, or from behind what is taken."""
        counts = _counts()
        counts.clear()
        counts.update(self._before | self._taken)


def _counts():
    """Returns what Keras counts, a dict: what a name begins with -> how many."""
    empty = collections.defaultdict(int)
    return global_state.get_global_attribute(_NAMES, empty, set_to_default=True)
