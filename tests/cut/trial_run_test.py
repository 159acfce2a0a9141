"""Tests of what a few examples show, and of pruning what draws at random."""

import warnings

import keras
import models
import noisy_models
import numpy as np
import pytest
from keras import layers

import keras_shapley_prune
from keras_shapley_prune import BaselineRanker, ShapleyRanker
from keras_shapley_prune.cut.trial_run import try_out
from keras_shapley_prune.layer_types.held_state import HeldState
from keras_shapley_prune.trace.recording import record_graph
from keras_shapley_prune.trace.tracer import trace_channels

FAST = {"verbose": 0, "ranker": BaselineRanker("l1_norm")}
DRAWS = "ignore:Layers that draw at random:UserWarning"


def _images(count=48):
    return np.random.default_rng(0).random((count, 8, 8, 1)).astype("float32")


def _outputs(model, x):
    """Returns what a model returns if its seeds are as they are now."""
    with HeldState():
        return keras.tree.flatten(record_graph(model).run(x))


def test_what_is_seen_of_a_model():
    layer = noisy_models.Sampling("tensorflow", name="draw")
    channel_map = trace_channels(noisy_models.autoencoder(layer))
    with pytest.warns(UserWarning, match="draw at random"):
        seen = try_out(channel_map, [[_images(3)]])
    [index] = seen.graph.unrepeatable
    assert seen.graph.calls[index].name == "draw"
    assert seen.graph.input_shapes == ((8, 8, 1),)
    assert try_out(channel_map, []) is channel_map


def test_nothing_is_said_of_a_model_that_draws_nothing():
    model = models.build(models.residual)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try_out(trace_channels(model), [[models.images(model, 3)]])


@pytest.mark.sweep(1)
@pytest.mark.parametrize("source", ["own", "keras", "tensorflow"])
def test_an_autoencoder_is_pruned_and_is_as_it_was(source):
    model = noisy_models.autoencoder(noisy_models.Sampling(source))
    before = noisy_models.states_of(model)
    with pytest.warns(UserWarning, match="Layers that draw at random in inference"):
        pruned = keras_shapley_prune.prune(model, _images(), 0.5, verbose=0)
    assert pruned.get_layer("decoder").units == 12
    after = noisy_models.states_of(model)
    keras.tree.map_structure(np.testing.assert_array_equal, before, after)


@pytest.mark.sweep(1)
@pytest.mark.filterwarnings(DRAWS)
@pytest.mark.parametrize("source", ["own", "keras"])
def test_repair_is_towards_the_same_draws(source):
    model = noisy_models.autoencoder(noisy_models.Sampling(source))
    x, losses = _images(), {}
    for repair in ("least_squares", None):
        pruned = keras_shapley_prune.prune(model, x, 0.25, repair=repair, **FAST)
        expected, received = _outputs(model, x)[-1], _outputs(pruned, x)[-1]
        losses[repair] = float(np.mean((expected - received) ** 2))
    assert losses["least_squares"] < 0.3 * losses[None]


@pytest.mark.filterwarnings(DRAWS)
def test_behind_draws_that_cannot_be_repeated_only_biases_are_refitted():
    model = noisy_models.autoencoder(noisy_models.Sampling("tensorflow"))
    pruned = keras_shapley_prune.prune(model, _images(), 0.5, **FAST)

    def refitted(name):
        kernels = [m.get_layer(name).kernel.numpy().tolist() for m in (model, pruned)]
        return any(row not in kernels[0] for row in kernels[1])

    assert refitted("mean")
    assert not refitted("image")
    biases = [m.get_layer("image").bias.numpy() for m in (model, pruned)]
    assert not np.array_equal(*biases)


