"""Calls of TensorFlow's own functions, as operations of a graph of Keras.

Keras 3 has no graph of what is not in `keras.ops`: such a function cannot be given a
symbolic tensor. TensorFlow asks dispatchers what to do with arguments that it does not
know, and here the answer is an operation that calls the function.
"""

import contextlib
import functools
import inspect
import operator
import threading

import keras
import tensorflow as tf
from keras.src import backend
from keras.src.ops.operation import Operation
from keras.src.utils.naming import auto_name


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class TensorFlowCall(Operation):
    """Calls a function of TensorFlow.

    To load a file of a model with it, import `keras_shapley_prune` first.

    Args:
        function: String, where it is in `tf`, such as `"image.resize"`.
        name: Optional string, by default the name of the function and a number.
    """

    def __init__(self, function, name=None):
        super().__init__(name=name or auto_name(function.split(".")[-1]))
        self.function = function

    def call(self, *args, **kwargs):
        return operator.attrgetter(self.function)(tf)(*args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        return backend.compute_output_spec(self.call, *args, **kwargs)


class _Dispatcher(tf.__internal__.dispatch.GlobalOpDispatcher):
    """Answers for symbolic tensors of Keras, in threads that are in a context of it."""

    def __init__(self):
        self._state = threading.local()

    def handle(self, op, args, kwargs):
        """Returns symbolic tensors, or `NOT_SUPPORTED`, as TensorFlow calls it."""
        leaves = keras.tree.flatten((args, kwargs))
        if not getattr(self._state, "depth", 0) or not any(
            isinstance(leaf, keras.KerasTensor) for leaf in leaves
        ):
            return self.NOT_SUPPORTED
        name = _find_name(op)
        if name is None:
            return self.NOT_SUPPORTED
        return TensorFlowCall(name)(*args, **kwargs)

    @contextlib.contextmanager
    def answering(self):
        """Answers, until the end of the context."""
        self._state.depth = getattr(self._state, "depth", 0) + 1
        try:
            yield
        finally:
            self._state.depth -= 1


@functools.cache
def _dispatcher():
    # Registered once: there is no taking it back.
    dispatcher = _Dispatcher()
    dispatcher.register()
    return dispatcher


def symbolic_tensorflow():
    """Returns a context in which functions of TensorFlow take symbolic tensors."""
    return _dispatcher().answering()


def calls_tensorflow(operation):
    """Returns whether an operation is a call of TensorFlow, or a model with one."""
    inner = getattr(operation, "operations", ())
    return isinstance(operation, TensorFlowCall) or any(map(calls_tensorflow, inner))


def _find_name(function):
    """Returns where in `tf` a function is, or `None`."""
    plain = inspect.unwrap(function)
    names = list(getattr(plain, "_tf_api_names", ()))
    names += [f"compat.v1.{n}" for n in getattr(plain, "_tf_api_names_v1", ())]
    for name in names:
        with contextlib.suppress(AttributeError):
            if inspect.unwrap(operator.attrgetter(name)(tf)) is plain:
                return name
    return None
