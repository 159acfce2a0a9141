import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from bars import check_whole, labels_of
from keras import layers

from keras_shapley_prune import Mimic
from keras_shapley_prune.cut.surgery import cut_out, remove_channels
from keras_shapley_prune.repair.repair_channels import (
    read_batches,
    repair_channels,
    repair_layers,
)
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.tracer import trace_channels

SOME = [models.chain, models.residual, models.nested, models.two_ends]


def halve(builder, num_examples=24, fraction=0.5):
    """Returns `(model, keep, inputs)` with random units to remove."""
    model = models.build(builder)
    keep = models.random_keep(trace_channels(model), fraction)
    return model, keep, models.inputs_of(model, num_examples)


def functional(make, shape=(8, 8, 3)):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    return models.randomize(keras.Model(inputs, make(inputs)))


def errors(model, expected, inputs):
    outputs = models.outputs_of(model, inputs)
    return [np.mean((a - b) ** 2) for a, b in zip(outputs, expected, strict=True)]


def assert_same_weights(model, other, atol=0):
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=atol, err_msg=ours.path)


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    ("builder", "fraction"),
    [*((builder, 0.5) for builder in models.BUILDERS), (models.residual, 0.25)],
)
def test_what_stays_makes_up_for_what_leaves(builder, fraction):
    model, keep, inputs = halve(builder, fraction=fraction)
    repaired = repair_channels(model, keep, inputs)
    pruned = remove_channels(model, keep)
    expected = models.outputs_of(model, inputs)
    after = errors(repaired, expected, inputs)
    for ours, theirs in zip(after, errors(pruned, expected, inputs), strict=True):
        assert ours < theirs
    assert repaired.get_config() == pruned.get_config()
    assert type(repaired) is type(pruned)
    assert [w.shape for w in repaired.weights] == [w.shape for w in pruned.weights]
    # A weight that a layer gives no name is `variable`, `variable_1`, ...
    paths = [
        [w.path.split("variable")[0] for w in m.weights] for m in (repaired, pruned)
    ]
    assert paths[0] == paths[1]
    assert not {id(x) for x in repaired.layers} & {id(x) for x in model.layers}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", SOME)
def test_the_argument_is_not_changed(builder):
    model, keep, inputs = halve(builder, 4)
    before, keep_before = models.snapshot(model, inputs), keep.copy()
    repaired = repair_channels(model, keep, inputs)
    for variable in repaired.variables:
        variable.assign(keras.ops.zeros_like(variable))
    assert models.snapshot(model, inputs) == before
    np.testing.assert_array_equal(keep, keep_before)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("builder", SOME)
def test_keeping_all_changes_nothing(builder):
    model = models.build(builder)
    inputs = models.inputs_of(model)
    keep = np.ones(trace_channels(model).num_units, bool)
    repaired = repair_channels(model, keep, inputs)
    assert_same_weights(repaired, model)
    for ours, theirs in zip(
        models.outputs_of(repaired, inputs),
        models.outputs_of(model, inputs),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_fresh_data_gains_too():
    model, keep, images = halve(models.residual, 48)
    repaired, pruned = (
        repair_channels(model, keep, images),
        remove_channels(model, keep),
    )
    fresh = models.images(model, 48, seed=1)
    expected = models.outputs_of(model, fresh)
    (ours,), (theirs,) = (errors(m, expected, fresh) for m in (repaired, pruned))
    assert ours < 0.5 * theirs


def test_the_first_layers_keep_their_weights():
    model, keep, images = halve(models.chain)
    repaired, pruned = (
        repair_channels(model, keep, images),
        remove_channels(model, keep),
    )
    for name in ("conv1", "bn1"):
        assert_same_weights(repaired.get_layer(name), pruned.get_layer(name))
    for name in ("conv2", "dense1", "dense2"):
        kernels = (m.get_layer(name).kernel.numpy() for m in (repaired, pruned))
        assert not np.allclose(*kernels, atol=1e-3)


def test_twice_is_the_same():
    model, keep, images = halve(models.residual)
    first, second = (repair_channels(model, keep, images) for _ in range(2))
    assert_same_weights(first, second)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("batch_size", [5, 16])
def test_the_size_of_a_batch_does_not_matter(batch_size):
    model, keep, images = halve(models.branches)
    ours = repair_channels(model, keep, images, batch_size=batch_size)
    assert_same_weights(ours, repair_channels(model, keep, images), atol=1e-4)


def test_the_channel_map_can_be_given():
    model, keep, images = halve(models.chain)
    channel_map = trace_channels(model)
    ours = repair_channels(model, keep, images, channel_map=channel_map)
    assert_same_weights(ours, repair_channels(model, keep, images))


def _pairs_without_sense(images):
    return images, np.full(len(images), np.nan)


def _pairs_of_text(images):
    return images, np.array([b"no label"] * len(images))


def _list_of_batches(images):
    return [images[:10], images[10:]]


def _list_of_pairs(images):
    return [(images[:10], None), (images[10:], np.zeros((14, 3)))]


def _generator(images):
    return (images[i : i + 8] for i in (0, 8, 16))


def _tf_data(images):
    return tf.data.Dataset.from_tensor_slices(images).batch(8)


def _tf_data_of_pairs(images):
    labels = np.full(len(images), -1)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)


