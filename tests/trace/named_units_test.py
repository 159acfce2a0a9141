"""Tests of units that are given by the name of a group or layer."""

import axis_models
import keras
import models
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.named_units import name_units, resolve_keep
from keras_shapley_prune.trace.tracer import trace_channels


def _two_convs():
    """Two convolutions with a normalization between them."""
    stack = [
        keras.Input((8, 8, 1)),
        layers.Conv2D(6, 3, name="c1"),
        layers.BatchNormalization(name="norm"),
        layers.Conv2D(5, 3, name="c2"),
        layers.Flatten(),
        layers.Dense(4, name="classes"),
    ]
    return keras.Sequential(stack)


def _tied():
    """A stream that `first` and `second` write, beside a part of `second` only."""
    inputs = keras.Input((8, 8, 2))
    first = layers.Conv2D(4, 1, name="first")(inputs)
    second = layers.Conv2D(4, 1, name="second")(inputs)
    both = layers.Add()([first, second])
    return keras.Model(inputs, layers.Conv2D(3, 1, name="out")(both))


def _split():
    """The first two channels of `conv` are read apart from the others."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 1, name="conv")(inputs)
    few, many = keras.ops.split(x, [2], axis=-1)
    few = layers.Conv2D(3, 1, name="a")(few)
    return keras.Model(
        inputs, [few, layers.Conv2D(3, 1, name="b")(keras.ops.relu(many))]
    )


def _partly_locked():
    """The first two channels of `conv` are an output."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 1, name="conv")(inputs)
    few, many = keras.ops.split(x, [2], axis=-1)
    return keras.Model(inputs, [few, layers.Conv2D(3, 1, name="b")(many)])


MASK = np.array([True, False, True, True, False, True])
REMOVED = [1, 4]
FORMS = {
    "mask": {"keep": {"c1": MASK}},
    "list of booleans": {"keep": {"c1": MASK.tolist()}},
    "positions": {"keep": {"c1": [0, 2, 3, 5]}},
    "positions in another order": {"keep": {"c1": (5, 2, 3, 0)}},
    "array of positions": {"keep": {"c1": np.flatnonzero(MASK)}},
    "removed": {"remove": {"c1": REMOVED}},
    "removed mask": {"remove": {"c1": ~MASK}},
    "none of another": {"remove": {"c1": REMOVED, "c2": []}},
    "all of another": {"keep": {"c1": MASK, "c2": range(5)}},
}


@pytest.mark.sweep(3)
@pytest.mark.parametrize("form", FORMS)
def test_all_forms_say_the_same(form):
    model = _two_convs()
    channel_map = trace_channels(model)
    expected = np.ones(channel_map.num_units, bool)
    expected[channel_map.groups[0].units[REMOVED]] = False
    np.testing.assert_array_equal(resolve_keep(channel_map, **FORMS[form]), expected)
    pruned = remove_channels(model, **FORMS[form])
    kernel = model.get_layer("c1").kernel.numpy()
    np.testing.assert_array_equal(pruned.get_layer("c1").kernel, kernel[..., MASK])
    assert pruned.get_layer("c2").filters == 5


def test_every_function_takes_names():
    model, keep = _two_convs(), {"c1": [0, 3], "c2": [1]}
    x = models.images(model)
    pruned = remove_channels(model, keep)
    verify_removal(model, pruned, keep, x)
    np.testing.assert_allclose(mask_channels(model, keep)(x), pruned(x), atol=1e-5)
    remove = {"c1": [1, 2, 4, 5], "c2": [0, 2, 3, 4]}
    again = mask_channels(model, remove=remove)
    np.testing.assert_allclose(again(x), pruned(x), atol=1e-5)
    options = {"repair": None, "verbose": 0}
    for repaired in (
        repair_channels(model, keep, x, **options),
        repair_channels(model, None, x, remove=remove, **options),
    ):
        np.testing.assert_allclose(repaired(x), pruned(x), atol=1e-5)


@pytest.mark.parametrize("name", ["first", "second"])
def test_tied_layers_name_the_same_units(name):
    model = _tied()
    (group,) = trace_channels(model).groups
    assert group.name == "first"
    pruned = remove_channels(model, remove={name: [1, 3]})
    for layer in ("first", "second"):
        kernel = model.get_layer(layer).kernel.numpy()
        np.testing.assert_array_equal(
            pruned.get_layer(layer).kernel, kernel[..., [0, 2]]
        )
    # Both may be named, if they say the same.
    same = remove_channels(model, remove={"first": [1, 3], "second": [1, 3]})
    np.testing.assert_array_equal(
        same.get_layer("first").kernel, pruned.layers[1].kernel
    )


def test_tied_layers_cannot_contradict_each_other():
    with pytest.raises(
        ValueError, match=r"position 2 of 'first'.*position 2 of 'second'"
    ):
        remove_channels(_tied(), remove={"first": [1, 2], "second": [1]})


