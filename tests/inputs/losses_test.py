"""Tests of the loss per example: the same as Keras's own."""

import functools

import keras
import numpy as np
import pytest
from keras import layers

from keras_shapley_prune.inputs.losses import resolve_loss

NUM_EXAMPLES = 6
GENERATOR = np.random.default_rng(0)


def _probabilities(*shape):
    values = GENERATOR.uniform(0.1, 1, size=(NUM_EXAMPLES, *shape))
    return (values / values.sum(-1, keepdims=True)).astype("float32")


def _numbers(*shape):
    return GENERATOR.normal(size=(NUM_EXAMPLES, *shape)).astype("float32")


def _classes(num_classes, *shape):
    return GENERATOR.integers(0, num_classes, (NUM_EXAMPLES, *shape))


def identity(shapes, **compile_arguments):
    """A model that returns its inputs: so its predictions are the data."""
    inputs = [keras.Input(s, name=f"in{i}") for i, s in enumerate(shapes)]
    outputs = [layers.Identity(name=f"out{i}")(x) for i, x in enumerate(inputs)]
    if len(shapes) == 1:
        inputs, outputs = inputs[0], outputs[0]
    model = keras.Model(inputs, outputs)
    model.compile(optimizer="sgd", run_eagerly=True, **compile_arguments)
    return model


def _reported(model, predictions, labels, weights=None):
    """Returns the loss that Keras reports for one batch."""
    if weights is not None:
        weights = keras.tree.map_structure(np.asarray, weights)
    values = model.test_on_batch(predictions, labels, weights, return_dict=True)
    return values["loss"]


def per_example(labels, predictions):
    """A loss function of the user's: one value an example."""
    return keras.ops.mean(keras.ops.abs(labels - predictions) ** 1.5, axis=-1)


def scalar(labels, predictions):
    """A loss function of the user's that averages over the batch itself."""
    return keras.ops.mean(keras.ops.square(labels - predictions))


class OwnLoss(keras.losses.Loss):
    """A loss class of the user's, not registered with Keras."""

    def __init__(self, power):
        super().__init__(name="own")
        self.power = power

    def call(self, labels, predictions):
        errors = keras.ops.abs(labels - predictions) ** self.power
        return keras.ops.mean(errors, axis=-1)


class OwnScalarLoss(keras.losses.Loss):
    """A loss class of the user's that averages over the batch itself."""

    def call(self, labels, predictions):
        return keras.ops.mean(keras.ops.abs(labels - predictions))


CASES = {
    "mse": ("mse", _numbers(3), _numbers(3)),
    "mean_absolute_error": ("mean_absolute_error", _numbers(3), _numbers(3)),
    "one number, labels without an axis": ("mae", _numbers(), _numbers(1)),
    "sparse": ("sparse_categorical_crossentropy", _classes(4), _probabilities(4)),
    "sparse, labels in a column": (
        "sparse_categorical_crossentropy",
        _classes(4, 1),
        _probabilities(4),
    ),
    "sparse from logits": (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        _classes(4),
        _numbers(4),
    ),
    "one-hot, smoothed": (
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        np.eye(4, dtype="int64")[_classes(4)],
        _probabilities(4),
    ),
    "binary from logits": (
        keras.losses.BinaryCrossentropy(from_logits=True),
        _classes(2),
        _numbers(1),
    ),
    "binary of several": ("binary_crossentropy", _classes(2, 3), _probabilities(3)),
    "huber": (keras.losses.Huber(delta=0.5), _numbers(3), _numbers(3)),
    "kl": ("kl_divergence", _probabilities(4), _probabilities(4)),
    "cosine": (keras.losses.CosineSimilarity(), _numbers(4), _numbers(4)),
    "hinge": ("hinge", _classes(2, 3), _numbers(3)),
    "segmentation": (
        "sparse_categorical_crossentropy",
        _classes(3, 5, 5),
        _probabilities(5, 5, 3),
    ),
    "image": ("mse", _numbers(5, 5, 2), _numbers(5, 5, 2)),
    "function": (per_example, _numbers(3), _numbers(3)),
    "lambda": (lambda y, p: per_example(y, p), _numbers(3), _numbers(3)),
    "scalar function": (scalar, _numbers(3), _numbers(3)),
    "partial function": (
        functools.partial(keras.losses.huber, delta=0.3),
        _numbers(3),
        _numbers(3),
    ),
    "loss class": (OwnLoss(1.2), _numbers(3), _numbers(3)),
    "scalar loss class": (OwnScalarLoss(), _numbers(3), _numbers(3)),
    "a list of one": (["mse"], _numbers(3), _numbers(3)),
    "a dict of one": ({"out0": "mse"}, _numbers(3), _numbers(3)),
}


