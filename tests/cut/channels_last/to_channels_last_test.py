"""Tests of models whose channels are put on the last axis."""

import channels_first_models
import keras
import models
import numpy as np
import pytest
from channels_first_models import FIRST, generator, mixed, residual, series, u_net, vgg
from keras import layers, ops

from keras_shapley_prune import (
    BaselineRanker,
    apply_plan,
    compare,
    plan_pruning,
    prune,
    prune_until,
    remove_channels,
)
from keras_shapley_prune.cut.channels_last.converter import Converter
from keras_shapley_prune.cut.channels_last.to_channels_last import (
    is_channels_first,
    to_channels_last,
)
from keras_shapley_prune.layer_types.registry import find_data_format
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

BUILDERS = channels_first_models.BUILDERS
OUTPUTS = {
    "u_net": {"mask"},
    # It is the transposition behind it that has the name of the output.
    "mixed": {"heat_channels_last", "classes"},
    "siamese": {"same"},
    "generator": {"image"},
    # One of its outputs is what a layer in the middle returns.
    "two_flattened": {"classes", "one"},
}
by_builder = pytest.mark.parametrize("builder", BUILDERS, ids=lambda b: b.__name__)


def names_of(model):
    """Returns the names of the layers with weights, also in nested models."""
    calls = record_graph(model).calls
    return {call.name for call in calls if getattr(call.operation, "weights", ())}


@pytest.mark.sweep(1)
@by_builder
def test_masked_equals_pruned(builder):
    """That the converted model returns the same, it has checked itself."""
    model = models.fresh(builder)
    converted = to_channels_last(model)
    renamed = {name.removesuffix("_channels_last") for name in names_of(converted)}
    assert renamed == names_of(model)
    formats = [find_data_format(c.operation) for c in record_graph(converted).calls]
    assert "channels_first" not in formats
    locked = trace_channels(converted).lock_reasons()
    assert set(locked) == OUTPUTS.get(model.name, {"classes"})
    models.check_masks(converted)


@pytest.mark.sweep(1)
@by_builder
def test_the_original_is_as_before_and_shares_nothing(builder):
    model = models.fresh(builder)
    before = [weight.numpy() for weight in model.variables]
    names = [layer.name for layer in model.layers]
    converted = to_channels_last(model)
    for weight in converted.variables:
        weight.assign(ops.zeros_like(weight))
    for weight, value in zip(model.variables, before, strict=True):
        assert np.array_equal(weight, value)
    assert [layer.name for layer in model.layers] == names


@pytest.mark.slow
@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.filterwarnings("ignore:Expected calibration data")
@pytest.mark.parametrize("builder", [residual, u_net, vgg, series])
def test_prune_converts_on_its_own(builder, tmp_path, capsys):
    model = models.fresh(builder)
    inputs = models.images(model, 24)
    pruned = prune(model, inputs, 0.5, verbose=2)
    assert "are made anew with 'channels_last'" in capsys.readouterr().out
    assert pruned.input_shape == model.input_shape
    assert pruned.output_shape == model.output_shape
    assert pruned.count_params() < 0.7 * model.count_params()
    assert isinstance(pruned, keras.Sequential) == isinstance(model, keras.Sequential)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.saving.load_model(tmp_path / "pruned.keras")
    outputs = loaded.predict(inputs, verbose=0)
    assert np.allclose(outputs, pruned.predict(inputs, verbose=0), atol=1e-5)
    pruned.compile("sgd", "mse")
    pruned.fit(inputs, outputs, verbose=0)
    comparison = compare(model, pruned, verbose=0)
    assert comparison.units.keys() == trace_channels(pruned).count_produced().keys()


def test_prune_takes_the_names_of_the_original():
    model = models.fresh(residual)
    pruned = prune(
        model,
        models.images(model, 12),
        {"in8": 0.25, "in12": 0.5},
        ignore="stem",
        ranker="l1_norm",
        repair=None,
        verbose=0,
    )
    units = compare(model, pruned, verbose=0).units
    assert units["in8"] == (8, 6)
    assert units["in12"] == (12, 6)
    assert units["stem"] == (8, 8)


