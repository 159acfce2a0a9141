"""The models that tests share: built once, alike in every order, never changed."""

import keras
import model_cache
import models
import pytest
from keras import layers


def test_a_model_is_built_once():
    assert models.build(models.chain) is models.build(models.chain)
    assert models.build(models.chain) is not models.build(models.chain, seed=1)
    assert models.build(models.chain) is not models.fresh(models.chain)


def test_names_do_not_hang_on_what_was_built_before():
    first = models.fresh(models.residual)
    layers.ReLU()
    shared = models.build(models.residual)
    assert [x.name for x in shared.layers] == [x.name for x in first.layers]
    assert layers.ReLU().name not in [x.name for x in shared.layers]


def test_other_precision_is_another_model():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = models.build(models.chain)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model is not models.build(models.chain)


def _assign(model):
    model.weights[0].assign(0 * model.weights[0])


def _freeze(model):
    model.layers[1].trainable = False


def _compile(model):
    model.compile("sgd", "mse")


@pytest.mark.sweep(3)
@pytest.mark.parametrize("change", [_assign, _freeze, _compile])
@pytest.mark.parametrize("builder", [models.residual, models.nested])
def test_a_change_is_found_and_the_model_is_built_anew(builder, change):
    model = models.build(builder)
    models.outputs_of(model, models.images(model))
    assert model_cache.forget_changed() == []
    change(models.build(builder))
    assert model_cache.forget_changed() == [builder.__name__]
    assert models.build(builder) is not model
