"""Tests of models whose class trains or runs them in its own way."""

import keras
import models
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.cut.masking import mask_channels
from keras_shapley_prune.cut.model_classes import find_overrides
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.trace.tracer import trace_channels

FAST = {"ranker": "l1_norm", "verbose": 0}


class OwnStep(keras.Model):
    """As in Keras's guide to `train_step`."""

    def train_step(self, data):
        logs = super().train_step(data)
        return {**logs, "own": 1.0}


class OwnLoss(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.own_metric = keras.metrics.Mean(name="own")
        self.scale = 1.0

    def compute_loss(self, x=None, y=None, y_pred=None, *args, **kwargs):
        loss = keras.ops.mean(keras.ops.square(y - y_pred)) * self.scale
        self.own_metric.update_state(loss)
        return loss

    @property
    def metrics(self):
        return [*super().metrics, self.own_metric]


class OwnTest(keras.Model):
    def __init__(self, inputs, outputs, name=None, weight=1.0, **kwargs):
        super().__init__(inputs, outputs, name=name, **kwargs)
        self.weight = weight

    def test_step(self, data):
        return {"own": self.weight}


class OwnCompile(keras.Model):
    def compile(self, optimizer, second_optimizer, alpha):
        super().compile(optimizer=optimizer)
        self.second_optimizer, self.alpha = second_optimizer, alpha

    def train_step(self, data):
        return {"own": self.alpha}


class WithHelpers(keras.Model):
    """Its constructor makes what is not in the graph."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.augment = keras.Sequential([layers.RandomFlip()])
        self.head = layers.Dense(2)
        self.head.build((None, 3))
        self.temperature = self.add_weight(initializer="ones", name="temperature")
        self.seed = keras.random.SeedGenerator(1)

    def predict_step(self, data):
        return self.head(self(self.augment(data), training=False)) * self.temperature


class OwnSequential(keras.Sequential):
    def test_step(self, data):
        return {"own": 2.0}


class WithParts(keras.Model):
    """Its `train_step` uses layers and models of its graph by attributes."""

    def predict_step(self, data):
        return self.encoder(data, training=False)


class OtherArguments(keras.Model):
    def __init__(self, units):
        inputs = keras.Input((6, 6, 1))
        super().__init__(inputs, _outputs(inputs, units))

    def train_step(self, data):
        return {}


class OwnNetwork(keras.Model):
    """Its constructor takes anything, and makes what it likes of it."""

    def __init__(self, *args, **kwargs):
        inputs = keras.Input((6, 6, 1))
        super().__init__(inputs, _outputs(inputs, 3))

    def train_step(self, data):
        return {}


class WithTeacher(keras.Model):
    def train_step(self, data):
        return {"own": self.teacher(data[0])}


class NothingOfItsOwn(keras.Model):
    """A class such as those of model zoos, which trains as all models do."""

    def count_layers(self):
        return len(self.layers)


def _outputs(inputs, units=3):
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(inputs)
    return layers.Dense(units, name="out")(layers.Flatten()(x))


def _make(cls, **options):
    if issubclass(cls, keras.Sequential):
        stack = [keras.Input((6, 6, 1)), layers.Conv2D(8, 3, name="conv")]
        return cls([*stack, layers.Flatten(), layers.Dense(3, name="out")], **options)
    inputs = keras.Input((6, 6, 1))
    return cls(inputs, _outputs(inputs), **options)


DATA = models.labelled_images(16)[0], np.zeros((16, 3), "float32")


@pytest.mark.sweep(1)
@pytest.mark.parametrize("cls", [OwnStep, OwnLoss, OwnTest, OwnSequential])
def test_the_result_is_of_the_same_class(cls):
    model = _make(cls, name="mine")
    model.compile("adam", "mse")
    pruned = keras_shapley_prune.prune(model, DATA[0], 0.5, **FAST)
    assert type(pruned) is cls and pruned.name == "mine" and pruned.compiled
    assert pruned.get_layer("conv").filters == 4
    if cls is OwnStep:
        assert pruned.fit(*DATA, verbose=0).history["own"] == [1.0]
    elif cls is OwnLoss:
        found = pruned.evaluate(*DATA, verbose=0, return_dict=True)
        assert found["own"] == pytest.approx(
            np.mean(pruned.predict(DATA[0]) ** 2), 1e-3
        )
        assert pruned.own_metric is not model.own_metric
    else:
        value = 1.0 if cls is OwnTest else 2.0
        found = pruned.evaluate(*DATA, verbose=0, return_dict=True)
        assert found == {"own": value}


def test_it_computes_what_the_masked_model_does():
    model = _make(OwnStep)
    keep = {"conv": [0, 2, 5]}
    pruned, masked = remove_channels(model, keep), mask_channels(model, keep)
    assert type(pruned) is OwnStep
    x = DATA[0]
    np.testing.assert_allclose(pruned(x), masked(x), atol=1e-5)
    repaired = repair_channels(model, keep, x, verbose=0)
    assert type(repaired) is OwnStep
    # A copy of its own, of the same structure: it can be pruned, and copied, again.
    assert len(pruned.weights) == len(model.weights)
    assert not {id(w) for w in pruned.weights} & {id(w) for w in model.weights}
    assert type(remove_channels(pruned, {"conv": [0]})) is OwnStep


@pytest.mark.slow
def test_mimic_keeps_the_class():
    model = _make(OwnStep)
    repair = keras_shapley_prune.Mimic(num_steps=2)
    pruned = keras_shapley_prune.prune(model, DATA[0], 0.5, repair=repair, **FAST)
    assert type(pruned) is OwnStep


def test_attributes_are_taken_over():
    model = _make(OwnTest, weight=3.0)
    model.names, model.later = {"a": [1, 2]}, (np.tanh, np.ones(2))
    pruned = remove_channels(model, remove={"conv": [1]})
    assert pruned.weight == 3.0 and pruned.names == {"a": [1, 2]}
    assert pruned.later[0] is np.tanh


def test_what_its_constructor_makes_has_the_same_state():
    model = _make(WithHelpers)
    model.temperature.assign(3.0)
    pruned = remove_channels(model, remove={"conv": [1]})
    assert type(pruned) is WithHelpers
    assert float(pruned.temperature.value) == 3.0
    assert pruned.temperature is not model.temperature
    np.testing.assert_array_equal(pruned.head.kernel, model.head.kernel)
    assert pruned.head is not model.head


def test_a_compile_with_other_arguments():
    model = _make(OwnCompile)
    model.compile("adam", keras.optimizers.SGD(0.5), alpha=0.25)
    pruned = keras_shapley_prune.prune(model, DATA[0], 0.5, **FAST)
    assert type(pruned) is OwnCompile and pruned.alpha == 0.25 and pruned.compiled
    assert pruned.second_optimizer is not model.second_optimizer
    assert float(pruned.second_optimizer.learning_rate) == 0.5
    assert pruned.fit(*DATA, verbose=0).history["own"] == [0.25]


def test_attributes_that_are_parts_of_the_graph_are_those_of_the_copy():
    inputs = keras.Input((6, 6, 1))
    encoder = keras.Model(inputs, _outputs(inputs), name="encoder")
    outer = keras.Input((6, 6, 1))
    model = WithParts(outer, layers.Dense(2)(encoder(outer)))
    model.encoder, model.parts = encoder, (encoder.get_layer("conv"),)
    pruned = remove_channels(model, remove={"encoder/conv": [1, 2]})
    assert type(pruned) is WithParts
    assert (
        pruned.encoder is pruned.get_layer("encoder") and pruned.encoder is not encoder
    )
    assert pruned.parts[0] is pruned.encoder.get_layer("conv")
    expected = pruned.encoder(DATA[0])
    np.testing.assert_allclose(pruned.predict(DATA[0], verbose=0), expected, atol=1e-5)


def _with_teacher():
    model = _make(WithTeacher)
    model.teacher = _make(NothingOfItsOwn)
    return model


REASONS = {
    "other arguments": (
        lambda: OtherArguments(3),
        r"other arguments than \(inputs, out",
    ),
    "own network": (OwnNetwork, "it builds a network of its own"),
    "teacher": (_with_teacher, "attribute 'teacher', of .*cannot be taken over"),
}


@pytest.mark.sweep(2)
@pytest.mark.parametrize("case", REASONS)
def test_what_cannot_be_made_again_is_told(case):
    make, reason = REASONS[case]
    model = make()
    words = f"has its own train_step.* plain keras.Model without: .*{reason}"
    with pytest.warns(UserWarning, match=words) as told:
        pruned = remove_channels(model, remove={"conv": [1]})
    assert told[0].filename == __file__  # the line of the user
    assert type(pruned) is type(_make(keras.Model))
    with pytest.warns(UserWarning, match=words) as told:
        repair_channels(model, {"conv": [1, 2]}, DATA[0], verbose=0)
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match=words) as told:
        keras_shapley_prune.prune(model, DATA[0], 0.5, **FAST)
    assert told[0].filename == __file__


@pytest.mark.parametrize("cls", [NothingOfItsOwn, keras.Model, keras.Sequential])
def test_a_class_that_trains_as_all_do_becomes_plain(cls):
    model = _make(cls)
    assert not find_overrides(model)
    pruned = remove_channels(model, remove={"conv": [1]})  # without a warning
    plain = keras.Sequential if cls is keras.Sequential else type(_make(keras.Model))
    assert type(pruned) is plain


def test_the_model_is_not_changed():
    model = _make(OwnLoss)
    before = models.snapshot(model, DATA[0])
    nodes = [len(layer._inbound_nodes) for layer in model.layers]
    remove_channels(model, remove={"conv": [1]}, channel_map=trace_channels(model))
    assert models.snapshot(model, DATA[0]) == before
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