@pytest.mark.slow
@pytest.mark.eager
def test_prune_until_measures_what_it_can_run(few_trials):
    model = models.fresh(series)
    model.compile("sgd", "mse")
    inputs = models.images(model, 16)
    labels = to_channels_last(model).predict(inputs, verbose=0)
    data = inputs, labels
    pruned = prune_until(model, inputs, 100.0, "loss", validation_data=data, verbose=0)
    assert pruned.count_params() < model.count_params()


def test_without_layers_in_channels_first_nothing_is_converted():
    model = models.build(models.residual)
    assert not is_channels_first(model)
    assert "transposed" not in " ".join(
        layer.name for layer in prune(model, models.images(model), verbose=0).layers
    )


def test_steps_before_pruning_name_the_way():
    model = models.fresh(residual)
    reasons = trace_channels(model).lock_reasons()
    assert "keras_shapley_prune.to_channels_last(model)" in reasons["stem"]
    with pytest.raises(ValueError, match="to_channels_last"):
        trace_channels(model).select_groups()


def test_transpositions_that_undo_one_another_are_dropped():
    converted = to_channels_last(models.fresh(mixed))
    kinds = {layer.name: type(layer).__name__ for layer in converted.layers}
    # Of the model's own two `Permute`s none is needed, but one for an output.
    assert [name for name, kind in kinds.items() if kind == "Permute"] == ["heat"]


@pytest.mark.eager
def test_outputs_keep_the_names_that_losses_go_by():
    model = models.fresh(mixed)
    model.compile("sgd", {"heat": "mse", "classes": "mse"})
    converted = to_channels_last(model)
    assert converted.output_names == model.output_names
    inputs = models.inputs_of(model)
    labels = converted.predict(inputs, verbose=0)
    assert (
        converted.evaluate(inputs, labels, verbose=0, return_dict=True)["loss"] < 1e-6
    )


def test_an_operation_that_is_not_known_reads_what_it_did():
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(4, 3, name="one", **FIRST)(inputs)
    x = layers.Lambda(lambda t: t - ops.mean(t, axis=-1, keepdims=True))(x)
    x = layers.Activation(lambda t: ops.cumsum(t, axis=-1))(x)
    x = layers.Conv2D(4, 3, name="two", **FIRST)(x)
    x = layers.Dense(5, name="along_the_width")(x)
    model = keras.Model(inputs, layers.Conv2D(4, 3, name="three", **FIRST)(x))
    converted = to_channels_last(models.randomize(model))
    channel_map = trace_channels(converted)
    assert {"one", "along_the_width"} <= set(channel_map.lock_reasons())
    # A dense layer along the width keeps the channels apart, which are on axis 1 there.
    assert [group.name for group in channel_map.groups] == ["two"]
    models.check_masks(converted, tolerance=1e-4)


def test_a_softmax_along_the_width_stays_where_it_is():
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(4, 3, name="one", **FIRST)(inputs)
    x = layers.Conv2D(4, 3, activation="softmax", name="two", **FIRST)(x)
    converted = Converter(keras.Model(inputs, x)).convert()
    formats = {layer.name: find_data_format(layer) for layer in converted.layers}
    assert formats["one"] == "channels_last"
    assert formats["two"] == "channels_first"


def test_a_function_of_each_number_is_found_by_trial():
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(4, 3, activation=lambda t: t + ops.sin(t), **FIRST)(inputs)
    x = layers.Lambda(lambda t: ops.tanh(t) * t)(x)
    model = keras.Model(inputs, layers.GlobalMaxPooling2D(**FIRST)(x))
    converted = to_channels_last(model)
    shapes = [call.outputs[0].shape for call in record_graph(converted).calls]
    assert shapes == [(None, 8, 8, 3), (None, 6, 6, 4), (None, 6, 6, 4), (None, 4)]


def test_neurons_that_become_an_image_are_reordered():
    converted = to_channels_last(models.fresh(generator))
    kinds = [type(layer).__name__ for layer in converted.layers]
    assert kinds.count("Permute") == 1  # that of the output
    assert converted.get_layer("reshape").output.shape == (None, 4, 3, 6)


def test_shuffled_channels():
    inputs = keras.Input((3, 8, 6))
    x = layers.Conv2D(8, 3, padding="same", **FIRST)(inputs)
    x = ops.reshape(x, (-1, 2, 4, 8, 6))
    x = ops.reshape(ops.transpose(x, (0, 2, 1, 3, 4)), (-1, 8, 8, 6))
    x = layers.Conv2D(8, 3, groups=2, **FIRST)(x)
    model = keras.Model(inputs, layers.GlobalAveragePooling2D(**FIRST)(x))
    converted = to_channels_last(models.randomize(model))
    formats = [find_data_format(c.operation) for c in record_graph(converted).calls]
    assert "channels_first" not in formats