def test_groups_of_a_layer_that_is_split():
    """Masks of a group or of the whole layer are told apart by their length."""
    model = _split()
    channel_map = trace_channels(model)
    assert [group.name for group in channel_map.groups] == ["conv", "conv#2"]
    few, many = (group.units for group in channel_map.groups)
    for named, removed in (
        ({"conv": [True, False]}, few[[1]]),
        ({"conv#2": [0, 2]}, many[[1, 3]]),
        ({"conv": [True, False, True, True, False, True]}, [few[1], many[2]]),
    ):
        expected = channel_map.without(())
        expected[removed] = False
        np.testing.assert_array_equal(name_units(channel_map, named), expected)
    message = "group of 2 units, for a mask of that length, and a layer of 6 channels"
    with pytest.raises(ValueError, match=message):
        name_units(channel_map, {"conv": [1]})


def test_positions_of_heads():
    """A head is several channels of each layer: the group's positions count heads."""
    channel_map = trace_channels(axis_models.vision_transformer())
    heads = next(group for group in channel_map.groups if group.num_units == 4)
    assert heads.name == "qkv"
    expected = np.ones(channel_map.num_units, bool)
    expected[heads.units[[1, 3]]] = False
    channels = np.tile(np.repeat([False, True, False, True], 3), 3)
    for remove in ({"qkv": [1, 3]}, {"qkv": channels}):
        found = name_units(channel_map, remove, "remove")
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="of a unit, or the units of group 'qkv'"):
        name_units(channel_map, {"qkv": np.arange(36) == 4}, "remove")


def test_locked_channels_of_a_layer():
    model = _partly_locked()
    keep = {"conv": [True, True, True, False, True, True]}
    assert remove_channels(model, keep).get_layer("conv").filters == 5
    with pytest.raises(
        ValueError, match="position 1 of 'conv', which is locked: model"
    ):
        remove_channels(model, {"conv": [True, False, True, True, True, True]})
    with pytest.raises(ValueError, match="position 0 of 'classes', which is locked"):
        remove_channels(_two_convs(), remove={"classes": [0]})


def test_layers_of_nested_models():
    inputs = keras.Input((8, 8, 1))
    inner = keras.Model(inputs, layers.Conv2D(6, 3, name="c1")(inputs), name="backbone")
    outer = keras.Input((8, 8, 1))
    model = keras.Model(outer, layers.Conv2D(2, 1, name="out")(inner(outer)))
    pruned = remove_channels(model, remove={"backbone/c1": [0, 1]})
    assert pruned.get_layer("backbone").get_layer("c1").filters == 4
    with pytest.raises(ValueError, match=r"'c1'. Did you mean \['backbone/c1'\]"):
        remove_channels(model, remove={"c1": [0, 1]})


WRONG = {
    "name": ({"c3": MASK}, r"Received: 'c3'. Did you mean \['c2', 'c1'\]"),
    "nothing like it": ({"encoder": MASK}, r"'encoder'. There are \['c1', 'c2'\]"),
    "carrier": ({"norm": MASK}, r"'norm', which has none of its own, but .*\['c1'\]"),
    "no name": ({3: MASK}, r"Received: 3. There are \['c1', 'c2'\]"),
    "size": ({"c1": MASK[:5]}, r"mask of shape \(6,\).*dtype=bool, shape=\(5,\)"),
    "floats": ({"c1": MASK.astype(float)}, "boolean mask.*dtype=float64"),
    "mask of integers": ({"c1": MASK.astype(int)}, "different integers from 0 to 5"),
    "too large": (
        {"c1": [0, 6]},
        r"from 0 to 5, the positions that are kept.*\[0, 6\]",
    ),
    "negative": ({"c1": [-1, 0]}, r"from 0 to 5.*\[-1, 0\]"),
    "repeated": ({"c1": [1, 1]}, "different integers"),
    "a number": ({"c1": 3}, r"list of different integers.*Received: 3 .*shape=\(\)"),
    "ragged": ({"c1": [[1], [2, 3]]}, "different integers.*dtype=object"),
    "nothing": ({"c1": None}, "different integers.*Received: None"),
    "none left": ({"c1": []}, "all 6 units of 'c1' removed"),
}


@pytest.mark.sweep(5)
@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_told(case):
    keep, words = WRONG[case]
    for function in (remove_channels, mask_channels):
        with pytest.raises(ValueError, match=f"Argument `keep` should.*{words}"):
            function(_two_convs(), keep)


def test_one_of_the_two_arguments():
    model = _two_convs()
    with pytest.raises(ValueError, match=r"One of the arguments.*Received: neither"):
        remove_channels(model)
    with pytest.raises(ValueError, match="Received: both"):
        remove_channels(model, {"c1": MASK}, remove={"c1": REMOVED})
    with pytest.raises(ValueError, match=r"`remove` should be a dict.*numpy.ndarray"):
        remove_channels(model, remove=MASK)
    with pytest.raises(ValueError, match=r"Argument `remove` should.*are removed"):
        remove_channels(model, remove={"c1": [9]})


def test_many_groups_are_not_all_listed():
    stack = [layers.Dense(2, name=f"dense_{n}") for n in range(20)]
    model = keras.Sequential([keras.Input((3,)), *stack])
    with pytest.raises(ValueError, match=r"'dense_11'\] and 7 more"):
        remove_channels(model, {"x": [0]})
