"""Tests of whole blocks that are removed: masked and pruned networks are equal."""

import block_models
import keras
import models
import numpy as np
import pytest
import tensorflow as tf

from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.optimizer_slots import carry_optimizer
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.deploy.litert import export_litert
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.trace.tracer import trace_channels

SEEDS = (0, 1, 2, None)  # None: all blocks are removed


def _cut(model, seed, granularity="both"):
    channel_map = trace_channels(model, granularity)
    number = seed or 0
    keep = block_models.random_blocks(channel_map, number, all_blocks=seed is None)
    return channel_map, keep, remove_channels(model, keep, channel_map)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("builder", block_models.BUILDERS)
def test_masked_equals_pruned(builder, seed, tmp_path):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    before = models.snapshot(model, inputs)
    channel_map, keep, pruned = _cut(model, seed)
    verify_removal(model, pruned, keep, inputs, channel_map)
    expected = models.outputs_of(mask_channels(model, keep, channel_map), inputs)
    received = models.outputs_of(pruned, inputs)
    assert models.relative_difference(received, expected) < 1e-4
    assert models.relative_difference(received, models.outputs_of(model, inputs)) > 0.01
    assert models.snapshot(model, inputs) == before
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    assert (
        models.relative_difference(models.outputs_of(loaded, inputs), received) < 1e-6
    )


@pytest.mark.sweep(2)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("builder", block_models.BUILDERS)
def test_costs_are_those_of_the_pruned_network(builder, seed):
    model = models.build(builder)
    channel_map, keep, pruned = _cut(model, seed)
    costs = {of: CostModel(channel_map, of).count(keep) for of in ("params", "flops")}
    assert costs == {"params": pruned.count_params(), "flops": count_flops(pruned)}
    size = sum(4 * int(np.prod(weight.shape)) for weight in pruned.weights)
    assert CostModel(channel_map, "bytes").count(keep) == size


NUMBERS = [0, 1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 60))]


@pytest.mark.parametrize("number", NUMBERS)
def test_random_networks(number):
    model = block_models.random_network(number)
    inputs = models.inputs_of(model)
    for seed in (0, 1, None):
        channel_map, keep, pruned = _cut(model, seed)
        verify_removal(model, pruned, keep, inputs, channel_map)
        assert CostModel(channel_map, "params").count(keep) == pruned.count_params()
        assert CostModel(channel_map, "flops").count(keep) == count_flops(pruned)


def test_layers_of_a_removed_block_are_gone_and_others_keep_their_names():
    model = models.build(block_models.chain_of_blocks)
    pruned = remove_channels(model, remove={"blocks": [1]})
    gone = {layer.name for layer in model.layers} - {x.name for x in pruned.layers}
    assert {"b1", "b1_norm", "b2", "b2_norm", "b_add"} <= gone
    assert "b_shortcut" not in gone
    assert not any(name.startswith(("a", "c")) for name in gone)
    by_name = remove_channels(model, remove={"b_add": [0]})
    assert [x.name for x in by_name.layers] == [x.name for x in pruned.layers]


def test_blocks_alone_keep_all_filters():
    model = models.build(block_models.chain_of_blocks)
    channel_map = trace_channels(model, granularity="block")
    (group,) = channel_map.groups
    assert group.kind == group.name == "blocks"
    assert group.producers == ("a_add", "b_add", "c_add")
    locked = channel_map.lock_reasons()
    assert locked["stem"] == "granularity='block' removes whole blocks only"


def test_what_is_in_a_removed_block_may_be_removed_whole():
    model = models.build(block_models.chain_of_blocks)
    channel_map = trace_channels(model, granularity="both")
    keep = np.ones(channel_map.num_units, bool)
    (inner,) = [g for g in channel_map.groups if g.name == "a1"]
    keep[inner.units] = False
    with pytest.raises(ValueError, match=r"keep a unit of every group.*'a1'"):
        channel_map.check_keep(keep)
    keep[channel_map.blocks[0].unit] = False
    pruned = remove_channels(model, keep, channel_map)
    verify_removal(model, pruned, keep, models.inputs_of(model), channel_map)


def test_outputs_keep_their_names():
    model = models.build(block_models.blocks_in_blocks)
    pruned = remove_channels(model, remove={"out": [0]})
    assert pruned.output_names == model.output_names
    pruned.compile("sgd", loss={"logits": "mse", "out": "mse"})
    x = models.inputs_of(model)
    y = {"logits": np.zeros((4, 3)), "out": np.zeros((4, 8, 8, 6))}
    pruned.fit(x, y, verbose=0)


