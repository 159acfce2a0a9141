"""Tests of taking the state of an optimizer over to a pruned model."""

import keras
import models
import numpy as np
import pytest

from keras_shapley_prune import apply_plan, mask_channels, prune, remove_channels
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker
from keras_shapley_prune.trace.tracer import trace_channels


@pytest.fixture(autouse=True)
def double_precision():
    """Adam and others make steps of full size of a gradient that is rounding only."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def trained(optimizer, builder=models.residual, num_steps=4):
    """Returns a model after some steps, and a batch."""
    model = models.fresh(builder)
    model.compile(optimizer, "mse", run_eagerly=True)
    x = models.inputs_of(model, 8)
    y = 0.5 + keras.ops.convert_to_numpy(model(x))
    for _ in range(num_steps):
        model.train_on_batch(x, y)
    return model, x, y


def half(model):
    channel_map = trace_channels(model)
    return PruningPlan(
        channel_map,
        {group.name: -(-group.num_units // 2) for group in channel_map.groups},
        {
            group.name: np.random.default_rng(0).permutation(group.num_units)
            for group in channel_map.groups
        },
    )


def cut(model, plan, keep_optimizer=True):
    return apply_plan(
        model, plan, repair=None, verify=False, keep_optimizer=keep_optimizer
    )


def largest_difference(model, plan, pruned, x, y):
    """Trains the masked and the pruned model further, compares what both have."""
    masked = mask_channels(model, plan.keep)
    masked.compile(model.optimizer, "mse", run_eagerly=True)
    for _ in range(2):
        masked.train_on_batch(x, y)
        pruned.train_on_batch(x, y)
    expected = remove_channels(model, plan.keep).get_weights()
    pairs = list(zip(expected, pruned.get_weights(), strict=True))
    assert all(a.shape == b.shape for a, b in pairs)
    return max(np.abs(a - b).max() for a, b in pairs)


OPTIMIZERS = [
    lambda: keras.optimizers.SGD(0.01),
    lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    lambda: keras.optimizers.Nadam(0.01),
    lambda: keras.optimizers.Adamax(0.01),
    lambda: keras.optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    lambda: keras.optimizers.Adagrad(0.1),
    lambda: keras.optimizers.Adadelta(0.5),
    lambda: keras.optimizers.Ftrl(0.1),
    lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.05, 1, 0.7)
    ),
    lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=3),
    lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=5),
    lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01), initial_scale=64.0, dynamic_growth_steps=3
    ),
]


@pytest.mark.sweep(1)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_pruned_model_trains_on_as_the_masked_one(optimizer):
    model, x, y = trained(optimizer())
    plan = half(model)
    assert largest_difference(model, plan, cut(model, plan), x, y) < 1e-9


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "builder",
    [models.nested, models.attentive, models.recurrent, models.normalized],
)
def test_other_networks(builder):
    model, x, y = trained(keras.optimizers.Adam(0.01), builder)
    plan = half(model)
    assert largest_difference(model, plan, cut(model, plan), x, y) < 1e-9


def test_signs():
    """Lion, where no gradient is zero but for rounding, as before a normalization."""
    model, x, y = trained(keras.optimizers.Lion(0.01), models.classifier)
    plan = half(model)
    assert largest_difference(model, plan, cut(model, plan), x, y) < 1e-9


@pytest.mark.sweep(1)
@pytest.mark.parametrize("momentum", ["sgd", "adam"])
def test_a_new_optimizer_trains_on_differently(momentum):
    """So the tests above can fail."""
    optimizer = {
        "sgd": keras.optimizers.SGD(0.01, momentum=0.9),
        "adam": keras.optimizers.Adam(0.01),
    }[momentum]
    model, x, y = trained(optimizer)
    plan = half(model)
    pruned = cut(model, plan, keep_optimizer=False)
    assert int(pruned.optimizer.iterations) == 0
    assert largest_difference(model, plan, pruned, x, y) > 1e-3


def test_counters_and_learning_rate_are_taken_over():
    model, x, y = trained(keras.optimizers.Adam(0.01))
    model.optimizer.learning_rate = 0.003
    pruned = cut(model, half(model))
    assert int(pruned.optimizer.iterations) == 4
    assert float(pruned.optimizer.learning_rate) == pytest.approx(0.003)
    pruned.train_on_batch(x, y)
    assert int(pruned.optimizer.iterations) == 5
    assert int(model.optimizer.iterations) == 4


def test_half_precision():
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("mixed_float16")
    model, x, y = trained(keras.optimizers.Adam(0.01))
    plan = half(model)
    pruned = cut(model, plan)
    assert type(pruned.optimizer) is keras.optimizers.LossScaleOptimizer
    before, after = model.optimizer, pruned.optimizer
    assert float(after.dynamic_scale) == float(before.dynamic_scale)
    assert int(after.inner_optimizer.iterations) == int(
        before.inner_optimizer.iterations
    )
    stem = model.get_layer("stem").kernel
    index = before.inner_optimizer._get_variable_index(stem)
    ids = plan.channel_map.layer_ids[model.get_layer("stem")]["o"]
    for name in ("_momentums", "_velocities"):
        expected, received = (
            np.asarray(getattr(part.inner_optimizer, name)[index])
            for part in (before, after)
        )
        assert np.abs(received).max() > 0
        np.testing.assert_array_equal(received, expected[..., plan.keep[ids]])
    pruned.train_on_batch(x, y)


def test_frozen_layers_have_no_slots():
    model = models.fresh(models.residual)
    model.get_layer("stem").trainable = False
    model.compile("adam", "mse", run_eagerly=True)
    x = models.inputs_of(model, 8)
    y = np.ones((8, 4))
    model.train_on_batch(x, y)
    plan = half(model)
    pruned = cut(model, plan)
    assert len(pruned.optimizer.variables) == len(model.optimizer.variables)
    assert largest_difference(model, plan, pruned, x, y) < 1e-9


@pytest.mark.slow
@pytest.mark.eager
def test_after_loading(tmp_path):
    model, x, y = trained(keras.optimizers.Adam(0.01))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    plan = half(loaded)
    assert largest_difference(loaded, plan, cut(loaded, plan), x, y) < 1e-9


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize("repair", ["least_squares", None])
def test_prune_keeps_it_too(repair):
    model = models.classifier()
    x, y = models.labelled_images(64)
    model.fit(x, y, epochs=2, verbose=0)
    pruned = prune(
        model,
        x,
        ranker=BaselineRanker("l1_norm"),
        repair=repair,
        keep_optimizer=True,
        verbose=0,
    )
    assert int(pruned.optimizer.iterations) == 4
    slots = pruned.optimizer._momentums
    assert any(np.abs(slot).max() > 0 for slot in slots)
    pruned.fit(x, y, verbose=0)
    assert int(pruned.optimizer.iterations) == 6


def test_an_optimizer_that_never_made_a_step():
    model = models.classifier()
    pruned = cut(model, half(model))
    x, y = models.labelled_images()
    pruned.fit(x, y, verbose=0)
    assert int(pruned.optimizer.iterations) == 1


def test_what_cannot_be_kept_is_said_before_anything_is_done():
    def fail(*args, **kwargs):
        raise AssertionError("ranked")

    ranker = BaselineRanker("l1_norm")
    ranker.rank = fail
    x, y = models.labelled_images(8)

    def check(model, message):
        with pytest.raises(ValueError, match=message):
            prune(model, x, ranker=ranker, keep_optimizer=True, verbose=0)

    check(models.classifier(compiled=False), "'classifier', which is not")
    model = models.classifier()
    model.compile(keras.optimizers.Adafactor(), model.loss)
    model.fit(x, y, verbose=0)
    check(model, "Adafactor with '")
    model = models.classifier()
    other = keras.Variable(1.0, name="other")
    model.optimizer.build([*model.trainable_variables, other])
    check(model, r"trains \['.*other'\] too")