@pytest.mark.filterwarnings(DRAWS)
def test_the_same_call_gives_the_same_weights():
    model = noisy_models.autoencoder(noisy_models.Sampling())
    found = [keras_shapley_prune.prune(model, _images(), 0.5, verbose=0) for _ in "ab"]
    for one, other in zip(*(model.get_weights() for model in found), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.sweep(1)
@pytest.mark.filterwarnings(DRAWS)
@pytest.mark.parametrize(
    "ranker",
    [
        ShapleyRanker("kl"),
        ShapleyRanker("kl", "gradient"),
        BaselineRanker("taylor", game="kl"),
    ],
)
def test_rankers_of_outputs_draw_the_same(ranker):
    model = noisy_models.classifier(noisy_models.Noise())
    before = noisy_models.states_of(model)
    rankings = [ranker.rank(model, _images(), verbose=0) for _ in range(2)]
    for name, scores in rankings[0].items():
        values = rankings[1][name].values
        np.testing.assert_allclose(scores.values, values, rtol=1e-3, atol=1e-7)
    after = noisy_models.states_of(model)
    keras.tree.map_structure(np.testing.assert_array_equal, before, after)


@pytest.mark.parametrize("middle", [layers.GaussianNoise(0.5), layers.RandomFlip()])
def test_layers_that_draw_in_training_only(middle):
    model = noisy_models.classifier(middle)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Layers that draw")
        keras_shapley_prune.prune(model, _images(), 0.5, **FAST)


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize("repair", ["least_squares", "batchnorm", None])
def test_states_and_counters_are_as_they_were(repair):
    steps = np.random.default_rng(0).normal(size=(16, 6, 3)).astype("float32")
    cases = [
        (noisy_models.stateful(), np.split(steps, 4)),
        (noisy_models.classifier(noisy_models.Counter()), _images()),
    ]
    for model, data in cases:
        model(data[0] if isinstance(data, list) else data)
        before = noisy_models.states_of(model)
        pruned = keras_shapley_prune.prune(model, data, 0.5, repair=repair, **FAST)
        assert pruned.count_params() < model.count_params()
        after = noisy_models.states_of(model)
        keras.tree.map_structure(np.testing.assert_array_equal, before, after)


@pytest.mark.eager
@pytest.mark.filterwarnings(DRAWS)
def test_the_other_ways_to_prune_know_too():
    model = noisy_models.autoencoder(noisy_models.Sampling("tensorflow"))
    x, before = _images(), noisy_models.states_of(model)
    ranking = BaselineRanker("l1_norm").rank(model, x, verbose=0)
    plan = keras_shapley_prune.plan_pruning(model, ranking, 0.5)
    keras_shapley_prune.apply_plan(model, plan, x, verbose=0)
    keras_shapley_prune.repair_channels(model, plan.keep, x, verbose=0)
    after = noisy_models.states_of(model)
    keras.tree.map_structure(np.testing.assert_array_equal, before, after)


@pytest.mark.slow
@pytest.mark.eager
@pytest.mark.filterwarnings(DRAWS)
def test_measuring_moves_nothing_on(few_trials):
    model = noisy_models.classifier(noisy_models.Noise())
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = _images(16), np.arange(16) % 5
    before = noisy_models.states_of(model)
    ranking = BaselineRanker("l1_norm").rank(model, x, verbose=0)
    pruned = keras_shapley_prune.prune_until(
        model, x, 1, validation_data=(x, y), ranker="l1_norm", verbose=0
    )
    keras_shapley_prune.measure_frontier(model, ranking, (x, y), (0.5,))
    keras_shapley_prune.compare(model, pruned, (x, y), verbose=0)
    after = noisy_models.states_of(model)
    keras.tree.map_structure(np.testing.assert_array_equal, before, after)


@pytest.mark.eager
@pytest.mark.parametrize("of", ["flops", "params"])
def test_flops_are_counted_for_the_calibration_data(of, capsys):
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((None, None, 3))
    for filters in (16, 32):
        x = layers.LeakyReLU()(layers.Conv2D(filters, 3, padding="same")(x))
    model = keras.Model(inputs, layers.Conv2D(5, 1)(x))
    images = np.random.default_rng(0).random((4, 12, 10, 3)).astype("float32")
    pruned = keras_shapley_prune.prune(
        model, images, 0.5, of=of, verbose=2, ranker=FAST["ranker"]
    )
    shape = 12, 10, 3
    if of == "flops":
        counts = [keras_shapley_prune.count_flops(m, shape) for m in (model, pruned)]
        assert abs(counts[1] / counts[0] - 0.5) < 0.04
        line = f"FLOPs       {counts[0]:,} → {counts[1]:,} ("
        assert line in capsys.readouterr().out
    else:
        assert abs(pruned.count_params() / model.count_params() - 0.5) < 0.04


@pytest.mark.eager
def test_flops_of_sequences_of_any_length():
    inputs = keras.Input((None, 8))
    x = layers.Conv1D(16, 3, activation="relu")(inputs)
    x = layers.GRU(12)(layers.Dense(24, activation="relu")(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    steps = np.random.default_rng(0).normal(size=(8, 20, 8)).astype("float32")
    pruned = keras_shapley_prune.prune(model, steps, 0.5, of="flops", **FAST)
    counts = [keras_shapley_prune.count_flops(m, (20, 8)) for m in (model, pruned)]
    assert abs(counts[1] / counts[0] - 0.5) < 0.04