@pytest.mark.sweep(14)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_the_mean_is_what_evaluate_reports(case, weighted):
    loss, labels, predictions = CASES[case]
    if weighted and case in ("scalar function", "scalar loss class"):
        pytest.skip("Keras weighs the mean of such a loss, not its examples")
    if weighted and case in ("segmentation", "image"):
        pytest.skip("Keras wants a weight a pixel there")
    model = identity([predictions.shape[1:]], loss=loss)
    weights = np.linspace(0, 2, NUM_EXAMPLES) if weighted else None
    expected = _reported(model, predictions, labels, weights)
    losses = resolve_loss(model)(labels, [predictions], weights)
    assert losses.shape == (NUM_EXAMPLES,)
    assert losses.dtype == "float32"
    assert np.mean(losses) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.sweep(8)
@pytest.mark.parametrize("case", CASES)
def test_each_example_has_its_own_loss(case):
    loss, labels, predictions = CASES[case]
    model = identity([predictions.shape[1:]], loss=loss)
    losses = resolve_loss(model)(labels, [predictions])
    expected = _reported(model, predictions[:1], labels[:1])
    np.testing.assert_allclose(losses[:1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "make", [keras.losses.MeanSquaredError, keras.losses.LogCosh, keras.losses.Poisson]
)
def test_the_values_are_kerass_without_a_reduction(make):
    labels, predictions = np.abs(_numbers(3)), np.abs(_numbers(3))
    model = identity([(3,)], loss=make())
    expected = make(reduction="none")(labels, predictions)
    losses = resolve_loss(model)(labels, [predictions])
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(), (5,), (5, 5)])
def test_weights_of_pixels(shape):
    labels, predictions = _classes(3, 5, 5), _probabilities(5, 5, 3)
    weights = GENERATOR.uniform(size=(NUM_EXAMPLES, *shape)).astype("float32")
    model = identity([(5, 5, 3)], loss="sparse_categorical_crossentropy")
    each = -np.log(np.take_along_axis(predictions, labels[..., None], -1))[..., 0]
    aligned = weights.reshape(NUM_EXAMPLES, *shape, *(1,) * (2 - len(shape)))
    losses = resolve_loss(model)(labels, [predictions], weights)
    np.testing.assert_allclose(losses, (each * aligned).mean((1, 2)), rtol=1e-5)
    if len(shape) == 2:
        expected = _reported(model, predictions, labels, weights)
        assert np.mean(losses) == pytest.approx(expected, rel=1e-5)


def test_weights_in_a_column():
    labels, predictions = _numbers(3), _numbers(3)
    weights = GENERATOR.uniform(size=(NUM_EXAMPLES, 1)).astype("float32")
    loss = resolve_loss(identity([(3,)], loss="mse"))
    np.testing.assert_allclose(
        loss(labels, [predictions], weights),
        loss(labels, [predictions], weights[:, 0]),
        rtol=1e-6,
    )


LABELS = [_classes(4), _numbers(2)]
PREDICTIONS = [_probabilities(4), _numbers(2)]
BOTH = ["sparse_categorical_crossentropy", "mae"]


