"""Subclasses that compute what their parent computes, and those that may not."""

import abc
import re
import typing
import warnings

import keras
import models
import pytest
from keras import layers, ops

from keras_shapley_prune.layer_types import registry
from keras_shapley_prune.layer_types.registration import register_layer
from keras_shapley_prune.layer_types.registry import find_layer_type
from keras_shapley_prune.layer_types.subclasses import computes_as
from keras_shapley_prune.trace.tracer import trace_channels

T = typing.TypeVar("T")


class Old(layers.DepthwiseConv2D):
    """The usual way to load old files."""

    def __init__(self, *args, groups=1, **kwargs):
        super().__init__(*args, **kwargs)


@keras.saving.register_keras_serializable("subclasses_test")
class Same(layers.Conv2D):
    """Has a padding by default, and a method of its own."""

    note = "kept"

    def __init__(self, filters, kernel_size, padding="same", **kwargs):
        super().__init__(filters, kernel_size, padding=padding, **kwargs)
        self.seen = []

    def describe(self):
        return f"{self.filters} filters"

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class Younger(Same):
    """A subclass of a subclass."""


class Mixin(abc.ABC, typing.Generic[T]):
    @abc.abstractmethod
    def title(self):
        pass

    def summary_line(self):
        return "a line"


class Mixed(Mixin[int], layers.Dense):
    """A parent of another kind."""

    def title(self):
        return "mixed"


class Saved(layers.Dense):
    def save_own_variables(self, store):
        super().save_own_variables(store)

    def __repr__(self):
        return "saved"


SAME = {
    "Old": (layers.DepthwiseConv2D, lambda: Old(3, padding="same", name="own")),
    "Same": (layers.Conv2D, lambda: Same(6, 3, name="own")),
    "Younger": (layers.Conv2D, lambda: Younger(6, 3, name="own")),
    "Mixed": (layers.Dense, lambda: Mixed(6, name="own")),
    "Saved": (layers.Dense, lambda: Saved(6, name="own")),
}


def _model(layer):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 1, activation="relu", name="a")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layer(x)))
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


@pytest.mark.sweep(2)
@pytest.mark.parametrize("name", SAME)
def test_what_changes_nothing_is_pruned_as_its_parent(name):
    parent, make = SAME[name]
    model = _model(make())
    layer = model.get_layer("own")
    assert find_layer_type(layer) is registry.LAYER_TYPES[parent]
    assert set(trace_channels(model).lock_reasons()) == {"last"}
    models.check_masks(model)


class Call(layers.Dense):
    def call(self, inputs):
        return super().call(inputs[..., ::-1])


class Build(layers.Dense):
    def build(self, shape):
        super().build(shape)


class Convolve(layers.Conv2D):
    def convolution_op(self, inputs, kernel):
        return super().convolution_op(inputs, kernel - ops.mean(kernel))


class Kernel(layers.Dense):
    @property
    def kernel(self):
        return 2 * super().kernel


class Activated(layers.Dense):
    """An attribute that its parent reads, where nobody expects a property."""

    @property
    def activation(self):
        return keras.activations.softmax

    @activation.setter
    def activation(self, value):
        pass


class Called(layers.Dense):
    def __call__(self, inputs):
        return 2 * super().__call__(inputs)


class Asked(layers.Dense):
    def __getattr__(self, name):
        return super().__getattr__(name)


class Shaped(layers.Dense):
    def compute_output_shape(self, shape):
        return super().compute_output_shape(shape)


class Hooked(Mixin, layers.Dense):
    def compute_mask(self, inputs, mask=None):
        return None


@pytest.mark.parametrize(
    "kind", [Call, Build, Kernel, Activated, Called, Asked, Shaped, Hooked]
)
def test_what_may_change_something_is_not_known(kind):
    assert not computes_as(kind, layers.Dense)
    assert not computes_as(Convolve, layers.Conv2D)


def test_a_method_that_only_this_layer_has_counts():
    layer = Mixed(6)
    assert find_layer_type(layer) is not None
    layer.call = lambda inputs: inputs
    assert find_layer_type(layer) is None


def test_a_user_s_own_layer_may_be_the_parent(monkeypatch):
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))

    class Parent(layers.Layer):
        def call(self, inputs):
            return inputs[..., ::-1]

    class Child(Parent):
        pass

    assert find_layer_type(Child()) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_layer(
            Parent, lambda call, channels: channels.ids(call.inputs[0])[::-1]
        )
    assert find_layer_type(Child()) is registry.LAYER_TYPES[Parent]


class Half(layers.Conv2D):
    """Is made of another number than the one in its config."""

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(filters // 2, kernel_size, **kwargs)


class Stem(layers.Conv2D):
    """Always has as many filters."""

    def __init__(self, **kwargs):
        super().__init__(8, 3, **kwargs)

    def get_config(self):
        return {"name": self.name}


class Wide(layers.Dense):
    """Has a weight more."""

    def __init__(self, units, **kwargs):
        super().__init__(units, **kwargs)
        self.extra = self.add_weight(shape=(units,), name="extra")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Half(16, 3, name="own"), "Half has another 'filters' when it is made"),
        (lambda: Stem(name="own"), "Stem has no 'filters' in its config"),
        (lambda: Wide(6, name="own"), r"Wide has unknown weights \['extra'\]"),
    ],
)
def test_what_cannot_be_made_in_another_size_is_locked(make, words):
    reasons = trace_channels(_model(make())).lock_reasons()
    assert re.search(words, reasons["own"])
    assert "a" in reasons


def test_a_subclass_is_tried_where_it_changes_something():
    class Loud(layers.DepthwiseConv2D):
        def call(self, inputs):
            return 2 * super().call(inputs)

    model = _model(Loud(3, padding="same", name="own"))
    channel_map = trace_channels(model)
    assert set(channel_map.lock_reasons()) == {"last"}
    assert list(channel_map.trials.values()) == [("Loud",)]
    models.check_masks(model)
