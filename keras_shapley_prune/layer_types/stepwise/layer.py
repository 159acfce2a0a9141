"""The layer that does an operation at every step: what a time wrapper does."""

import inspect
import weakref

import keras

from keras_shapley_prune.layer_types.stepwise.folding import (
    count_steps,
    first_sequence,
    fold,
    run_in_turn,
    unfold,
)

_KNOWN = weakref.WeakValueDictionary()  # id of an operation -> its `Stepwise`


@keras.saving.register_keras_serializable(package="keras_shapley_prune")
class Stepwise(keras.Layer):
    """Does an operation at every time step by itself.

    It takes the place of a layer in a wrapper, and of each operation of a model in one,
    where a network is recorded. Steps are taken for examples, `(batch, steps, ...)` for
    `(batch * steps, ...)`, so that all are done at once. Code of a user's, which may
    mix examples, is run step by step, as Keras runs it.

    What it does not have itself, such as a kernel or an activation, is the operation's.

    Args:
        operation: The layer or raw operation. It is shared, not copied.
        **kwargs: Base layer arguments, such as `name`.
    """

    def __init__(self, operation, **kwargs):
        is_layer = isinstance(operation, keras.Layer)
        kwargs.setdefault("name", operation.name)
        kwargs.setdefault("dtype", operation.dtype_policy if is_layer else "float32")
        super().__init__(autocast=False, **kwargs)
        self.operation = operation
        self.supports_masking = True
        self.built = True

    def __getattr__(self, name):
        # Not what Keras looks up before there is an operation, or of itself.
        if name.startswith("_") or "operation" not in vars(self):
            raise AttributeError(f"Stepwise has no attribute {name!r}")
        return getattr(self.operation, name)

    @property
    def trainable(self):
        return getattr(self.operation, "trainable", True)

    @trainable.setter
    def trainable(self, value):
        if isinstance(vars(self).get("operation"), keras.Layer):
            self.operation.trainable = value

    def __call__(self, *args, **kwargs):
        leaves = keras.tree.flatten((args, kwargs))
        if any(isinstance(value, keras.KerasTensor) for value in leaves):
            # What is recorded are the arguments as they are: a key may be among them.
            return keras.Operation.symbolic_call(self, *args, **kwargs)
        return self.call(*args, **kwargs)

    def call(self, *args, training=None, **kwargs):
        kwargs = {**kwargs, **self._options(training)}
        return self.run(self.operation, args, kwargs)

    def run(self, function, args, kwargs):
        """Returns what a function of single steps makes of sequences.

        Args:
            function: Callable, which is given `args` and `kwargs` without the time
                axis.
            args: Tuple, the tensors in it with a time axis behind that of the batch.
            kwargs: Dict, the same by name.
        """
        if not self.folds:
            return run_in_turn(function, args, kwargs)
        steps = count_steps((args, kwargs))
        args, kwargs = fold((args, kwargs))
        return unfold(function(*args, **kwargs), steps)

    @property
    def folds(self):
        """Boolean, whether all steps are done at once."""
        inner = innermost(self)
        # A user's function, or class, may do anything with the axis of examples.
        own = not type(inner).__module__.startswith("keras.src.")
        return not own and not callable(getattr(inner, "function", None))

    def compute_output_spec(self, *args, training=None, **kwargs):
        kwargs = {**kwargs, **self._options(training)}
        batch, steps = first_sequence((args, kwargs)).shape[:2]
        args, kwargs = fold((args, kwargs))
        returned = self.operation.compute_output_spec(*args, **kwargs)

        def add_steps(tensor):
            if not tensor.shape or tensor.shape[0] is not None:
                raise ValueError(
                    f"Expected what {self.name!r} returns to have an axis of examples. "
                    f"Received: shape {tensor.shape}"
                )
            return keras.KerasTensor((batch, steps, *tensor.shape[1:]), tensor.dtype)

        return keras.tree.map_structure(add_steps, returned)

    def compute_mask(self, inputs, previous_mask=None):
        known = [x for x in keras.tree.flatten(previous_mask) if x is not None]
        if not known or not isinstance(self.operation, keras.Layer):
            return None
        returned = self.operation.compute_mask(None, fold(previous_mask))
        return None if returned is None else unfold(returned, count_steps(known))

    def _options(self, training):
        takes = "training" in inspect.signature(self.operation.call).parameters
        # In inference, unless something else is said: as the wrapper passes it on.
        return {"training": bool(training)} if takes else {}

    def get_config(self):
        operation = keras.saving.serialize_keras_object(self.operation)
        return {**super().get_config(), "operation": operation}

    @classmethod
    def from_config(cls, config):
        operation = keras.saving.deserialize_keras_object(config.pop("operation"))
        return cls(operation, **config)


def at_steps(operation, depth=1):
    """Returns the `Stepwise` of an operation, the same one whenever it is asked for.

    Args:
        operation: The layer or raw operation.
        depth: Integer, how many axes of steps there are: 0 for the operation itself.
    """
    if not depth:
        return operation
    found = _KNOWN.get(id(operation))
    if found is None:  # by its id, as the value holds the operation
        found = _KNOWN[id(operation)] = Stepwise(operation)
    return at_steps(found, depth - 1)


def innermost(operation):
    """Returns what a `Stepwise` does at each step; any other operation itself."""
    while isinstance(operation, Stepwise):
        operation = operation.operation
    return operation


def count_depth(operation):
    """Returns how many axes of steps an operation has, 0 if it is no `Stepwise`."""
    if not isinstance(operation, Stepwise):
        return 0
    return 1 + count_depth(operation.operation)
