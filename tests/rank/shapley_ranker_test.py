"""Tests of the Shapley ranker."""

import inspect
import json
import zlib

import games
import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from datasets import Exploding
from keras import layers

import keras_shapley_prune
from keras_shapley_prune.inputs.losses import resolve_loss
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker
from keras_shapley_prune.rank.estimators import (
    ClosedFormPermutation,
    Gradient,
    Permutation,
)
from keras_shapley_prune.rank.games import KL, Loss, Reconstruction
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.rank.resolve_ranker import resolve_ranker
from keras_shapley_prune.rank.sampled import sampler
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.sources import stream_of
from keras_shapley_prune.rank.stopping import StopWhen
from keras_shapley_prune.trace.tracer import trace_channels


def _rank(model, dataset, layers=None, loss=None, num_draws=1, **arguments):
    ranker = ShapleyRanker(Loss(loss), Permutation(num_draws), **arguments)
    return ranker.rank(model, dataset, layers=layers, verbose=0)


# --- games with known answers ------------------------------------------------------


@pytest.mark.sweep(3)  # of different games
@pytest.mark.parametrize("make", games.GAMES)
@pytest.mark.parametrize("seed", [0, 1])
def test_values_converge_to_the_exact_ones(make, seed):
    model, x, y, loss, exact = make()
    ranking = _rank(model, (x, y), loss=loss, num_draws=8, seed=seed)
    scores = ranking["players"]
    distance = np.abs(scores.values - exact)
    assert np.all(distance <= 4 * scores.standard_errors + 1e-5)
    assert np.all(distance <= 0.25 * np.abs(exact).max())


def test_an_additive_game_is_exact_after_one_walk():
    model, x, y, loss, exact = games.additive()
    scores = _rank(model, (x, y), loss=loss)["players"]
    np.testing.assert_allclose(scores.values, exact, atol=1e-5)


@pytest.mark.slow
def test_more_walks_come_closer():
    model, x, y, loss, exact = games.filters()
    errors = [
        np.mean(
            [
                np.square(
                    _rank(model, (x, y), loss=loss, num_draws=n, seed=seed)[
                        "players"
                    ].values
                    - exact
                ).sum()
                for seed in range(3)
            ]
        )
        for n in (1, 24)
    ]
    assert errors[1] < errors[0] / 4


def test_values_of_figure_1():
    model, x, y, loss, exact = games.figure1(2000)
    np.testing.assert_allclose(exact, [0.833, 0.833, 5.0, 0.0], atol=0.1)
    values = _rank(model, (x, y), loss=loss, batch_size=500)["players"].values
    np.testing.assert_allclose(values, [0.833, 0.833, 5.0, 0.0], atol=0.15)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("make", games.GAMES)
@pytest.mark.parametrize("num_draws", [1, 2, 3])
def test_efficiency(make, num_draws):
    model, x, y, loss, _ = make()
    channel_map = trace_channels(model)
    losses = resolve_loss(model, loss)
    value_of = games.coalition_values(
        model, channel_map, channel_map.groups[0], x, lambda p: losses(y, [p])
    )
    n = channel_map.groups[0].num_units
    expected = value_of(np.ones(n, bool)) - value_of(np.zeros(n, bool))
    ranking = _rank(model, (x, y), loss=loss, num_draws=num_draws)
    assert ranking["players"].values.sum() == pytest.approx(expected, rel=1e-4)


def test_null_players_get_exactly_nothing():
    for make, players in ((games.additive, [5]), (games.figure1, [3])):
        model, x, y, loss, _ = make()
        scores = _rank(model, (x, y), loss=loss)["players"]
        np.testing.assert_array_equal(scores.values[players], 0)
        np.testing.assert_array_equal(scores.standard_errors[players], 0)


@pytest.mark.slow
def test_symmetric_players_get_the_same():
    model, x, y, loss, exact = games.unanimity(num_players=4, num_examples=512)
    values = _rank(model, (x, y), loss=loss, num_draws=16)["players"].values
    np.testing.assert_allclose(values, exact, atol=0.03)