class _Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.images[8 * index : 8 * index + 8], np.zeros(8)


@pytest.mark.sweep(1)
@pytest.mark.parametrize(
    "wrap",
    [
        _pairs_without_sense,
        _pairs_of_text,
        _list_of_batches,
        _list_of_pairs,
        _generator,
        _tf_data,
        _tf_data_of_pairs,
        _Batches,
    ],
)
def test_data_comes_in_many_forms_and_needs_no_labels(wrap):
    model, keep, images = halve(models.classifier)
    ours = repair_channels(model, keep, wrap(images))
    assert_same_weights(ours, repair_channels(model, keep, images), atol=1e-3)


EMPTY = {
    "array": lambda images: images[:0],
    "list": lambda images: [],
    "tf.data": lambda images: (
        tf.data.Dataset.from_tensor_slices(images).batch(8).take(0)
    ),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_empty_data_is_refused(kind):
    model, keep, images = halve(models.chain)
    with pytest.raises(ValueError, match="at least one example"):
        repair_channels(model, keep, EMPTY[kind](images))


def test_images_of_another_shape_are_refused():
    model, keep, images = halve(models.chain)
    with pytest.raises(ValueError, match=r"Received: shape \(24, 11, 12, 3\)"):
        repair_channels(model, keep, images[:, 1:])


def test_labels_of_another_number_are_refused():
    model, keep, images = halve(models.chain)
    with pytest.raises(ValueError, match="same number of examples"):
        repair_channels(model, keep, (images, np.zeros(3)))


def test_a_group_cannot_leave_as_a_whole():
    model, keep, images = halve(models.chain)
    keep[trace_channels(model).groups[1].units] = False
    with pytest.raises(ValueError, match="all 12 units of 'conv2' removed"):
        repair_channels(model, keep, images)


def test_locked_units_cannot_leave():
    model, keep, images = halve(models.chain)
    keep[next(iter(trace_channels(model).locks))] = False
    with pytest.raises(ValueError, match="should keep locked units"):
        repair_channels(model, keep, images)


def test_keep_has_an_entry_for_each_unit():
    model, keep, images = halve(models.chain)
    with pytest.raises(ValueError, match="one entry for each unit"):
        repair_channels(model, keep[1:], images)


def _flattened(inputs):
    x = layers.Conv2D(6, 3, activation="relu", name="a")(inputs)
    x = layers.Dense(8, activation="relu", name="b")(layers.Flatten()(x))
    return layers.Dense(4, name="last")(x)


def _pooled(inputs):
    x = layers.Conv2D(6, 3, activation="relu", name="a")(inputs)
    x = layers.DepthwiseConv2D(3, name="b")(layers.Conv2D(6, 1, name="c")(x))
    return layers.Dense(4, name="last")(layers.GlobalAveragePooling2D()(x))


FEW = {
    "one example": lambda noise: noise[:1],
    "black images": lambda noise: 0 * noise,
    "dark images": lambda noise: 0 * noise + 0.1,
    "the same image": lambda noise: np.repeat(noise[:1], 8, axis=0),
    "almost one colour": lambda noise: 1 + 1e-3 * noise,
}


@pytest.mark.sweep(2)
@pytest.mark.parametrize("make", [_flattened, _pooled])
@pytest.mark.parametrize("kind", FEW)
def test_data_that_says_little(kind, make):
    model = functional(make)
    keep = models.random_keep(trace_channels(model), 0.5)
    noise = models.images(model, 24)
    images = FEW[kind](noise).astype("float32")
    repaired, pruned = (
        repair_channels(model, keep, images),
        remove_channels(model, keep),
    )
    expected = models.outputs_of(model, images)
    assert errors(repaired, expected, images) <= errors(pruned, expected, images)
    # Weights about which the data says nothing stay what they are.
    for ours, theirs in zip(repaired.weights, pruned.weights, strict=True):
        if "kernel" in ours.name:
            assert np.abs(ours).max() < 10 * np.abs(theirs).max()


KINDS = {
    "conv": lambda dtype: layers.Conv2D(4, 3, dtype=dtype),
    "dense": lambda dtype: layers.Dense(4, dtype=dtype),
    "transposed": lambda dtype: layers.Conv2DTranspose(4, 3, dtype=dtype),
    "separable": lambda dtype: layers.SeparableConv2D(4, 3, dtype=dtype),
}


@pytest.mark.sweep(1)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
def test_other_dtypes(dtype, kind):
    def make(inputs):
        x = layers.Conv2D(8, 3, activation="relu", dtype=dtype)(inputs)
        x = KINDS[kind](dtype)(x)
        return layers.DepthwiseConv2D(3, dtype=dtype)(x)

    model = functional(make)
    keep = models.random_keep(trace_channels(model), 0.5)
    images = models.images(model, 24)
    repaired, pruned = (
        repair_channels(model, keep, images),
        remove_channels(model, keep),
    )
    expected = models.outputs_of(model, images)
    assert errors(repaired, expected, images) < errors(pruned, expected, images)
    assert [w.dtype for w in repaired.weights] == [w.dtype for w in model.weights]


def test_images_of_any_size():
    def make(inputs):
        x = layers.Conv2D(6, 3, activation="relu", name="a")(inputs)
        x = layers.SeparableConv2D(6, 3, activation="relu", name="b")(x)
        x = layers.Conv2D(6, 3, padding="same", strides=2, activation="relu")(x)
        y = layers.Conv2D(6, 3, padding="same")(x)
        x = layers.Conv2DTranspose(5, 3, strides=2, activation="relu")(x + y)
        return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))

    model = functional(make, shape=(None, None, 3))
    keep = models.random_keep(trace_channels(model), 0.5)
    generator = np.random.default_rng(0)
    batches = [
        generator.normal(size=(16, size, size + 1, 3)).astype("float32")
        for size in (8, 11)
    ]
    repaired, pruned = (
        repair_channels(model, keep, batches),
        remove_channels(model, keep),
    )
    for images in batches:
        expected = models.outputs_of(model, images)
        assert errors(repaired, expected, images) < errors(pruned, expected, images)


