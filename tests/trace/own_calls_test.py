"""Tests of models of a class with a `call` of its own."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune as package
from keras_shapley_prune.command_line.program import main
from keras_shapley_prune.trace.functional_models import runs_its_graph

IMAGES = np.random.default_rng(0).random((6, 6, 6, 1)).astype("float32")


@keras.saving.register_keras_serializable(package="own_calls_test")
class Scaled(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training)


class ScaledSequential(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return keras.ops.softmax(super().call(inputs, training=training))


class OtherInTraining(keras.Model):
    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training)
        return outputs / 2 if training else outputs


class Tempered(keras.Model):
    """Multiplies by a weight of its own, which is 1 at first."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.factor = self.add_weight(shape=(), initializer="ones", name="factor")

    def call(self, inputs, training=None, mask=None):
        return self.factor * super().call(inputs, training=training)


class OtherWhenCalled(keras.Model):
    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs) + 1


class Same(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask)

    def train_step(self, data):
        return {**super().train_step(data), "own": 1.0}


class SameSequential(keras.Sequential):
    def call(self, inputs, training=None, mask=None):
        return super().call(inputs, training=training, mask=mask)


class Switched(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.doubles = False

    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training)
        return 2 * outputs if self.doubles else outputs


def _make(cls, name="own"):
    inside = [
        layers.Conv2D(6, 3, activation="relu", name="conv"),
        layers.Dropout(0.5),
        layers.Flatten(),
        layers.Dense(3, name="out"),
    ]
    if issubclass(cls, keras.Sequential):
        return cls([keras.Input((6, 6, 1)), *inside], name=name)
    x = inputs = keras.Input((6, 6, 1))
    for layer in inside:
        x = layer(x)
    return cls(inputs, x, name=name)


def _nest(inner):
    inputs = keras.Input((6, 6, 1))
    x = layers.Dense(5, activation="relu", name="between")(inner(inputs))
    return keras.Model(inputs, layers.Dense(2, name="last")(x))


REFUSED = {
    Scaled: "whose own `call` returns outputs",
    ScaledSequential: "whose own `call` returns outputs",
    OtherInTraining: "whose own `call` in training returns outputs",
    Tempered: r"whose own `call` reads weights that are in no layer: \['own/factor'\]",
    OtherWhenCalled: "whose own `call` returns outputs",
}


@pytest.mark.parametrize("cls", REFUSED)
def test_a_call_that_does_something_else_is_refused(cls):
    with pytest.raises(ValueError, match=REFUSED[cls]) as info:
        package.trace_channels(_make(cls))
    assert "keras_shapley_prune.to_functional(model)" in str(info.value)