@pytest.mark.slow
def test_standard_errors_cover_the_truth():
    model, *_ = games.figure1(8)
    truth = games.figure1_exact(*games.figure1_inputs(50_000, seed=99))[:3]
    deviations = []
    for seed in range(12):
        data = games.figure1_inputs(128, seed)
        scores = _rank(model, data, loss="mae", seed=seed, batch_size=64)["players"]
        distance = scores.values[:3] - truth
        deviations.append(distance / scores.standard_errors[:3])
    deviations = np.array(deviations)
    assert np.abs(deviations).max() < 4.5
    assert 0.6 < np.sqrt(np.mean(deviations**2)) < 1.5


@pytest.mark.slow
def test_a_group_of_several_producers_is_played_as_one():
    model = models.build(models.residual)
    x = models.images(model, 16)
    y = np.arange(16) % 4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    channel_map = trace_channels(model)
    (group,) = channel_map.select_groups("inner2")
    (stem,) = channel_map.select_groups("stem")
    assert len(stem.producers) == 2
    per_example = resolve_loss(model, loss)
    for played in (group, stem):
        value_of = games.coalition_values(
            model, channel_map, played, x, lambda p: per_example(y, [p])
        )
        exact = games.exact_values(value_of, played.num_units)
        ranking = _rank(model, (x, y), layers=played.name, loss=loss, num_draws=8)
        scores = ranking[played.name]
        assert list(ranking) == [played.name]
        assert np.all(np.abs(scores.values - exact) <= 4 * scores.standard_errors)
        total = value_of(np.ones(played.num_units, bool)) - value_of(
            np.zeros(played.num_units, bool)
        )
        assert scores.values.sum() == pytest.approx(total, rel=1e-3, abs=1e-4)


# --- the data in every form --------------------------------------------------------


