"""Layers and raw operations that are not registered, tried."""

import contextlib
import inspect
import weakref

import keras
import numpy as np

from keras_shapley_prune.layer_types.masked_calls import for_inference
from keras_shapley_prune.layer_types.registry import TRIED, find_nearest_type
from keras_shapley_prune.layer_types.trial.channelwise import (
    check_apart,
    check_parts,
    find_usable_shapes,
    run_whole,
)
from keras_shapley_prune.layer_types.trial.parts import Parts
from keras_shapley_prune.layer_types.trial.probes import choose_parts
from keras_shapley_prune.layer_types.trial.quiet_runs import (
    NotElementwiseError,
    NotRepeatableError,
    QuietRun,
    no_side_effects,
)
from keras_shapley_prune.layer_types.trial.trial_type import TrialType

_refused = weakref.WeakKeyDictionary()  # operation -> dict: how it is called -> why


def try_call(call):
    """Finds out whether what is not registered is elementwise along the channels.

    If it is, `find_layer_type` knows this very layer from then on.

    Args:
        call: A `Call`.

    Returns:
        String, why it is not, such as `"output channel 3 changed when only input
        channel 5 did"`, or `None` if it is.
    """
    known = _refused.setdefault(call.operation, {})
    called = _describe(call)
    if called not in known:
        try:
            _check_form(call)
            with no_side_effects(call.operation):
                TRIED[call.operation] = _LayerTrial(call).run()
            known[called] = None
        except NotElementwiseError as fault:
            known[called] = str(fault)
    return known[called]


def _describe(call):
    """Returns what a verdict holds for: what is read, and which weights there are."""
    read = keras.tree.map_structure(
        lambda x: (x.shape, x.dtype) if isinstance(x, keras.KerasTensor) else x,
        (call.args, call.kwargs),
    )
    weights = [id(weight) for weight in getattr(call.operation, "weights", ())]
    return repr((read, weights))


def _check_form(call):
    """Raises an error where it shows without a trial that it is not elementwise."""
    for tensors, verb in ((call.inputs, "reads"), (call.outputs, "returns")):
        if len(tensors) != 1:
            raise NotElementwiseError(f"it {verb} {len(tensors)} tensors")
        if not keras.backend.is_float_dtype(tensors[0].dtype):
            raise NotElementwiseError(f"it {verb} {tensors[0].dtype}")
        if len(tensors[0].shape) < 2 or tensors[0].shape[-1] is None:
            raise NotElementwiseError(f"it {verb} shape {tensors[0].shape}")
    read, returned = call.inputs[0].shape[-1], call.outputs[0].shape[-1]
    if read != returned:
        raise NotElementwiseError(f"it returns {returned} channels of {read}")
    if read == 1:
        raise NotElementwiseError("it reads one channel, of which nothing can be cut")


class _LayerTrial:
    """The trial of one call.

    Args:
        call: A `Call` that reads one tensor, and returns one of as many channels.
    """

    def __init__(self, call):
        self._call, self._operation = call, call.operation
        self._weights = list(getattr(call.operation, "weights", ()))
        generator = np.random.default_rng(0)
        # Zeros and ones, as weights may be at first, would hide what they do.
        self._random = [_draw_weight(generator, weight) for weight in self._weights]

    def run(self):
        """Returns the `TrialType`, or raises a `NotElementwiseError`."""
        whole = self._quiet(self._operation)
        shapes = find_usable_shapes(whole, self._call.inputs[0].shape)
        for shape in shapes:
            check_apart(whole, shape)
        if self._weights:
            check_apart(self._quiet(self._operation, self._random), shapes[0])
        if isinstance(self._operation, keras.Layer):
            return self._try_parts(shapes)
        for shape in shapes:
            check_parts(whole, lambda chosen: whole, shape)
        return TrialType()

    def _try_parts(self, shapes):
        """Returns the `TrialType` of a layer whose smaller copies compute the same."""
        parts = Parts(self._call)
        now = [keras.ops.convert_to_numpy(weight) for weight in self._weights]
        for shape in shapes:
            for values in (now, self._random) if self._weights else (now,):

                def run_part(chosen, values=values):
                    return self._quiet(parts.copy_of(chosen), parts.cut(values, chosen))

                check_parts(self._quiet(self._operation, values), run_part, shape)
        if "training" in inspect.signature(type(self._operation).call).parameters:
            self._check_training(parts, shapes[0])
        nearest = find_nearest_type(self._operation)
        return TrialType(parts.letters, parts.sizes, nearest)

    def _check_training(self, parts, shape):
        """Raises an error if a layer mixes channels, or cannot lose any, in training.

        Random numbers differ with the shape: what parts return is not compared.
        """
        try:
            # What is not the same each time cannot be compared.
            with contextlib.suppress(NotRepeatableError):
                check_apart(self._quiet(self._operation, training=True), shape)
            for chosen in choose_parts(np.random.default_rng(0), shape[-1]):
                copied = self._quiet(parts.copy_of(chosen), training=True)
                run_whole(copied, np.ones((*shape[:-1], len(chosen)), "float32"))
        except NotElementwiseError as fault:
            raise NotElementwiseError(f"in training {fault}") from fault

    def _quiet(self, operation, values=None, training=False):
        """Returns the `QuietRun` of an operation, called as it is in the model.

        Args:
            operation: That of the call, or a copy of it.
            values: List of arrays, those of its weights, `None` for what they are.
            training: Boolean.
        """

        def function(tensor):
            args, kwargs = self._call.fill_in([tensor])
            kwargs = for_inference(operation, kwargs)
            if training:
                kwargs = {**kwargs, "training": True}
            return operation(*args, **kwargs)

        pairs = [] if values is None else zip(operation.weights, values, strict=True)
        precision = getattr(operation, "compute_dtype", None)
        return QuietRun(
            function,
            self._call.inputs[0].dtype,
            values=pairs,
            precision=precision,
            strict=not training,
        )


def _draw_weight(generator, weight):
    """Returns random positive numbers for a weight: it may be a variance."""
    if not keras.backend.is_float_dtype(weight.dtype):
        return keras.ops.convert_to_numpy(weight)
    return generator.uniform(0.2, 1.8, weight.shape).astype("float32")
