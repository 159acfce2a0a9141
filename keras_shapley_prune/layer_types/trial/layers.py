"""Layers and raw operations that are not registered, tried."""

import contextlib
import inspect
import weakref

import keras
import numpy as np

from keras_shapley_prune.layer_types.masked_calls import for_inference
from keras_shapley_prune.layer_types.registry import TRIED, find_nearest_type
from keras_shapley_prune.layer_types.stock.recreation import serialize_config
from keras_shapley_prune.layer_types.trial.channelwise import (
    check_apart,
    check_parts,
    find_usable_shapes,
    run_whole,
)
from keras_shapley_prune.layer_types.trial.parts import Parts, SameForAll
from keras_shapley_prune.layer_types.trial.probes import choose_parts, part_sizes
from keras_shapley_prune.layer_types.trial.quiet_runs import (
    NotElementwiseError,
    NotRepeatableError,
    QuietRun,
    no_side_effects,
)
from keras_shapley_prune.layer_types.trial.trial_type import TrialType

# class -> set of what has been tried in full: its config, and how it is called
_proven = weakref.WeakKeyDictionary()
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
        self._sizes = part_sizes(call.inputs[0].shape[-1])

    def run(self):
        """Returns the `TrialType`, or raises a `NotElementwiseError`."""
        shapes = find_usable_shapes(
            self._quiet(self._operation), self._call.inputs[0].shape
        )
        proven, kind = _proven.setdefault(type(self._operation), set()), self._kind()
        # Of one class and config, one is tried in full: at the others a look is enough.
        parts = self._glance(shapes[0]) if kind in proven else self._try(shapes)
        if kind is not None:
            proven.add(kind)
        return TrialType(parts.letters, parts.sizes, find_nearest_type(self._operation))

    def _glance(self, shape):
        """Returns the `Parts` of a layer if a few runs show nothing against it."""
        check_apart(self._quiet(self._operation, self._values), shape, most=2)
        parts = self._make_parts(self._sizes[:1])
        self._check_parts(parts, self._values, shape)
        return parts

    def _try(self, shapes):
        """Returns the `Parts` of a layer if nothing shows against it."""
        # Zeros and ones, as weights may be at first, would hide what they do.
        generator = np.random.default_rng(0)
        drawn = [_draw_weight(generator, weight) for weight in self._weights]
        trials = [(shapes[0], self._values)]
        if drawn or len(shapes) > 1:
            trials.append((shapes[-1], drawn))
        for shape, values in trials:
            check_apart(self._quiet(self._operation, values), shape)
        parts = self._make_parts(self._sizes)
        for shape, values in trials:
            self._check_parts(parts, values, shape)
        self._check_training(parts, shapes[0])
        return parts

    def _check_parts(self, parts, values, shape):
        """Raises an error unless parts compute what the layer does."""

        def run_part(chosen):
            return self._quiet(parts.copy_of(chosen), parts.cut(values, chosen))

        run = self._quiet(self._operation, values)
        check_parts(run, run_part, shape, parts.counts)

    def _check_training(self, parts, shape):
        """Raises an error if a layer mixes channels, or cannot lose any, in training.

        Random numbers differ with the shape: what parts return is not compared.
        """
        if "training" not in inspect.signature(type(self._operation).call).parameters:
            return
        try:
            # What is not the same each time cannot be compared.
            with contextlib.suppress(NotRepeatableError):
                check_apart(self._quiet(self._operation, training=True), shape)
            for chosen in choose_parts(
                np.random.default_rng(0), shape[-1], parts.counts
            ):
                copied = self._quiet(parts.copy_of(chosen), training=True)
                run_whole(copied, np.ones((*shape[:-1], len(chosen)), "float32"))
        except NotElementwiseError as fault:
            raise NotElementwiseError(f"in training {fault}") from fault

    def _make_parts(self, counts):
        is_layer = isinstance(self._operation, keras.Layer)
        return (Parts if is_layer else SameForAll)(self._call, counts)

    @property
    def _values(self):
        """List of arrays: the weights as they are."""
        return [keras.ops.convert_to_numpy(weight) for weight in self._weights]

    def _kind(self):
        """Returns what a layer has in common with those that compute the same."""
        try:
            config = serialize_config(self._operation)
        except Exception:  # it has none: nothing says that another one is like it
            return None
        config = {name: value for name, value in config.items() if name != "name"}
        (tensor,) = self._call.inputs
        others = keras.tree.map_structure(
            lambda leaf: None if leaf is tensor else leaf,
            (self._call.args, self._call.kwargs),
        )
        return repr((config, len(tensor.shape), tensor.dtype, others))

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

        pairs = zip(operation.weights, values, strict=True) if values else []
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
