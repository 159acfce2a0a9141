"""Models that are built once a process, and a check that nobody changes them."""

import collections
import hashlib

import fresh_seeds
import keras
from keras.src.backend.common import global_state

_cached = {}  # key -> (model, fingerprint, how many names of each kind it took)
_handed_out = set()  # keys, since the last check


def get(key, make, seed):
    """Returns the model of a key; what follows does not see whether it was built now.

    Args:
        key: A hashable, of which the first entry is a builder.
        make: Callable without arguments that returns a model.
        seed: Integer. Random numbers start anew with it.
    """
    if key not in _cached:
        _cached[key] = _build(make)
    model, _, taken = _cached[key]
    names = _names()
    for name, count in taken.items():
        names[name] += count
    fresh_seeds.set_seed(seed)
    _handed_out.add(key)
    return model


def _build(make):
    """Builds with Keras's name counters at zero: as if nothing was built before."""
    before = dict(_names())
    _names().clear()
    try:
        model = make()
        return model, _fingerprint(model), dict(_names())
    finally:
        _names().clear()
        _names().update(before)


def _names():
    return global_state.get_global_attribute(
        "object_name_uids", collections.defaultdict(int), set_to_default=True
    )


def forget_changed():
    """Checks the models handed out since the last call.

    Returns:
        List of the names of the builders whose models have changed. These are built
        again for the next test.
    """
    changed = []
    for key in _handed_out:
        model, expected, _ = _cached[key]
        if _fingerprint(model) != expected:
            changed.append(key[0].__name__)
            del _cached[key]
    _handed_out.clear()
    return changed


def _fingerprint(model):
    """What a test could change: values and settings.

    Not who reads what: a masked model shares the layers, which know of both readers.
    """
    digest = hashlib.sha1()
    for variable in model.variables:
        digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    return digest.hexdigest(), [x.trainable for x in _layers(model)], model.compiled


def _layers(model):
    """The layers of a model and of the models in it, and itself."""
    found = [model]
    for layer in model.layers:
        found += _layers(layer) if isinstance(layer, keras.Model) else [layer]
    return found
