"""Tests of models within models, from tracing to the pruned model."""

import keras
import models
import nested_models
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels

BUILDERS = pytest.mark.parametrize("builder", nested_models.BUILDERS)


def _tolerance(builder):
    return 5e-2 if builder is nested_models.half_precision_around else 1e-4


def _halve(model, fraction=0.5):
    channel_map = trace_channels(model)
    keep = models.random_keep(channel_map, fraction)
    return remove_channels(model, keep, channel_map), keep, channel_map


def _structure(model):
    """Returns the names and classes of a model's layers at every level."""
    inner = [_structure(x) for x in model.layers if isinstance(x, keras.Model)]
    return type(model), [(type(x), x.name, x.trainable) for x in model.layers], inner


def _layers_by_path(model, prefix=""):
    found = {}
    for layer in model.layers:
        found[prefix + layer.name] = layer
        if isinstance(layer, keras.Model):
            found |= _layers_by_path(layer, f"{prefix}{layer.name}/")
    return found


@pytest.mark.sweep(1)
@BUILDERS
def test_masked_equals_pruned_and_nesting_is_kept(builder, tmp_path):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    pruned, keep, channel_map = _halve(model)
    expected = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
    received = models.outputs_of(pruned, inputs)
    assert models.relative_difference(received, expected) < _tolerance(builder)
    assert models.relative_difference(received, models.outputs_of(model, inputs)) > 0.01
    assert pruned.count_params() < 0.8 * model.count_params()
    assert _structure(pruned) == _structure(model)
    assert [w.name for w in pruned.weights] == [w.name for w in model.weights]
    if builder is not nested_models.shared_layer:  # which Keras itself cannot load
        pruned.save(tmp_path / "pruned.keras")
        loaded = keras.models.load_model(tmp_path / "pruned.keras")
        np.testing.assert_array_equal(models.outputs_of(loaded, inputs)[0], received[0])
    after = models.snapshot(model, inputs)
    for name in ("config", "names", "layers", "trainable", "weights", "outputs"):
        assert after[name] == before[name]


