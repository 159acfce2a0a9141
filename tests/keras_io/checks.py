"""What each network of keras.io's examples has to stand.

The networks are written anew at small sizes: what is taken from an example is its
architecture only.
"""

import keras
import numpy as np

import keras_shapley_prune as ksp

OUTPUT = "model output"


def randomize(model, seed=0):
    """Gives weights that start as a constant, such as biases, values of their own."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        value = keras.ops.convert_to_numpy(weight)
        if value.dtype.kind == "f" and value.size and not np.ptp(value):
            low = 0.5 if value.flat[0] else -0.3
            weight.assign(generator.uniform(low, low + 0.6, value.shape))


def draw(model, batch=3, seed=0):
    """Returns random inputs of a model: floats, or integers from 0 to 9."""
    generator = np.random.default_rng(seed)

    def draw_one(tensor):
        shape = (batch, *(length or 8 for length in tensor.shape[1:]))
        if "int" in tensor.dtype:
            return generator.integers(0, 10, shape).astype(tensor.dtype)
        return generator.normal(size=shape).astype("float32")

    # A Sequential model that calls nothing yet has no `input`.
    inputs = model.inputs[0] if isinstance(model, keras.Sequential) else model.input
    return keras.tree.map_structure(draw_one, inputs)


def find_share(channel_map):
    """Returns which share of the units is removable, outputs of the model apart."""
    outputs = sum(reason == OUTPUT for reason in channel_map.locks.values())
    removable = sum(group.num_units for group in channel_map.groups)
    return removable / (channel_map.num_units - outputs)


def find_reasons(channel_map):
    """Returns why units are locked, for others than the outputs of the model."""
    reasons = {*channel_map.locks.values(), *channel_map.lock_reasons().values()}
    return reasons - {OUTPUT}


def draw_removal(channel_map, seed=0):
    """Returns which units are kept if half of each group is removed at random."""
    generator = np.random.default_rng(seed)
    keep = np.ones(channel_map.num_units, bool)
    for group in channel_map.groups:
        keep[generator.permutation(group.units)[: group.num_units // 2]] = False
    return keep


def check_network(model, share=1, reasons=(), inputs=None):
    """Asserts what can be removed, and that the masked network is the pruned one.

    Args:
        model: A functional model, its layers may be made of layers.
        share: Float, how much of the units is removable, outputs apart, at least.
        reasons: Sequence of what the reasons of the locked units say. `None` if what
            they say does not matter.
        inputs: A batch to compare on, random numbers if `None`.

    Returns:
        The pruned model.
    """
    randomize(model)
    channel_map = ksp.trace_channels(model)
    if channel_map.obstacles:
        model = ksp.to_functional(model)
        channel_map = ksp.trace_channels(model)
    found = find_reasons(channel_map)
    assert find_share(channel_map) >= share, f"{find_share(channel_map)}: {found}"
    if reasons is not None:
        check_reasons(found, reasons)
    keep = draw_removal(channel_map)
    x = draw(model) if inputs is None else inputs
    masked, pruned = (
        make(model, keep, channel_map)
        for make in (ksp.mask_channels, ksp.remove_channels)
    )
    assert_alike(masked, pruned, x)
    return pruned


def check_reasons(found, expected):
    """Asserts that all reasons are expected ones, and all expected ones are there."""
    unexpected = {r for r in found if not any(part in r for part in expected)}
    assert not unexpected, unexpected
    missing = {part for part in expected if not any(part in r for r in found)}
    assert not missing, f"{missing} of {found}"


def assert_alike(masked, pruned, x):
    """Asserts that two models return the same, which differs among the examples."""
    both = (keras.tree.flatten(m(x, training=False)) for m in (masked, pruned))
    for pair in zip(*both, strict=True):
        expected, received = map(keras.ops.convert_to_numpy, pair)
        assert np.ptp(expected, axis=0).max() > 0
        largest = np.abs(expected).max()
        np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4 * largest)


def check_prune(model, num_examples=16):
    """Asserts that `prune` with its defaults removes half of each layer.

    Returns:
        The pruned model.
    """
    x = draw(model, num_examples)
    pruned = ksp.prune(model, x, ratio=0.5, verbose=0)
    assert pruned.count_params() < 0.7 * model.count_params()
    for output in keras.tree.flatten(pruned.predict(x, verbose=0)):
        assert np.isfinite(output).all()
    return pruned
