"""Functions that are used as activations, tried."""

import weakref

import keras

from keras_shapley_prune.layer_types.trial.channelwise import (
    check_apart,
    check_parts,
    find_usable_shapes,
)
from keras_shapley_prune.layer_types.trial.probes import part_sizes
from keras_shapley_prune.layer_types.trial.quiet_runs import (
    NotElementwiseError,
    QuietRun,
    no_side_effects,
)

_FEW_CHANNELS = 8  # where the function reads one only, or their number is open
_tried = weakref.WeakKeyDictionary()  # function -> dict: how it is read -> why not


def try_function(function, shape, dtype):
    """Returns why a function is not elementwise along the channels, `None` if it is.

    Args:
        function: Callable `fn(tensor)`.
        shape: Tuple, the shape of what it reads, the channels last.
        dtype: String, the float type of what it reads.

    Returns:
        String, such as `"output channel 3 changed when only input channel 5 did"`, or
        `None`.
    """
    if isinstance(function, keras.Layer):
        # Not by a trial: a layer with weights is built by the first call.
        built = function.built or type(function).build is keras.Layer.build
        if not built or function.weights:
            return "it has weights, or may get some, which could not be cut"
    shape = tuple(shape)
    if shape[-1] in (None, 1):
        shape = (*shape[:-1], _FEW_CHANNELS)
    try:
        known = _tried.setdefault(function, {})
    except TypeError:  # neither every callable can be hashed nor referred to weakly
        known = {}
    if (shape, dtype) not in known:
        # On another shape, one look is enough at what has been tried in full.
        proven = any(
            fault is None and (len(other), kind) == (len(shape), dtype)
            for (other, kind), fault in known.items()
        )
        with no_side_effects(function if isinstance(function, keras.Layer) else None):
            known[shape, dtype] = _find_fault(QuietRun(function, dtype), shape, proven)
    return known[shape, dtype]


def _find_fault(run, shape, proven):
    """Returns what is found against a function, `None` if it is nothing."""
    most = 2 if proven else None
    sizes = part_sizes(shape[-1])[: 1 if proven else None]
    try:
        shapes = find_usable_shapes(run, shape)
        for probed in shapes[: 1 if proven else None]:
            check_apart(run, probed, most)
            check_parts(run, lambda chosen: run, probed, sizes)
    except NotElementwiseError as fault:
        return str(fault)
    return None