@pytest.mark.parametrize("builder", [block_models.chain_of_blocks])
def test_it_trains_and_is_exported(builder, tmp_path):
    model = models.build(builder)
    inputs = models.inputs_of(model, 8)
    _, _, pruned = _cut(model, 1)
    received = models.outputs_of(pruned, inputs)
    pruned.export(tmp_path / "serving", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "serving"))
    np.testing.assert_allclose(served.serve(inputs), received[0], atol=1e-5)
    pruned.compile("adam", "mse")
    before = pruned.evaluate(inputs, np.zeros((8, 4)), verbose=0)
    pruned.fit(inputs, np.zeros((8, 4)), epochs=3, verbose=0)
    assert pruned.evaluate(inputs, np.zeros((8, 4)), verbose=0) < before


@pytest.mark.slow
def test_slots_of_the_optimizer_go_with_a_block():
    model = models.fresh(block_models.chain_of_blocks)
    model.compile("adam", "mse")
    x = models.inputs_of(model, 8)
    model.fit(x, np.ones((8, 4)), verbose=0)
    channel_map, keep, pruned = _cut(model, 0)
    pruned.compile("adam", "mse")
    carry_optimizer(model, pruned, keep, channel_map)
    assert int(pruned.optimizer.iterations) == int(model.optimizer.iterations) == 1
    slots = {v.path.partition("/")[2]: v for v in model.optimizer.variables}
    stem = [v for v in pruned.optimizer.variables if "stem_kernel" in v.path]
    assert len(stem) == 2
    for ours in stem:
        theirs = keras.ops.convert_to_numpy(slots[ours.path.partition("/")[2]])
        kept = keep[channel_map.ids[channel_map.graph.calls[0].outputs[0]]]
        np.testing.assert_array_equal(ours, theirs[..., kept])


def _run_litert(model, inputs, path):
    """Returns what a network of one output returns as a LiteRT file."""
    interpreter = pytest.importorskip(
        "ai_edge_litert.interpreter", reason='needs pip install ".[litert]"'
    )
    export_litert(model, path)
    runner = interpreter.Interpreter(str(path)).get_signature_runner()
    (name,) = runner.get_input_details()
    (found,) = runner(**{name: inputs}).values()
    return found


def test_litert(tmp_path):
    model = models.build(block_models.chain_of_blocks)
    images = models.inputs_of(model, 1)
    _, _, pruned = _cut(model, 2)
    found = _run_litert(pruned, images, tmp_path / "pruned.tflite")
    (expected,) = models.outputs_of(pruned, images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@keras.saving.register_keras_serializable()
class Watching(keras.Model):
    """A model that holds on to one of its layers, and trains its own way."""

    def train_step(self, data):
        return super().train_step(data)


def test_a_class_that_holds_on_to_a_layer():
    plain = models.build(block_models.chain_of_blocks)
    model = Watching(plain.inputs, plain.outputs, name="watching")
    assert type(remove_channels(model, remove={"a_add": [0]})) is Watching
    model.watched = model.get_layer("a1")
    assert type(remove_channels(model, remove={"b_add": [0]})) is Watching
    with pytest.warns(UserWarning, match="attribute 'watched'"):
        pruned = remove_channels(model, remove={"a_add": [0]})
    assert not isinstance(pruned, Watching)


APPLICATIONS = {
    "ResNet50": (48, 16),
    "MobileNetV2": (32, 10),
    "EfficientNetB0": (32, 9),
    "ConvNeXtTiny": (32, 18),
    "ViT": (None, 4),
}


def _build_application(name):
    """Returns a network of keras.applications, or the ViT, with random weights."""
    if name == "ViT":
        return models.build(block_models.vision_transformer)
    shape = (APPLICATIONS[name][0],) * 2 + (3,)
    build = getattr(keras.applications, name)
    model = build(
        input_shape=shape, weights=None, classes=5, classifier_activation=None
    )
    models.randomize(model)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_real_networks(name, tmp_path):
    model, number = _build_application(name), APPLICATIONS[name][1]
    channel_map = trace_channels(model, granularity="both")
    assert len(channel_map.blocks) == number
    assert not {block.unit for block in channel_map.blocks} & channel_map.locks.keys()
    inputs = models.inputs_of(model, 2)
    for seed in (None, 0, 1):
        _, keep, pruned = _cut(model, seed)
        verify_removal(model, pruned, keep, inputs, channel_map)
    pruned.save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    (received,) = models.outputs_of(pruned, inputs)
    assert (
        models.relative_difference(models.outputs_of(loaded, inputs), [received]) < 1e-5
    )
    pruned.export(tmp_path / "serving", verbose=False)
    serving = tf.saved_model.load(str(tmp_path / "serving"))
    served = serving.serve(inputs).numpy()
    assert models.relative_difference([served], [received]) < 1e-5
    lite = _run_litert(pruned, inputs[:1], tmp_path / "pruned.tflite")
    assert models.relative_difference([lite], [received[:1]]) < 1e-3
    pruned.compile(keras.optimizers.SGD(1e-4, clipnorm=1.0), "mse")
    before = pruned.get_weights()
    pruned.fit(inputs, received + 1, epochs=1, verbose=0)
    after = pruned.get_weights()
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
    assert all(np.isfinite(weight).all() for weight in after)
