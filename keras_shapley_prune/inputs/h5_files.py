"""What is in `.h5` files: of Keras 2, settings that Keras 3 no longer has."""

import contextlib
import json
import os
import shutil
import tempfile

import h5py

ANY = object()  # stands for all values of a setting that never changed anything

_GROUPS = {"groups": 1}
_TIME_MAJOR = {"time_major": False}
# Keras 2 wrote what their base class has, and what they never read.
_SEPARABLE = {"kernel_initializer": ANY, "kernel_regularizer": ANY}
_SEPARABLE |= {"kernel_constraint": ANY, **_GROUPS}
_ATTENTION = {"query_shape": ANY, "key_shape": ANY, "value_shape": ANY}
_ATTENTION |= {"softmax_robust_masking": False}
_DROPOUT = {"trainable": ANY, "noise_shape": ANY}  # the last was that of its inputs

# Class of a layer -> setting -> the value at which Keras 3's layer does the same. With
# another value the file is refused, as by Keras.
_OLD_SETTINGS = {
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _GROUPS),
    **{f"Conv{rank}DTranspose": _GROUPS for rank in (1, 2, 3)},
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _SEPARABLE),
    **dict.fromkeys(("RNN", "SimpleRNN", "GRU", "LSTM"), _TIME_MAJOR),
    **{f"ConvLSTM{rank}D": _TIME_MAJOR for rank in (1, 2, 3)},
    **{f"SpatialDropout{rank}D": _DROPOUT for rank in (1, 2, 3)},
    **{
        f"Random{name}": {"rng_type": ANY}
        for name in (
            *("Brightness", "Contrast", "Crop", "Flip"),
            *("Rotation", "Translation", "Zoom"),
        )
    },
    "MultiHeadAttention": _ATTENTION,
    "Discretization": {"trainable": ANY},
}


@contextlib.contextmanager
def without_old_settings(path):
    """Gives the path of a file that Keras 3 can load, within a context.

    That is the file itself, or, if it has such settings, a copy without them.

    Args:
        path: String or path-like, a model file. Only `.h5` files are looked into.
    """
    config = read_settings(path, "model_config")
    if config is None or _drop(config) == 0:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "model.h5")
        shutil.copyfile(path, copy)
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
        yield copy


def read_settings(path, name):
    """Returns settings that are in a file.

    Args:
        path: String or path-like, a model file.
        name: String, which of them: `"model_config"` or `"training_config"`.

    Returns:
        Dict, or `None` if they are not there, or it is no `.h5` file.
    """
    if not h5py.is_hdf5(path):
        return None
    with h5py.File(path, "r") as file:
        text = file.attrs.get(name)
    return None if text is None else json.loads(text)


def _drop(config):
    """Removes old settings, at any depth; returns how many there were."""
    if isinstance(config, list):
        return sum(map(_drop, config))
    if not isinstance(config, dict):
        return 0
    settings, old = config.get("config"), _OLD_SETTINGS.get(config.get("class_name"))
    found = []
    if old and isinstance(settings, dict):
        found = [
            name
            for name, value in old.items()
            if name in settings and (value is ANY or settings[name] == value)
        ]
        for name in found:
            del settings[name]
    return len(found) + sum(map(_drop, config.values()))