class Batches(keras.utils.PyDataset):
    """Arrays in slices of 8."""

    def __init__(self, arrays):
        super().__init__()
        self.arrays = arrays

    def __len__(self):
        return -(-len(self.arrays[0]) // 8)

    def __getitem__(self, index):
        return tuple(a[index * 8 : index * 8 + 8] for a in self.arrays)


FORMS = {
    "tf.data": lambda arrays: tf.data.Dataset.from_tensor_slices(arrays).batch(8),
    "PyDataset": Batches,
    "generator": lambda a: (Batches(a)[i] for i in range(len(Batches(a)))),
    "list": lambda a: [Batches(a)[i] for i in range(len(Batches(a)))],
}


@pytest.mark.slow
@pytest.mark.sweep(1)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_same_data_gives_the_same_values_in_every_form(weighted):
    model = models.classifier()
    arrays = models.labelled_images(20)
    if weighted:
        arrays = (*arrays, np.linspace(0, 3, 20, dtype="float32"))
    expected = _rank(model, arrays, batch_size=8)
    for form, make in FORMS.items():
        ranking = _rank(model, make(arrays))
        assert ranking.num_examples == 20
        for name, scores in ranking.items():
            close = {"rtol": 1e-4, "atol": 1e-6, "err_msg": form}  # folded otherwise
            np.testing.assert_allclose(scores.values, expected[name].values, **close)
            np.testing.assert_allclose(
                scores.standard_errors, expected[name].standard_errors, **close
            )


@pytest.mark.eager
def test_sample_weights_weigh_the_loss():
    model = models.classifier()
    x, y = models.labelled_images(16)
    plain = _rank(model, (x, y))
    twice = _rank(model, (x, y, np.full(16, 2.0)))
    some = np.repeat([1.0, 0.0], 8)
    others = np.where(some, y, (y + 1) % 3)  # labels of what does not weigh
    half, same = _rank(model, (x, y, some)), _rank(model, (x, others, some))
    for name, scores in plain.items():
        np.testing.assert_allclose(twice[name].values, 2 * scores.values, rtol=1e-5)
        np.testing.assert_array_equal(half[name].values, same[name].values)
        assert (half[name].values != scores.values).any()


@pytest.mark.eager
def test_integer_images_without_a_channel_axis():
    model = models.classifier()
    x, y = models.labelled_images(16)
    x = np.clip(100 * (x + 1), 0, 255).astype("uint8")
    ranking = _rank(model, (x[..., 0], y))
    expected = _rank(model, (x.astype("float32"), y))
    for name, scores in ranking.items():
        np.testing.assert_array_equal(scores.values, expected[name].values)


@pytest.mark.eager
def test_several_inputs_and_outputs():
    model = models.fresh(models.two_ends)
    model.compile("sgd", ["sparse_categorical_crossentropy", "mae"])
    x = models.inputs_of(model, 12)
    y = (np.arange(12) % 3, np.ones((12, 1), "float32"))
    ranking = _rank(model, (x, y), batch_size=5)
    assert set(ranking) == {"conv", "side", "joint"}
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(5)
    for name, scores in _rank(model, batches).items():
        np.testing.assert_allclose(scores.values, ranking[name].values, rtol=1e-4)


@pytest.mark.eager
def test_batches_of_images_of_different_sizes():
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.Conv2D(1, 1, activation="sigmoid", name="pixels")(x)
    model = keras.Model(inputs, x)
    generator = np.random.default_rng(0)
    batches = [
        (
            generator.normal(size=(2, size, size, 3)).astype("float32"),
            generator.integers(0, 2, (2, size, size, 1)),
        )
        for size in (6, 9)
    ]
    scores = _rank(model, batches, loss="binary_crossentropy")["conv"]
    alone = [
        _rank(model, [batch], loss="binary_crossentropy")["conv"].values.sum()
        for batch in batches
    ]
    assert scores.values.sum() == pytest.approx(np.mean(alone), rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_one_trace_serves_full_and_short_batches(monkeypatch, weighted):
    played = []

    class Recorded(sampler.OutputGame):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.num_traces = 0
            played.append(self)

        def _estimate(self, *args):
            self.num_traces += 1  # what is compiled is not run again
            return super()._estimate(*args)

    monkeypatch.setattr(sampler, "OutputGame", Recorded)
    arrays = models.labelled_images(21)
    if weighted:
        arrays = (*arrays, np.ones(21))
    _rank(models.classifier(), arrays, batch_size=8, num_draws=2)
    assert [game.suffix.group.name for game in played] == ["conv", "hidden"]
    for game in played:
        assert game.num_traces == 1


# --- seeds, counts, choices --------------------------------------------------------


@pytest.mark.eager
def test_seeds():
    model = models.classifier()
    data = models.labelled_images(12)
    one, again, other = (_rank(model, data, seed=seed) for seed in (5, 5, 6))
    for name, scores in one.items():
        np.testing.assert_array_equal(scores.values, again[name].values)
    assert (one["conv"].values != other["conv"].values).any()


@pytest.mark.slow
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    "ranker",
    [
        ShapleyRanker(),
        ShapleyRanker("loss"),
        ShapleyRanker("loss", "gradient"),
        ShapleyRanker("loss", "corrected_gradient"),
        ShapleyRanker("loss", "shared_permutation"),
        BaselineRanker("random"),
    ],
    ids=str,
)
def test_a_group_has_the_same_values_alone_and_among_all(ranker):
    model, data = models.classifier(), models.labelled_images(40)
    among_all = ranker.rank(model, data, verbose=0)
    for name, scores in among_all.items():
        alone = ranker.rank(model, data, layers=name, verbose=0)[name]
        np.testing.assert_array_equal(alone.values, scores.values)
        np.testing.assert_array_equal(alone.standard_errors, scores.standard_errors)


def test_streams_of_groups_differ():
    groups = trace_channels(models.build(models.residual)).groups
    streams = [stream_of(group) for group in groups]
    assert len(set(streams)) == len(groups) > 2
    assert stream_of(groups[0]) == zlib.crc32(groups[0].name.encode())


@pytest.mark.eager
def test_the_global_seed_is_neither_used_nor_moved():
    model = models.classifier()
    data = models.labelled_images(12)
    keras.utils.set_random_seed(1)
    one = _rank(model, data)
    drawn = np.random.random()
    keras.utils.set_random_seed(1)
    assert np.random.random() == drawn
    keras.utils.set_random_seed(2)
    again = _rank(model, data)
    np.testing.assert_array_equal(one["conv"].values, again["conv"].values)


@pytest.mark.eager
@pytest.mark.sweep(2)
@pytest.mark.parametrize("num_draws", [1, 2, 3])
def test_evaluations_are_counted(num_draws):
    model = models.classifier()
    data = models.labelled_images(12)
    ranking = _rank(model, data, num_draws=num_draws, batch_size=5)
    assert ranking.num_examples == 12
    assert ranking["conv"].num_evaluations == num_draws * 12 * (6 + 1)
    assert ranking["hidden"].num_evaluations == num_draws * 12 * (8 + 1)
    assert ranking.num_evaluations == num_draws * 12 * (7 + 9)


def test_standard_errors_fall_with_more_examples():
    model = models.classifier()
    few, many = (_rank(model, models.labelled_images(n)) for n in (16, 256))
    for name in few:
        ratio = many[name].standard_errors.mean() / few[name].standard_errors.mean()
        assert ratio < 0.6


@pytest.mark.eager
def test_one_example_has_no_standard_error():
    ranking = _rank(models.classifier(), models.labelled_images(1))
    assert np.isinf(ranking["conv"].standard_errors).all()
    assert np.isfinite(ranking["conv"].values).all()


@pytest.mark.eager
def test_layers_choose_the_groups():
    model = models.classifier()
    data = models.labelled_images(8)
    assert list(_rank(model, data, layers="hid*")) == ["hidden"]
    assert list(_rank(model, data, layers=["conv", "hidden"])) == ["conv", "hidden"]
    with pytest.raises(ValueError, match=r"Argument `layers`.*'dense_9'"):
        _rank(model, data, layers="dense_9")
    with pytest.raises(ValueError, match="'classes', which is locked"):
        _rank(model, data, layers="classes")


@pytest.mark.eager
def test_a_ranking_prints_saves_and_loads(tmp_path):
    model = models.build(models.locked)
    x, y = models.images(model, 6), np.arange(6) % 4
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ranking = _rank(model, (x, y), loss=loss)
    text = str(ranking)
    assert "free1" in text
    assert "free2" in text
    sizes = [len(scores.values) for scores in ranking.values()]
    assert sizes == [8, 4, 4, 8]
    evaluations = 6 * sum(size + 1 for size in sizes)
    assert f"an example: 6 examples, {evaluations} evaluations" in text
    assert "into_groups" in text
    assert "locked: activation softmax is not elementwise: output channel" in text
    ranking.save(tmp_path / "ranking.json")
    loaded = Ranking.load(tmp_path / "ranking.json")
    assert str(loaded) == text
    for name, scores in ranking.items():
        np.testing.assert_array_equal(loaded[name].values, scores.values)


@pytest.mark.slow
def test_losses_that_layers_add_do_not_pile_up():
    inputs = keras.Input((4,))
    x = layers.Dense(5, activity_regularizer="l2", name="a")(inputs)
    x = layers.ActivityRegularization(l1=0.1)(layers.Dense(5, name="b")(x))
    model = keras.Model(inputs, layers.Dense(1, name="last")(x))
    x, y = np.ones((12, 4), "float32"), np.ones((12, 1), "float32")
    model(x)
    before = [float(value) for value in model.losses]
    for _ in range(2):
        _rank(model, (x, y), loss="mse", batch_size=4)
        assert len(model.losses) <= len(before) == 2
    model(x)
    assert [float(value) for value in model.losses] == before
    model.compile("sgd", "mse")
    assert np.isfinite(model.train_on_batch(x, y))


def test_half_precision():
    inputs = keras.Input((6, 6, 1), dtype="float32")
    x = layers.Conv2D(6, 3, activation="relu", dtype="mixed_bfloat16", name="c")(inputs)
    x = layers.GlobalAveragePooling2D(dtype="mixed_bfloat16")(x)
    model = keras.Model(inputs, layers.Dense(4, activation="softmax", name="last")(x))
    loss = "sparse_categorical_crossentropy"
    scores = _rank(model, models.labelled_images(16), loss=loss)["c"]
    assert scores.values.dtype == np.float64
    assert np.isfinite(scores.values).all()


# --- progress ----------------------------------------------------------------------


@pytest.mark.eager
@pytest.mark.sweep(2)
@pytest.mark.parametrize(
    ("verbose", "words"),
    [("auto", "100/100"), (1, "100/100"), (True, "100/100"), (2, "hidden: ")],
)
def test_progress_is_shown(capsys, verbose, words):
    ranker = ShapleyRanker("loss", batch_size=4)
    ranker.rank(models.classifier(), models.labelled_images(10), verbose=verbose)
    assert words in capsys.readouterr().out


@pytest.mark.eager
@pytest.mark.sweep(1)
@pytest.mark.parametrize("verbose", [0, False])
def test_silence(capsys, verbose):
    ShapleyRanker("loss").rank(
        models.classifier(), models.labelled_images(8), verbose=verbose
    )
    captured = capsys.readouterr()
    assert captured.out == ""


@pytest.mark.eager
@pytest.mark.parametrize("verbose", [1, 2])
def test_progress_of_data_of_unknown_length_ends_its_line(capsys, verbose):
    arrays = models.labelled_images(20)
    ranker = ShapleyRanker("loss")
    ranker.rank(models.classifier(), FORMS["generator"](arrays), verbose=verbose)
    assert capsys.readouterr().out.endswith("\n")


# --- errors ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [
        ("stages", 0, 1),
        ("stages", 2.5, 1),
        ("stages", True, 1),
        ("batch_size", 0, 1),
        ("batch_size", True, 1),
        ("batch_size", "32", 1),
        ("seed", -1, 0),
        ("seed", None, 0),
    ],
)
def test_bad_arguments(name, value, least):
    with pytest.raises(ValueError, match=f"`{name}` should be an integer") as info:
        ShapleyRanker(**{name: value})
    assert f"at least {least}. Received: {name}={value!r}" in str(info.value)


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"game": "lose"}, "game='lose'"),
        ({"game": None}, "game=None"),
        ({"game": Loss}, "game=<class"),
        ({"estimator": "best"}, "estimator='best'"),
        ({"estimator": "gradient"}, "estimator='gradient'"),  # of the reconstruction
        ({"estimator": Permutation()}, "estimator=estimators.Permutation(num_draws=1"),
        ({"game": "kl", "estimator": ClosedFormPermutation()}, "estimator=estimators."),
        ({"game": "kl", "estimator": Permutation}, "estimator=<class"),
        ({"stages": "all"}, "stages='all'"),
        ({"sequential": "no"}, "sequential='no'"),
        ({"sequential": 1}, "sequential=1"),
        ({"stop": 0.05}, "stop=0.05"),
        ({"game": "kl", "estimator": "exact", "stages": 3}, "stages=3"),
        ({"game": "kl", "estimator": "exact", "stages": "units"}, "stages='units'"),
        ({"game": "kl", "estimator": "corrected_gradient", "stages": 2}, "stages=2"),
        ({"game": KL("mean", "rms"), "estimator": "corrected_gradient"}, "'rms'"),
        ({"game": "kl", "estimator": "adaptive", "stages": 2}, "stages=2"),
        ({"game": KL("mean", "rms"), "estimator": "adaptive"}, "'rms'"),
        ({"game": KL("mean", "rms"), "estimator": "shared_permutation"}, "'rms'"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named_at_once(arguments, received):
    with pytest.raises(ValueError, match="Received: ") as info:
        ShapleyRanker(**arguments)
    assert received in str(info.value).split("Received: ")[1]


def test_a_misspelt_game_or_estimator_is_told_all_choices():
    with pytest.raises(ValueError, match="'reconstruction', 'loss', 'kl'"):
        ShapleyRanker("los")
    with pytest.raises(ValueError, match="'permutation', 'gradient', ") as info:
        ShapleyRanker("loss", "gradients")
    assert "games.Loss(loss=None" in str(info.value)
    with pytest.raises(ValueError, match=r"\['permutation'\]"):
        ShapleyRanker("reconstruction", "gradients")


@pytest.mark.parametrize(
    "arguments",
    [
        {"stages": "units"},
        {"game": "loss", "stages": np.int64(3), "sequential": True},
        {"game": KL("mean", np.median), "estimator": Gradient(decay=0), "stages": 4},
        {"game": lambda labels, outputs: outputs[:, 0], "estimator": "gradient"},
        {"stop": StopWhen(misassigned=0, seconds=0.5, evaluations=np.int32(7))},
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_right_arguments(arguments):
    ShapleyRanker(**arguments)


# --- what a ranker says of itself --------------------------------------------------


def test_the_defaults_are_those_of_prune():
    for ranker in (ShapleyRanker(), resolve_ranker(), ShapleyRanker(stages=32)):
        assert ranker.game == Reconstruction(candidates=1.25, horizon=1.0)
        assert ranker.estimator == ClosedFormPermutation(num_draws=2, decay=0.0)
        assert ranker.stages == 32
    assert ShapleyRanker("loss").stages == ShapleyRanker("kl").stages == 1


RANKERS = [
    ShapleyRanker(),
    ShapleyRanker(Reconstruction(candidates=None), sequential=True, stages="units"),
    ShapleyRanker(Loss("mse", replacement="mean"), Gradient(num_draws=4), stages=8),
    ShapleyRanker("kl", "corrected_gradient", stop=StopWhen(0.05, seconds=60)),
]


@pytest.mark.parametrize("ranker", RANKERS, ids=str)
def test_its_repr_makes_the_same_ranker(ranker):
    again = eval(repr(ranker), vars(keras_shapley_prune))
    assert repr(again) == repr(ranker)
    assert again.get_config() == ranker.get_config()
    assert (again.game, again.estimator) == (ranker.game, ranker.estimator)


@pytest.mark.parametrize("ranker", RANKERS, ids=str)
def test_its_config_is_json(ranker):
    config = ranker.get_config()
    assert json.loads(json.dumps(config)) == config
    assert list(config) == list(inspect.signature(ShapleyRanker).parameters)
    assert config["game"]["class_name"] == type(ranker.game).__name__
    assert config["game"]["config"] == ranker.game.get_config()


def test_functions_and_losses_are_in_the_config_by_name():
    def first_class(labels, outputs):
        return outputs[:, 0]

    config = ShapleyRanker(first_class, seed=np.int64(3)).get_config()
    assert config["game"]["config"]["function"] == "first_class"
    assert config["seed"] == 3
    json.dumps(config)
    assert "function=first_class" in repr(ShapleyRanker(first_class))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    config = ShapleyRanker(Loss({"a": loss, "b": "mse"})).get_config()
    losses = config["game"]["config"]["loss"]
    assert losses["a"]["class_name"] == "CategoricalCrossentropy"
    assert losses["a"]["config"]["from_logits"] is True
    assert losses["b"] == "mse"
    json.dumps(config)


@pytest.mark.parametrize(
    ("ranker", "method"),
    [
        (
            ShapleyRanker(),
            "Shapley values of the reconstruction game, 2 pairs of permutations, 32 "
            "stages",
        ),
        (ShapleyRanker("loss"), "Shapley values of the loss, 1 permutation an example"),
        (
            ShapleyRanker(KL("mean", "rms"), Gradient(2), stages="units"),
            "Shapley values of the KL divergence, removed units replaced by means, rms "
            "over the examples, 2 gradients an example, one unit a stage",
        ),
        (ShapleyRanker("kl", "exact"), "Shapley values of the KL divergence, all"),
    ],
)
def test_the_method_names_game_and_estimator(ranker, method):
    plan = ranker.estimate_cost(
        models.classifier(), models.labelled_images(4), layers="conv"
    )
    assert plan.method.startswith(method)


# --- errors in `rank` --------------------------------------------------------------


@pytest.mark.parametrize("verbose", ["yes", 3, None, -1])
def test_bad_verbose(verbose):
    with pytest.raises(ValueError, match=r"`verbose` should be 'auto', 0, 1 or 2") as e:
        ShapleyRanker("loss").rank(models.classifier(), Exploding(), verbose=verbose)
    assert f"verbose={verbose!r}" in str(e.value)


def test_a_loss_that_is_not_finite_names_group_and_batch():
    def loss(labels, predictions):
        return keras.ops.where(labels == 99, np.inf, predictions[:, 0])

    x, y = models.labelled_images(24)
    y[17] = 99
    with pytest.raises(ValueError, match="finite loss") as info:
        _rank(models.classifier(), (x, y), loss=loss, batch_size=8)
    assert "group 'conv', batch 2" in str(info.value)


def test_a_loss_that_is_not_finite_in_some_coalitions():
    def inverse(labels, predictions):
        return 1 / keras.ops.sum(predictions, axis=-1)

    inputs = keras.Input((3,))
    x = layers.Dense(4, activation="relu", bias_initializer="ones", name="first")(
        inputs
    )
    x = layers.Dense(1, use_bias=False, name="last")(x)
    model = keras.Model(inputs, x)  # without any neuron it predicts 0
    with pytest.raises(ValueError, match="group 'first', batch 0"):
        _rank(model, (np.ones((4, 3)), np.ones(4)), loss=inverse)


def test_no_loss():
    model = models.classifier(compiled=False)
    with pytest.raises(ValueError, match="or a loss by itself"):
        _rank(model, Exploding())