@pytest.mark.parametrize(
    ("arguments", "labels", "predictions"),
    [
        ({"loss": BOTH}, LABELS, PREDICTIONS),
        ({"loss": BOTH, "loss_weights": [0.3, 2.0]}, LABELS, PREDICTIONS),
        (
            {"loss": dict(zip(("out0", "out1"), BOTH, strict=True))},
            LABELS,
            PREDICTIONS,
        ),
        (
            {
                "loss": {"out1": "mse", "out0": BOTH[0]},
                "loss_weights": {"out0": 0.5, "out1": 3.0},
            },
            {"out0": LABELS[0], "out1": LABELS[1]},
            PREDICTIONS,
        ),
        ({"loss": "mse"}, [_numbers(4), _numbers(2)], PREDICTIONS),
        ({"loss": [None, "mse"]}, LABELS, PREDICTIONS),
        ({"loss": [BOTH[0], None]}, LABELS, PREDICTIONS),
    ],
)
def test_several_outputs(arguments, labels, predictions):
    model = identity([p.shape[1:] for p in predictions], **arguments)
    expected = _reported(model, predictions, labels)
    losses = resolve_loss(model)(labels, predictions)
    assert np.mean(losses) == pytest.approx(expected, rel=1e-5)


def test_several_outputs_with_a_weight_each():
    model = identity([(4,), (2,)], loss=BOTH, loss_weights=[0.3, 2.0])
    weights = [np.linspace(0, 1, 6), np.linspace(2, 0, 6)]
    expected = _reported(model, PREDICTIONS, LABELS, weights)
    loss = resolve_loss(model)
    losses = loss(LABELS, PREDICTIONS, weights)
    assert np.mean(losses) == pytest.approx(expected, rel=1e-5)
    by_name = {"out1": weights[1], "out0": weights[0]}
    labels = {"out0": LABELS[0], "out1": LABELS[1]}
    np.testing.assert_array_equal(loss(labels, PREDICTIONS, by_name), losses)


def test_outputs_in_a_dict_are_named_by_its_keys():
    inputs = keras.Input((3,), name="in")
    outputs = {
        "u": layers.Identity(name="first")(inputs),
        "v": layers.Identity(name="second")(2 * inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"u": "mse", "v": "mae"}, loss_weights={"u": 0.5, "v": 2.0})
    x = _numbers(3)
    labels = {"u": _numbers(3), "v": _numbers(3)}
    expected = _reported(model, x, labels)
    losses = resolve_loss(model)(labels, [x, 2 * x])
    assert np.mean(losses) == pytest.approx(expected, rel=1e-5)


def test_the_argument_goes_before_the_compiled_loss():
    model = identity([(3,)], loss="mse")
    labels, predictions = _numbers(3), _numbers(3)
    losses = resolve_loss(model, "mae")(labels, [predictions])
    expected = np.abs(labels - predictions).mean(-1)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_half_precision_predictions_give_single_precision_losses():
    model = identity([(3,)], loss="mse")
    labels, predictions = _numbers(3), keras.ops.cast(_numbers(3), "bfloat16")
    losses = resolve_loss(model)(labels, [predictions])
    single = keras.ops.convert_to_numpy(keras.ops.cast(predictions, "float32"))
    np.testing.assert_allclose(losses, ((labels - single) ** 2).mean(-1), rtol=1e-5)


def test_no_loss_is_refused():
    model = identity([(3,)])
    with pytest.raises(ValueError, match=r"a loss by itself.*compiled without a loss"):
        resolve_loss(model)
    plain = keras.Model(model.inputs, model.outputs, name="plain")
    with pytest.raises(ValueError, match=r"a loss by itself.*'plain'.*not compiled"):
        resolve_loss(plain)


def test_losses_that_do_not_fit_the_outputs_are_refused():
    model = identity([(3,)])
    with pytest.raises(ValueError, match=r"`loss`.*\['out0'\].*2 entries"):
        resolve_loss(model, ["mse", "mse"])
    with pytest.raises(ValueError, match=r"`loss`.*\['out0'\].*\['other'\]"):
        resolve_loss(model, {"other": "mse"})
    with pytest.raises(ValueError, match="mean_sqared"):
        resolve_loss(model, "mean_sqared")


def test_labels_that_do_not_fit_the_outputs_are_refused():
    loss = resolve_loss(identity([(3,), (2,)], loss="mse"))
    with pytest.raises(ValueError, match=r"`y`.*\['out0', 'out1'\].*1 entries"):
        loss(_numbers(3), [_numbers(3), _numbers(2)])