@pytest.mark.eager
def test_flags_states_and_the_optimizer_are_taken_over():
    model = models.fresh(vgg)
    model.get_layer("one").trainable = False
    converted = to_channels_last(model)
    assert not converted.get_layer("one").trainable
    converted.compile("adam", "mse")
    inputs, labels = models.images(model, 8), np.ones((8, 4), "float32")
    converted.fit(inputs, labels, verbose=0)
    # On a CPU the original cannot be trained: its optimizer is given a state by hand.
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    for slot in model.optimizer.variables[2:]:
        slot.assign(np.random.default_rng(0).uniform(size=slot.shape))
    model.optimizer.iterations.assign(7)
    pruned = prune(
        model,
        inputs,
        0.0,
        ranker="l1_norm",
        repair=None,
        keep_optimizer=True,
        verbose=0,
    )
    assert int(pruned.optimizer.iterations) == 7
    ours, theirs = (
        sorted(float(np.sum(v)) for v in m.optimizer.variables) for m in (model, pruned)
    )
    assert np.allclose(ours, theirs, rtol=1e-5)


def test_a_class_with_its_own_training():
    class Trained(keras.Model):
        def train_step(self, data):
            return {"loss": 0.0}

    plain = models.fresh(residual)
    model = Trained(plain.input, plain.output)
    assert type(to_channels_last(model)) is Trained


@pytest.mark.sweep(1)
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(dtype):
    keras.config.set_dtype_policy(dtype)
    try:
        model = series()
    finally:
        keras.config.set_dtype_policy("float32")
    converted = to_channels_last(model)
    assert converted.get_layer("one").dtype_policy.name == dtype
    dtypes = {call.inputs[0].dtype for call in record_graph(converted).calls[2:]}
    assert dtypes == {dtype.removeprefix("mixed_")}


class Plain(layers.Conv2D):
    "Computes what its parent does."


class Stubborn(layers.Conv2D):
    "Takes no data format."

    def __init__(self, filters, name=None):
        super().__init__(filters, 3, name=name, **FIRST)

    def get_config(self):
        return {"filters": self.filters, "name": self.name}


@pytest.mark.parametrize(
    ("layer", "data_format"),
    [
        (Plain(4, 3, name="own", **FIRST), "channels_last"),
        (Stubborn(4, name="own"), "channels_first"),
    ],
)
def test_layers_of_classes_of_the_users(layer, data_format):
    inputs = keras.Input((3, 8, 6))
    x = layers.Conv2D(4, 3, padding="same", **FIRST)(inputs)
    model = keras.Model(inputs, layers.GlobalMaxPooling2D(**FIRST)(layer(x)))
    converted = Converter(model).convert()
    assert converted.get_layer("own").data_format == data_format
    assert to_channels_last(model).get_layer("own").data_format == data_format


@pytest.mark.slow
def test_preprocessing_layers():
    inputs = keras.Input((3, 16, 12))
    x = layers.Rescaling(1 / 255.0, offset=-0.5)(inputs)
    normalization = layers.Normalization(axis=1, mean=[1.0, 2, 3], variance=[1.0, 2, 3])
    try:
        x = normalization(x)
    except Exception:  # Keras 3.12 lays statistics that are given along the last axis
        pytest.skip("this version of Keras cannot normalize axis 1 by given numbers")
    x = layers.RandomFlip(**FIRST)(layers.Resizing(8, 8, **FIRST)(x))
    x = layers.ConvLSTM2D(4, 3, **FIRST)(x[:, None])
    model = models.randomize(keras.Model(inputs, layers.Flatten(**FIRST)(x)))
    formats = [
        find_data_format(c.operation)
        for c in record_graph(to_channels_last(model)).calls
    ]
    assert "channels_first" not in formats