def test_a_depthwise_layer_with_channels_first_is_no_obstacle():
    def make(inputs):
        x = layers.Conv2D(8, 3, activation="relu", name="a")(inputs)
        x = layers.Conv2D(4, 3, name="b")(x)
        x = layers.Permute((3, 1, 2))(x)
        return layers.DepthwiseConv2D(3, data_format="channels_first", name="c")(x)

    model = functional(make)
    keep = models.random_keep(trace_channels(model), 0.5)
    images = models.images(model, 24)
    repaired, pruned = (
        repair_channels(model, keep, images),
        remove_channels(model, keep),
    )
    expected = models.outputs_of(model, images)
    assert errors(repaired, expected, images) < errors(pruned, expected, images)


def test_a_layer_whose_activation_is_normalized():
    def make(inputs):
        x = layers.Conv2D(12, 3, activation="relu", name="a")(inputs)
        x = layers.Conv2D(5, 3, use_bias=False, activation="softplus", name="b")(x)
        return layers.BatchNormalization()(x)

    model = functional(make)
    keep = models.random_keep(trace_channels(model), 0.5)
    images = models.images(model, 24)
    repaired, pruned = (
        repair_channels(model, keep, images),
        remove_channels(model, keep),
    )
    expected = models.outputs_of(model, images)
    assert errors(repaired, expected, images) < errors(pruned, expected, images)


def test_the_returned_model_can_be_saved_and_trained(tmp_path):
    model = models.classifier()
    x, y = models.labelled_images()
    keep = models.random_keep(trace_channels(model), 0.5)
    repaired = repair_channels(model, keep, x)
    assert not repaired.compiled
    repaired.save(tmp_path / "repaired.keras")
    loaded = keras.models.load_model(tmp_path / "repaired.keras")
    expected = models.outputs_of(repaired, x)
    assert models.relative_difference(models.outputs_of(loaded, x), expected) < 1e-6
    repaired.compile("adam", "sparse_categorical_crossentropy")
    assert np.isfinite(repaired.evaluate(x, y, verbose=0))


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", SOME)
def test_layers_are_cut_and_then_repaired(builder):
    model, keep, inputs = halve(builder)
    channel_map = trace_channels(model)
    batches = read_batches([(inputs,)], channel_map.graph, "least_squares")
    cut = cut_out(model, keep, channel_map)
    repair_layers(cut, batches)
    assert_same_weights(cut.model, repair_channels(model, keep, [(inputs,)]))


