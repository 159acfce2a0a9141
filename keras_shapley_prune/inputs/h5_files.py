"""What is in `.h5` files, and how those of Keras 2 are brought into Keras 3's form."""

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
    "Discretization": {"trainable": ANY},
}


@contextlib.contextmanager
def in_todays_form(path):
    """Gives the path of a file that Keras 3 can load, within a context.

    That is the file itself, or, if it has been written by Keras 2 and has what Keras 3
    refuses, a copy without.

    Args:
        path: String or path-like, a model file. Only `.h5` files are looked into.
    """
    config = read_settings(path, "model_config")
    before = json.dumps(config)
    if config is not None:
        _drop(config)
        if str(read_settings(path, "keras_version")).startswith("2"):
            _renumber(config)
    if json.dumps(config) == before:
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
        name: String, which of them: `"model_config"`, `"training_config"` or
            `"keras_version"`.

    Returns:
        Dict, the string of a version, or `None` if they are not there, or it is no
        `.h5` file.
    """
    if not h5py.is_hdf5(path):
        return None
    with h5py.File(path, "r") as file:
        text = file.attrs.get(name)
    return json.loads(text) if name.endswith("_config") and text is not None else text


def _drop(config):
    """Removes old settings, at any depth."""
    if isinstance(config, dict):
        name, settings = config.get("class_name"), config.get("config")
        if isinstance(settings, dict):
            for setting, value in _OLD_SETTINGS.get(name, {}).items():
                if setting in settings and (value is ANY or settings[setting] == value):
                    del settings[setting]
            axis = settings.get("axis")
            if name == "BatchNormalization" and isinstance(axis, list):
                (settings["axis"],) = axis  # it may only be one
        if name == "Attention":
            # Else, Keras takes its `score_mode="dot"` for the function of that name.
            config.setdefault("module", "keras.layers")
            config.setdefault("registered_name", None)
    for inner in _inside(config):
        _drop(inner)


def _renumber(config, nested=False):
    """Lets models within models be found by their calls.

    In Keras 2 the first call of a nested model is its second node, and a model of one
    output may be written as one of a list of one.
    """
    settings = config.get("config") if isinstance(config, dict) else None
    if isinstance(settings, dict) and isinstance(settings.get("layers"), list):
        names = {
            layer["config"]["name"]: layer["class_name"]
            for layer in settings["layers"]
            if layer.get("class_name") in ("Functional", "Model", "Sequential")
        }
        nodes = [layer.get("inbound_nodes") for layer in settings["layers"]]
        _shift(nodes, names)
        # Of functional models, Keras 3 knows that of the outputs.
        sequential = {name for name, kind in names.items() if kind == "Sequential"}
        _shift(settings.get("output_layers"), sequential)
        for ends in ("input_layers", "output_layers"):
            if (
                nested
                and isinstance(settings.get(ends), list)
                and len(settings[ends]) == 1
            ):
                (settings[ends],) = settings[ends]
    for inner in _inside(config):
        _renumber(inner, nested=True)


def _shift(nodes, names):
    """Lowers the number of the node in references to some layers, at any depth."""
    if not isinstance(nodes, list):
        return
    if len(nodes) >= 3 and isinstance(nodes[0], str) and isinstance(nodes[1], int):
        nodes[1] -= nodes[0] in names and nodes[1] > 0
        return
    for inner in nodes:
        _shift(inner, names)


def _inside(config):
    if isinstance(config, dict):
        return list(config.values())
    return config if isinstance(config, list) else []