def test_random_numbers_at_inference():
    class Sample(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.seed = keras.random.SeedGenerator(3)

        def call(self, inputs):
            return inputs + keras.random.normal(ops.shape(inputs), seed=self.seed)

    inputs = keras.Input((3, 8, 6))
    x = layers.GlobalMaxPooling2D(**FIRST)(layers.Conv2D(4, 3, **FIRST)(inputs))
    assert to_channels_last(keras.Model(inputs, Sample()(layers.Dense(2)(x))))


@pytest.mark.slow
def test_what_was_planned_on_the_converted_model():
    model = models.fresh(residual)
    converted = to_channels_last(model)
    ranking = BaselineRanker("l1_norm").rank(converted)
    plan = plan_pruning(converted, ranking, 0.5)
    ours, theirs = (
        apply_plan(m, plan, repair=None, verify=False) for m in (model, converted)
    )
    inputs = models.images(model)
    assert np.allclose(ours(inputs), theirs(inputs), atol=1e-6)


def test_a_name_in_the_original_is_refused_with_the_way():
    with pytest.raises(ValueError, match="to_channels_last"):
        remove_channels(models.fresh(residual), remove={"stem": [0, 1]})


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("width", [6, 4, None])
def test_a_bias_that_keras_adds_along_the_width(width):
    """Where the width is that of the channels: as the model was trained."""
    inputs = keras.Input((3, 8, width))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="one", **FIRST)(
        inputs
    )
    x = layers.DepthwiseConv2D(3, padding="same", name="two", **FIRST)(x)
    x = layers.Conv2DTranspose(
        4, 3, padding="same", activation=lambda t: t * ops.tanh(t), name="up", **FIRST
    )(x)
    x = layers.Conv2D(5, 1, activation="gelu", name="last", **FIRST)(x)
    x = layers.GlobalAveragePooling2D(**FIRST)(x)
    model = models.randomize(keras.Model(inputs, layers.Dense(2, name="classes")(x)))
    converted = to_channels_last(model)
    assert set(trace_channels(converted).lock_reasons()) == {"classes"}
    # The bias of the layer is free for what repair adds.
    biases = [np.abs(converted.get_layer(n).bias).max() for n in ("one", "two", "up")]
    assert [bias == 0 for bias in biases] == [width == 6, width == 6, width == 4]
    inputs = np.random.default_rng(0).normal(
        size=(3, 3, 8, 6 if width is None else width)
    )
    models.check_masks(converted, inputs=inputs.astype("float32"))
    prune(model, inputs.astype("float32"), ranker="l1_norm", verbose=0)


def test_new_operations_have_names_of_their_own():
    keras.utils.clear_session(free_memory=False)
    model = models.randomize(channels_first_models.two_flattened())
    config = model.get_config()
    # As after a start: names begin at their first.
    keras.utils.clear_session(free_memory=False)
    again = keras.Model.from_config(config)
    again.set_weights(model.get_weights())
    keras.utils.clear_session(free_memory=False)
    names = [operation.name for operation in to_channels_last(again).operations]
    assert len(set(names)) == len(names)


def test_a_difference_is_an_error(monkeypatch):
    # A rule that is wrong: each layer would get zeros.
    monkeypatch.setattr(Converter, "copy_weights", lambda self: None)
    with pytest.raises(RuntimeError, match="returns outputs"):
        to_channels_last(models.fresh(residual))


def test_no_model():
    with pytest.raises(ValueError, match="Argument `model` should be"):
        to_channels_last("model")


def test_unknown_sizes():
    inputs = keras.Input((3, None, None))
    x = layers.Conv2D(4, 3, activation="relu", **FIRST)(inputs)
    x = layers.Conv2D(4, 3, name="two", **FIRST)(layers.BatchNormalization(axis=1)(x))
    model = keras.Model(inputs, layers.GlobalMaxPooling2D(**FIRST)(x))
    assert trace_channels(to_channels_last(model)).groups


@pytest.fixture
def first_by_default():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.slow
@pytest.mark.parametrize(
    "application",
    ["MobileNetV3Small", "EfficientNetB0", "InceptionResNetV2"],
)
def test_networks_of_keras(application, first_by_default):
    build = getattr(keras.applications, application)
    model = build(weights=None, input_shape=(3, 75, 75), classes=5)
    converted = to_channels_last(model)
    keras.config.set_image_data_format("channels_last")
    reasons = trace_channels(converted).lock_reasons()
    assert reasons.keys() <= {"predictions", "logits"}
    assert sum(layer.name.endswith("_transposed") for layer in converted.layers) == 1
