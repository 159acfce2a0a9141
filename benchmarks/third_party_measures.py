"""What third_party.py measures of one network."""

import collections
import re
import warnings

import applications
import keras
import numpy as np

import keras_shapley_prune as ksp

FIELDS = """package family name input parameters units outputs removable share expanded
    unknown half third status reasons seconds gib""".split()
TOLERANCE = 1e-4
BATCH = 4
OUTPUT = "model output"


def measure(constructor):
    """Returns the row of a `Constructor`, as a dict, but for its names."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    model = constructor.build()
    return_logits(model)
    x = keras.tree.map_structure(lambda t: draw(t, model, generator), model.input)
    if constructor.random:
        randomize(model, generator)
        applications.estimate_statistics(model, x)
    row = {
        "input": "x".join(str(n) for n in keras.tree.flatten(x)[0].shape[1:]),
        "parameters": model.count_params(),
    }
    model, channel_map, kept_whole = trace(model)
    row |= count(model, channel_map, kept_whole or [])
    row["expanded"] = "" if kept_whole is None else "to_functional"
    if not channel_map.groups:
        return row | {"status": "nothing to remove"}
    try:
        found = compare(model, channel_map, x, generator)
    except Exception as error:  # what was counted holds all the same
        return row | {"status": describe(error)}
    row |= {name: f"{difference:.1e}" for name, difference in found.items()}
    return row | {"status": judge(run(model, x), found)}


def describe(error):
    """Returns an error as a status: its type and its first line."""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"error: {type(error).__name__}: {first}"[:300]


def return_logits(model):
    """Takes the last softmax or sigmoid off: saturated, it would hide differences."""
    for tensor in keras.tree.flatten(model.output):
        layer = tensor._keras_history.operation
        name = getattr(getattr(layer, "activation", None), "__name__", None)
        if name in ("softmax", "sigmoid"):
            layer.activation = keras.activations.linear


def draw(tensor, model, generator):
    """Returns a random batch of what one input takes."""
    open_size = 64 if len(tensor.shape) == 4 else 5  # of images, of sequences
    shape = [BATCH, *(length or open_size for length in tensor.shape[1:])]
    if "int" in tensor.dtype:
        return generator.integers(0, 2, shape).astype(tensor.dtype)
    rescales = any(isinstance(x, keras.layers.Rescaling) for x in model.layers)
    low, high = (0, 255) if rescales else (-1, 1)
    return generator.uniform(low, high, shape).astype("float32")


def randomize(model, generator):
    """Gives all weights that are constant at first random values, of any shape."""
    applications.randomize(model, generator)
    layers = model._flatten_layers()
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight)
        if value.ndim != 1 and value.dtype.kind == "f" and not np.ptp(value):
            # A scale of 1 and a token of 0: near to what they are, but of both signs.
            noise = generator.uniform(-0.5, 0.5, value.shape)
            weight.assign((value + noise).astype(value.dtype))
    if not any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers):
        strengthen(model)


def strengthen(model):
    """Makes images count in deep networks that normalize nothing, as biases do."""
    for weight in model.weights:
        if weight.name.endswith("kernel") and len(weight.shape) > 3:
            weight.assign(weight * 1.6)
        elif weight.name.endswith("bias"):
            weight.assign(weight * 0.1)


def trace(model):
    """Returns a network with as much of a graph as there is, its map, and what is not.

    The last is a list of why `to_functional` kept layers as they are, `None` if it was
    not needed, or did not help.
    """
    before = ksp.trace_channels(model)
    if not before.obstacles:
        return model, before, None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        functional = ksp.to_functional(model)
    start = "`to_functional` kept layers as they are: "
    messages = [str(warning.message) for warning in caught]
    reasons = [
        f"to_functional: {reason.partition(', ')[2]}"
        for message in messages
        if message.startswith(start)
        for reason in message.removeprefix(start).split("; ")
    ]
    after = ksp.trace_channels(functional)
    if find_share(after) < find_share(before):
        return model, before, None
    return functional, after, reasons


def num_removable(channel_map):
    """Returns how many units are in groups."""
    return sum(group.num_units for group in channel_map.groups)


def find_share(channel_map):
    """Returns which share of the units is removable, outputs of the model apart."""
    outputs = sum(reason == OUTPUT for reason in channel_map.locks.values())
    return num_removable(channel_map) / max(channel_map.num_units - outputs, 1)


def count(model, channel_map, kept_whole):
    """Returns how much of a network can be removed, and the reasons, as a dict."""
    locks = collections.Counter(map(plain, channel_map.locks.values()))
    outputs = locks.pop(OUTPUT, 0)
    graph = channel_map.graph
    # Layers whose units are not even known: their reasons count once a layer.
    unknown = [
        operation
        for operation in channel_map.obstacles
        if getattr(operation, "weights", None) and graph.calls_of(operation)
    ]
    hidden = sum(int(np.prod(w.shape)) for layer in unknown for w in layer.weights)
    locks += collections.Counter(plain(channel_map.obstacles[x]) for x in unknown)
    locks += collections.Counter(map(plain, kept_whole))
    return {
        "units": channel_map.num_units,
        "outputs": outputs,
        "removable": num_removable(channel_map),
        "share": f"{find_share(channel_map):.4f}",
        "unknown": f"{hidden / max(model.count_params(), 1):.4f}",
        "reasons": "; ".join(f"{reason} ×{n}" for reason, n in locks.most_common()),
    }


def plain(reason):
    """Returns a reason on one line, with N for the numbers in names of layers."""
    reason = " ".join(reason.split()).replace(";", ",")
    names = re.compile(r"`[^`]*`")
    return names.sub(lambda name: re.sub(r"\d+", "N", name[0]), reason)


def draw_removal(channel_map, share, generator):
    """Returns which units are kept when a share of every group is removed at random."""
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        removed = generator.permutation(group.units)[: int(group.num_units * share)]
        keep[removed] = False
    return keep


def compare(model, channel_map, x, generator):
    """Returns how far masked and pruned outputs are apart, for two removals."""
    differences = {}
    for name, share in (("half", 0.5), ("third", 0.3)):
        keep = draw_removal(channel_map, share, generator)
        pruned = run(ksp.remove_channels(model, keep, channel_map), x)
        masked = run(ksp.mask_channels(model, keep, channel_map), x)
        pairs = zip(masked, pruned, strict=True)
        differences[name] = max(distance(*pair) for pair in pairs)
    return differences


def run(model, x):
    """Returns a flat list of the outputs."""
    # Without `training`, Keras runs what is behind a `Resizing` as in training.
    return keras.tree.flatten(model(x, training=False))


def distance(expected, received):
    """Returns the largest difference of two outputs, relative to the largest output."""
    expected, received = map(keras.ops.convert_to_numpy, (expected, received))
    if expected.dtype.kind != "f":
        return float(np.mean(expected != received))
    largest = np.abs(expected).max(initial=0)
    difference = np.abs(expected - received).max(initial=0)
    if not np.isfinite(largest) or not np.isfinite(difference):
        return np.nan
    return float(difference / largest) if largest else float(difference > 0)


def judge(outputs, differences):
    """Returns the status of a row."""
    if any(not difference <= TOLERANCE for difference in differences.values()):
        if all(np.isfinite(difference) for difference in differences.values()):
            return "mismatch"
        return "not finite"
    floats = [
        x for x in map(keras.ops.convert_to_numpy, outputs) if x.dtype.kind == "f"
    ]
    if any(not np.abs(value).max(initial=0) > 0 for value in floats):
        return "zero output"
    if not any(np.ptp(value, axis=0).max(initial=0) > 0 for value in floats):
        return "outputs do not depend on the input"
    return "ok"