@pytest.mark.sweep(3)
@BUILDERS
def test_tracing_and_surgery_leave_no_trace(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    pruned, *_ = _halve(model)
    for variable in pruned.variables:
        variable.assign(keras.ops.zeros_like(variable))
    assert models.snapshot(model, inputs) == before


@pytest.mark.sweep(3)
@BUILDERS
def test_the_flat_graph_computes_what_the_model_computes(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    channel_map = trace_channels(model)
    masked = mask_channels(model, np.ones(channel_map.num_units, bool), channel_map)
    outputs = [models.outputs_of(m, inputs) for m in (masked, model)]
    assert models.relative_difference(*outputs) < 1e-6
    assert not any(
        isinstance(c.operation, keras.Model) for c in channel_map.graph.calls
    )


@BUILDERS
def test_every_name_is_the_path_of_one_layer(builder):
    model = models.build(builder)
    channel_map = trace_channels(model)
    by_path = _layers_by_path(model)
    operations = list(dict.fromkeys(operation for operation, _ in channel_map.produced))
    names = [channel_map.graph.name_of(operation) for operation in operations]
    assert len(set(names)) == len(names)
    for name, operation in zip(names, operations, strict=True):
        assert by_path[name] is operation
    group_names = [group.name for group in channel_map.groups]
    assert len(set(group_names)) == len(group_names)


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("builder", "repair"),
    [
        *((builder, "least_squares") for builder in nested_models.BUILDERS),
        (nested_models.in_the_middle, "mean"),
        (nested_models.in_the_middle, "batchnorm"),
        (nested_models.siamese, "batchnorm"),
    ],
)
def test_prune_end_to_end(builder, repair):
    model = models.build(builder)
    inputs = models.inputs_of(model, 12)
    pruned = keras_shapley_prune.prune(
        model,
        [(tuple(keras.tree.flatten(inputs)),)],
        ranker=keras_shapley_prune.BaselineRanker("l1_norm"),
        repair=repair,
        verbose=0,
    )
    assert _structure(pruned) == _structure(model)
    comparison = keras_shapley_prune.compare(model, pruned)
    assert comparison.parameters[1] < comparison.parameters[0]
    assert comparison.flops[1] < comparison.flops[0]


def test_layers_are_selected_by_path():
    channel_map = trace_channels(models.build(nested_models.in_the_middle))
    names = [group.name for group in channel_map.groups]
    assert names == ["conv", "block/conv", "block/block/conv", "after"]
    for pattern, selected in {
        "conv": ["conv"],
        "block/conv": ["block/conv"],
        "block/*": ["block/conv", "block/block/conv"],
    }.items():
        groups = channel_map.select_groups(pattern)
        assert [group.name for group in groups] == selected
    assert channel_map.groups[0].consumers == ("block/conv",)


def test_training_arguments_are_kept():
    model = models.build(nested_models.frozen_transfer)
    pruned, _, channel_map = _halve(model)
    (call,) = [c for c in channel_map.graph.calls if c.name == "backbone/norm"]
    assert call.kwargs["training"] is False
    config = pruned.get_config()
    (base,) = [x for x in config["layers"] if x["name"] == "backbone"]
    assert base["inbound_nodes"][0]["kwargs"]["training"] is False
    assert not any(w.trainable for w in pruned.get_layer("backbone").weights)
    assert pruned.get_layer("logits").trainable


def test_dropout_that_is_always_on_stays_so():
    inner = keras.Sequential([keras.Input((6,)), layers.Dropout(0.5)], name="inner")
    inputs = keras.Input((4,))
    x = inner(layers.Dense(6, bias_initializer="ones")(inputs), training=True)
    model = keras.Model(inputs, layers.Dense(2)(x))
    pruned, keep, channel_map = _halve(model)
    masked = mask_channels(model, keep, channel_map)
    for network in (masked, pruned):
        first, second = (network(np.ones((8, 4))).numpy() for _ in range(2))
        assert np.abs(first - second).max() > 0


class _Doubled(keras.Model):
    """A functional model whose call is not its graph."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


def _between_convolutions(inner, **arguments):
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="before")(inputs)
    x = layers.Conv2D(6, 3, name="after")(inner(x, **arguments))
    outputs = layers.Dense(2, name="last")(layers.GlobalAveragePooling2D()(x))
    return models.randomize(keras.Model(inputs, outputs))


class _Called(keras.Model):
    """A model without a graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv2D(4, 1, name="conv")

    def call(self, inputs):
        return self.conv(inputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 4)


@keras.saving.register_keras_serializable("nesting_test")
class _Called1D(_Called):
    """The same for one row of an image."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv = layers.Conv1D(4, 1, name="conv")
        self.conv.build((None, 6, 4))


def _functional(kind):
    inputs = keras.Input((6, 6, 4))
    return kind(inputs, layers.Conv2D(4, 1, name="conv")(inputs), name="inner")


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (lambda: _Called(name="inner"), "_Called is not a registered layer"),
        (lambda: _functional(_Doubled), "_Doubled is not a registered layer"),
        (
            lambda: layers.TimeDistributed(_Called1D(), name="inner"),
            "a model that is no graph of layers",
        ),
    ],
)
def test_what_has_no_graph_locks(inner, words):
    model = _between_convolutions(inner())
    pruned, keep, channel_map = _halve(model)
    assert words in channel_map.lock_reasons()["before"]
    assert [group.name for group in channel_map.groups] == ["after"]
    assert set(channel_map.lock_reasons()) == {"before", "inner", "last"}
    inputs = models.inputs_of(model)
    masked = mask_channels(model, keep, channel_map)
    outputs = [models.outputs_of(m, inputs) for m in (pruned, masked)]
    assert models.relative_difference(*outputs) < 1e-4


def test_a_functional_subclass_that_runs_its_graph_is_pruned():
    class Plain(keras.Model):
        pass

    model = _between_convolutions(_functional(Plain))
    pruned, *_ = _halve(model)
    assert pruned.get_layer("inner").get_layer("conv").filters == 2


def test_layers_of_a_nested_model_that_is_locked_are_locked_elsewhere():
    inner = _functional(keras.Model)
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 1, name="before")(inputs)
    mask = keras.ops.ones((1, 6, 6), "bool")
    x = inner(x, mask=mask)
    x = layers.Conv2D(4, 1, name="between")(x)
    x = layers.Conv2D(5, 1, name="after")(inner.get_layer("conv")(x))
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="last")(x)))
    pruned, _, channel_map = _halve(model)
    assert {"before", "between", "conv"} <= set(channel_map.lock_reasons())
    assert [group.name for group in channel_map.groups] == ["after"]
    assert pruned.get_layer("conv") is pruned.get_layer("inner").get_layer("conv")


def test_what_nobody_reads_of_a_nested_model_can_be_removed():
    channel_map = trace_channels(models.build(nested_models.many_ends))
    (group,) = [g for g in channel_map.groups if g.name == "inner/auxiliary"]
    assert not group.consumers


def test_reasons_name_layers_by_their_path():
    image = keras.Input((8, 8, 4))
    x = layers.Conv2D(4, 1, name="conv")(image)
    inner = keras.Model(image, layers.Add(name="join")([x, image]), name="inner")
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(inner(inputs)))
    model = keras.Model(inputs, layers.Dense(2)(model.output))
    reason = trace_channels(model).lock_reasons()["inner/conv"]
    assert reason == "`inner/join` joins it with channels that cannot be removed"


def test_calls_of_one_model_read_the_same_channels():
    model = models.build(nested_models.shared_without_weights)
    channel_map = trace_channels(model)
    assert set(channel_map.groups[0].producers) == {"left", "right"}
    image = keras.Input((8, 8, 6))
    pool = keras.Sequential([keras.Input((8, 8, 6)), layers.Flatten()], name="pool")
    x = pool(layers.Conv2D(6, 1, name="conv")(image))
    x = layers.Concatenate()([layers.Dense(4, name="hidden")(x), pool(image)])
    model = keras.Model(image, layers.Dense(2)(x))
    reason = trace_channels(model).lock_reasons()["conv"]
    assert reason == "shared model `pool` joins it with channels that cannot be removed"


@pytest.mark.filterwarnings("ignore:.*of the flops are removed, not 50.0%")
@pytest.mark.parametrize("of", ["params", "flops"])
def test_budgets_count_nested_layers(of):
    model = models.build(nested_models.in_the_middle)
    inputs = models.inputs_of(model, 12)
    ranker = keras_shapley_prune.BaselineRanker("l1_norm")
    ranking = ranker.rank(model, inputs, verbose=0)
    plan = keras_shapley_prune.plan_pruning(model, ranking, 0.5, of=of)
    smaller = remove_channels(model, plan.keep)
    count = {"params": lambda m: m.count_params(), "flops": count_flops}[of]
    assert f"{count(smaller):,}" in str(plan)
    assert count(smaller) / count(model) == pytest.approx(0.5, abs=0.1)


def test_the_default_ranker_reaches_into_nested_models():
    model = models.build(nested_models.transfer)
    inputs = models.inputs_of(model, 12)
    pruned = keras_shapley_prune.prune(model, inputs, verbose=0)
    assert pruned.get_layer("backbone").get_layer("inner").filters == 2


def test_plans_and_rankings_of_nested_layers_save_and_load(tmp_path):
    model = models.build(nested_models.in_the_middle)
    ranking = keras_shapley_prune.BaselineRanker("l2_norm").rank(model, verbose=0)
    ranking.save(tmp_path / "ranking.json")
    loaded = keras_shapley_prune.Ranking.load(tmp_path / "ranking.json")
    ratio = {"block/block/*": 0.75, "*": 0.25}
    plan = keras_shapley_prune.plan_pruning(model, loaded, ratio)
    plan.save(tmp_path / "plan.json")
    plan = keras_shapley_prune.PruningPlan.load(tmp_path / "plan.json", model)
    pruned = keras_shapley_prune.apply_plan(model, plan, models.inputs_of(model))
    filters = {
        name: models.get_layer(pruned, name).filters
        for name in ("conv", "block/conv", "block/block/conv")
    }
    assert filters == {"conv": 4, "block/conv": 4, "block/block/conv": 1}


def _frozen_mobilenet():
    base = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=None
    )
    base.trainable = False
    steps = [base, layers.GlobalAveragePooling2D(), layers.Dense(3, name="logits")]
    return keras.Sequential([keras.Input((32, 32, 3)), *steps])


@pytest.mark.parametrize(
    ("builder", "path", "filters"),
    [
        (nested_models.frozen_transfer, "backbone", 3),
        pytest.param(
            _frozen_mobilenet, "mobilenetv2_0.35_32", 640, marks=pytest.mark.slow
        ),
    ],
)
def test_a_frozen_backbone_stays_frozen_and_is_served(builder, path, filters, tmp_path):
    model = models.fresh(builder)
    model.compile("adam", "mse")
    inputs = models.inputs_of(model, 8)
    pruned = keras_shapley_prune.prune(
        model,
        inputs,
        ranker=keras_shapley_prune.BaselineRanker("l1_norm"),
        repair="mean",
        verbose=0,
    )
    base, smaller = (m.get_layer(path) for m in (model, pruned))
    assert smaller.count_params() < 0.6 * base.count_params()
    assert smaller.output_shape[-1] == filters
    frozen = [weight.numpy() for weight in smaller.weights]
    pruned.fit(inputs, np.ones((8, 3)), epochs=1, verbose=0)
    for before, after in zip(frozen, smaller.weights, strict=True):
        np.testing.assert_array_equal(before, after)
    pruned.export(tmp_path / "serving", verbose=False)
    serving = tf.saved_model.load(tmp_path / "serving")
    served = serving.serve(inputs)
    np.testing.assert_allclose(served, pruned(inputs), rtol=1e-4, atol=1e-5)


def _block(name):
    """A model of layers that have masked forms, or other arguments when they shrink."""
    inputs = keras.Input((5, 8))
    x = layers.LayerNormalization(name="norm")(inputs)
    x = layers.MultiHeadAttention(3, 2, name="attention")(x, x) + inputs
    x = layers.Conv1D(8, 2, padding="same", groups=2, name="grouped")(x)
    x = layers.LSTM(8, return_sequences=True, name="lstm")(x)
    x = keras.ops.concatenate([x[..., 2:], layers.Dense(2, name="two")(x)], axis=-1)
    return keras.Model(inputs, layers.Dense(8, name="last")(x), name=name)


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("shared", [False, True])
def test_nested_models_of_layers_with_masked_forms(shared):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((5, 3))
    one = _block("one")
    x = one(layers.Dense(8, activation="tanh", name="before")(inputs))
    x = (one if shared else _block("other"))(x)
    outputs = layers.Dense(4, name="logits")(x)
    model = models.randomize(keras.Model(inputs, outputs))
    names = {group.name for group in trace_channels(model).groups}
    assert {"one/attention/heads", "one/lstm", "one/grouped"} <= names
    assert ("other/attention/heads" in names) is not shared
    smaller, keep, channel_map = _halve(model)
    inputs = models.inputs_of(model, num_examples=2)
    masked = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
    pruned = models.outputs_of(smaller, inputs)
    assert models.relative_difference(masked, pruned) < 1e-5
    lstm, _ = channel_map.select_groups("one/lstm")  # two groups: one part is cut off
    models.check_one_mask_an_example(model, channel_map, lstm, inputs)