FUNCTIONS = {
    "prune": lambda m: package.prune(m, IMAGES, verbose=0),
    "prune_until": lambda m: package.prune_until(
        m, IMAGES, 1.0, metric=lambda model: 1.0, verbose=0
    ),
    "rank": lambda m: package.ShapleyRanker().rank(m, IMAGES),
    "ranking plan": lambda m: package.ShapleyRanker().estimate_cost(m, IMAGES),
    "baseline": lambda m: package.BaselineRanker("l1_norm").rank(m),
    "plan_pruning": lambda m: package.plan_pruning(m, {}, 0.5),
    "mask_channels": lambda m: package.mask_channels(m, remove={"conv": [0]}),
    "remove_channels": lambda m: package.remove_channels(m, remove={"conv": [0]}),
    "repair_channels": lambda m: package.repair_channels(m, {"conv": [0]}, IMAGES),
    "verify_removal": lambda m: package.verify_removal(m, m, np.ones(6, bool), IMAGES),
    "mimic": lambda m: package.mimic(m, m, IMAGES, verbose=0),
    "compare": lambda m: package.compare(m, m, verbose=0),
    "measure_ablation": lambda m: package.measure_ablation(
        m, {}, IMAGES, metric=lambda model: 1.0
    ),
    "measure_frontier": lambda m: package.measure_frontier(
        m, {}, IMAGES, metric=lambda model: 1.0
    ),
    "inspect": lambda m: package.inspect(m),
    "plot_channels": lambda m: package.plot_channels(m),
    "count_flops": lambda m: package.count_flops(m),
    "count_activation_bytes": lambda m: package.count_activation_bytes(m),
    "export_litert": lambda m: package.export_litert(m, "model.tflite"),
    "to_tf_keras": lambda m: package.to_tf_keras(m),
    "to_channels_last": lambda m: package.to_channels_last(m),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_refuses_it(name):
    with pytest.raises(ValueError, match="whose own `call` returns outputs"):
        FUNCTIONS[name](_make(Scaled))


def test_a_plan_of_the_graph_is_not_applied_to_it():
    model = _make(Same)
    ranking = package.BaselineRanker("l1_norm").rank(model)
    plan = package.plan_pruning(model, ranking, 0.5)
    with pytest.raises(ValueError, match="whose own `call` returns outputs"):
        package.apply_plan(_make(Scaled), plan, IMAGES, verbose=0)


def test_the_command_line_refuses_it(tmp_path, capsys):
    path = tmp_path / "model.keras"
    _make(Scaled).save(path)
    assert main(["inspect", str(path)]) != 0
    assert "whose own `call` returns outputs" in capsys.readouterr().err


@pytest.mark.parametrize("cls", [Scaled, ScaledSequential, Tempered])
def test_to_functional_follows_it(cls):
    model = _make(cls)
    functional = package.to_functional(model)
    np.testing.assert_allclose(functional(IMAGES), model(IMAGES), atol=1e-6)
    pruned = package.prune(functional, IMAGES, 0.5, ranker="l1_norm", verbose=0)
    assert pruned.get_layer("conv").filters == 3
    assert type(functional) is type(_nest(model))
    assert len(functional.weights) == len(model.weights)


@pytest.mark.parametrize("cls", [Same, SameSequential])
def test_a_call_that_changes_nothing_is_followed(cls):
    model = _make(cls)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        pruned = package.remove_channels(model, remove={"conv": [0, 1]})
    # A class that trains its own way is taken over, `call` and all.
    assert (type(pruned) is cls) == (cls is Same)
    assert pruned.get_layer("conv").filters == 4


def test_what_is_found_holds_for_the_settings_it_was_found_with():
    model = _make(Switched)
    package.trace_channels(model)
    model.doubles = True
    with pytest.raises(ValueError, match="whose own `call` returns outputs"):
        package.trace_channels(model)


def test_a_model_with_a_call_put_on_it_is_refused():
    model = _make(keras.Model)
    model.call = lambda inputs, training=None, mask=None: inputs
    with pytest.raises(ValueError, match="own `call`"):
        package.trace_channels(model)


def test_nested_models():
    """Where it changes nothing the layers are pruned, else they are locked."""
    followed = package.trace_channels(_nest(_make(Same)))
    assert [g.name for g in followed.groups] == ["own/conv", "own/out", "between"]
    model = _nest(_make(Scaled))
    assert not runs_its_graph(model.get_layer("own"))
    locked = package.trace_channels(model)
    assert [group.name for group in locked.groups] == ["between"]
    assert "to_functional" in locked.lock_reasons()["own"]
    taken_apart = package.trace_channels(package.to_functional(model))
    assert taken_apart.num_units == followed.num_units
    assert package.prune(model, IMAGES, 0.4, ranker="l1_norm", verbose=0)


def test_a_predict_step_of_its_own_is_not_what_is_pruned():
    """What is ranked and compared is what the model returns when it is called."""

    class Labels(keras.Model):
        def predict_step(self, data):
            return keras.ops.argmax(super().predict_step(data), axis=-1)

    model = _make(Labels)
    pruned = package.prune(model, IMAGES, 0.4, ranker="l1_norm", verbose=0)
    assert isinstance(pruned, Labels)
    assert pruned(IMAGES).shape == (6, 3)
    assert pruned.predict(IMAGES, verbose=0).shape == (6,)
