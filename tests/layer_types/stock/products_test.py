"""Tests of products of two tensors: their axes, and what they cost."""

import keras
import models
import numpy as np
import pytest
from keras import layers, ops

from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels


def _product(function, first=(6, 5), second=(6, 5)):
    """A model of a product of what the layers `a` and `b` return."""
    inputs = [keras.Input(shape) for shape in (first, second)]
    a, b = (
        layers.Dense(width, name=name)(x)
        for x, width, name in zip(inputs, (4, 4), "ab", strict=True)
    )
    return keras.Model(inputs, layers.Dense(2, name="last")(function(a, b)))


@pytest.mark.parametrize(
    ("function", "producers"),
    [
        (lambda a, b: ops.matmul(a, ops.swapaxes(b, 1, 2)), [("a", "b")]),
        (lambda a, b: ops.matmul(ops.swapaxes(a, 1, 2), b), [("b",)]),
        (lambda a, b: ops.einsum("bnc,bmc->bnm", a, b), [("a", "b")]),
        (lambda a, b: ops.einsum("bnc,bnd->bcd", a, b), [("b",)]),
        (lambda a, b: ops.einsum("bnc,bnc->bnc", a, b), [("a", "b")]),
        (lambda a, b: ops.einsum("bnc,bnd->bnd", a, b), [("a",), ("b",)]),
        (lambda a, b: layers.Dot(2)([a, b]), [("a", "b")]),
        (lambda a, b: layers.Dot(1)([a, b]), [("b",)]),
        (lambda a, b: ops.einsum("bnc->bcn", a), []),
        (lambda a, b: ops.einsum("bnc->bn", a), [("a",)]),
        (lambda a, b: ops.einsum("...c->...", a), [("a",)]),
        # A sum over an axis that is last in neither tensor cannot be masked.
        (lambda a, b: _transposed(a, b), []),
        (lambda a, b: layers.Dot(2, normalize=True)([a, b]), []),
    ],
)
def test_units_of_products(function, producers):
    groups = trace_channels(_product(function)).groups
    assert sorted(tuple(sorted(g.producers)) for g in groups) == producers


def _transposed(a, b):
    a, b = ops.swapaxes(a, 1, 2), ops.swapaxes(b, 1, 2)
    return ops.einsum("bcn,bcm->bnm", a, b)


@pytest.mark.parametrize("equation", ["bnc->bcn", "bnc->bc", "...c->..."])
def test_an_einsum_of_one_tensor(equation):
    inputs = keras.Input((6, 5))
    x = ops.einsum(equation, layers.Dense(4, name="a")(inputs))
    x = ops.swapaxes(x, 1, 2) if len(x.shape) == 3 else x
    x = layers.Dense(2)(x)
    model = models.randomize(keras.Model(inputs, x))
    assert trace_channels(model).lock_reasons().get("a") is None
    models.check_masks(model, tolerance=1e-4)


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (lambda a, b: ops.matmul(a, ops.swapaxes(b, 1, 2)), 6 * 4 * 6),
        (lambda a, b: ops.einsum("bnc,bnd->bcd", a, b), 4 * 6 * 4),
        (lambda a, b: layers.Dot(2)([a, b]), 6 * 4 * 6),
        # Of one tensor nothing is multiplied.
        (lambda a, b: ops.einsum("bnc->bn", a), 0),
        # The axis of length 1 is spread over the other one.
        (lambda a, b: a[:, None] @ ops.swapaxes(b, 1, 2)[:, None], 6 * 4 * 6),
        (lambda a, b: a[:, :1] @ ops.swapaxes(b, 1, 2), 4 * 6),
    ],
)
def test_flops_of_products(function, count):
    model = _product(function)
    others = sum(
        2 * int(np.prod(call.operation.kernel.shape)) * positions
        for call in record_graph(model).calls
        if hasattr(call.operation, "kernel")
        for positions in [int(np.prod(call.outputs[0].shape[1:-1]))]
    )
    assert count_flops(model) - others == 2 * count