def test_without_repair_the_model_is_cut_as_it_is():
    model, keep, _ = halve(models.chain)
    cut = cut_out(model, keep, trace_channels(model))
    repair_layers(cut, [], None)
    assert_same_weights(cut.model, remove_channels(model, keep))


def test_data_is_read_as_far_as_it_is_needed():
    model, _, inputs = halve(models.chain, num_examples=24)
    graph = trace_channels(model).graph

    def sizes(repair, verify):
        batches = read_batches(inputs, graph, repair, verify, batch_size=10)
        return [len(first) for ((first,),) in batches]

    assert sizes("mean", False) == sizes(Mimic(), True) == [10, 10, 4]
    assert sizes(None, True) == [10]
    assert sizes(None, False) == []


# --- progress ----------------------------------------------------------------------


FITTED = (layers.Conv2D, layers.Dense, layers.DepthwiseConv2D)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("builder", [models.residual, models.nested])
@pytest.mark.parametrize(
    ("repair", "kinds"),
    [("least_squares", FITTED), ("batchnorm", layers.BatchNormalization)],
)
def test_a_bar_names_the_layers_that_are_repaired(builder, repair, kinds, capsys):
    model, keep, inputs = halve(builder)
    channel_map = trace_channels(model)
    repair_channels(model, keep, [(inputs,)], repair=repair)
    out = capsys.readouterr().out
    check_whole(out)
    cutting, first, *labels, checking, end = labels_of(out)
    assert (cutting, first, checking, end) == ("cutting", "repairing", "checking", "")
    cut = cut_out(model, keep, channel_map)
    repairer = Repairer(cut, [keras.tree.flatten(inputs)])
    expected = [
        f"repairing {call.name}"
        for call in repairer.channel_map.graph.calls
        if isinstance(call.operation, kinds) and repairer.has_changed(call)
    ]
    assert labels == expected
    assert labels


def test_lines_and_silence(capsys):
    model, keep, inputs = halve(models.chain)
    repair_channels(model, keep, inputs, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["repaired", "checked"]
    repair_channels(model, keep, inputs, verbose=0)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="Argument `verbose`"):
        repair_channels(model, keep, inputs, verbose="loud")


@pytest.mark.eager
def test_training_is_a_step_of_the_bar(capsys):
    model, keep, inputs = halve(models.chain, num_examples=3)  # too few to train on
    repair_channels(model, keep, inputs, repair="mimic")
    out = capsys.readouterr().out
    check_whole(out)
    assert labels_of(out)[-3:] == ["checking", "training", ""]
    repair_channels(model, keep, inputs, repair="mimic", verbose=2)
    assert "trained, " in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.sweep(2)
@pytest.mark.parametrize("repair", ["mean", "batchnorm", "least_squares", "mimic"])
def test_data_that_is_not_finite(repair):
    model, keep, _ = halve(models.normalized)
    inputs = models.images(model, 24)
    inputs[17, 3, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"nan for input .* in example 17 "):
        repair_channels(model, keep, inputs, repair, verbose=0)
    repair_channels(model, keep, inputs, None, verify=False)  # which does not read it


def test_statistics_that_overflow():
    """The variance is finite in double precision, and not in the layer."""

    def make(x):
        for name in ("first", "second"):
            x = layers.Conv2D(8, 3, name=name)(x)
            x = layers.ReLU()(layers.BatchNormalization(name=f"{name}_norm")(x))
        return layers.Dense(2)(layers.GlobalAveragePooling2D()(x))

    model = functional(make)
    keep = models.random_keep(trace_channels(model), 0.5)
    images = models.images(model, 8) * 1e25
    message = "inf in variable 'second_norm/moving_variance' of layer 'second_norm'"
    with pytest.raises(ValueError, match=message):
        repair_channels(model, keep, images, "batchnorm", verbose=0)


@pytest.mark.sweep(2)
@pytest.mark.parametrize("repair", ["mean", "batchnorm", "least_squares"])
def test_weights_that_are_not_finite(repair):
    model = models.fresh(models.chain)
    keep = models.random_keep(trace_channels(model), 0.5)
    kernel = model.get_layer("conv2").kernel
    kernel.assign(kernel * np.nan)
    with pytest.raises(
        ValueError, match=r"nan in variable '.*/kernel' of layer 'conv2'"
    ):
        repair_channels(model, keep, models.images(model, 8), repair, verbose=0)
