"""Tests of what games say and refuse before they are played."""

import keras
import models
import numpy as np
import pytest
from datasets import Exploding

from keras_shapley_prune.rank.games import KL, Custom, Loss, Reconstruction
from keras_shapley_prune.rank.games.resolve_game import resolve_game
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker


def _first(labels, outputs):
    return outputs[:, 0]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("reconstruction", Reconstruction(candidates=1.25, horizon=1.0)),
        ("loss", Loss(None, replacement="zero", reduction="mean")),
        ("kl", KL(replacement="zero", reduction="mean")),
        (_first, Custom(_first, replacement="zero", reduction="mean")),
        (KL("mean"), KL("mean", "mean")),
    ],
)
def test_short_forms_are_objects_with_their_defaults(given, meant):
    assert resolve_game(given) == meant


@pytest.mark.parametrize("given", ["KL", "", None, 3, KL, ["loss"]])
def test_what_is_no_game(given):
    with pytest.raises(ValueError, match="'reconstruction', 'loss', 'kl'") as info:
        resolve_game(given)
    assert f"Received: game={given!r}" in str(info.value)


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (Reconstruction, {"replacement": "mean"}),
        (Reconstruction, {"reduction": "rms"}),
        (Reconstruction, {"loss": "mse"}),
        (Loss, {"candidates": 2}),
        (KL, {"loss": "mse"}),
        (KL, {"horizon": 0.5}),
    ],
)
def test_what_a_game_does_not_take_is_no_argument_of_it(make, arguments):
    (name,) = arguments
    with pytest.raises(TypeError, match=name):
        make(**arguments)


@pytest.mark.parametrize(
    ("make", "received"),
    [
        (lambda: Reconstruction(candidates=0.5), "candidates=0.5"),
        (lambda: Reconstruction(candidates="2"), "candidates='2'"),
        (lambda: Reconstruction(horizon=0), "horizon=0"),
        (lambda: Reconstruction(costs="logits"), "costs='logits'"),
        (lambda: Reconstruction(costs=None), "costs=None"),
        (lambda: Reconstruction(None, horizon=0.5), "candidates=None, horizon=0.5"),
        (lambda: Loss("mean_sqared"), "loss='mean_sqared'"),
        (lambda: Loss(["mse", "mean_sqared"]), "loss=['mse', 'mean_sqared']"),
        (lambda: Loss({"a": "mse", "b": 3}), "loss={'a': 'mse', 'b': 3}"),
        (lambda: Loss(3), "loss=3"),
        (lambda: Loss(replacement="median"), "replacement='median'"),
        (lambda: KL(None), "replacement=None"),
        (lambda: KL(reduction="median"), "reduction='median'"),
        (lambda: Custom(_first, reduction=None), "reduction=None"),
        (lambda: Custom("accuracy"), "function='accuracy'"),
    ],
)
def test_wrong_arguments_are_named_at_once(make, received):
    with pytest.raises(ValueError, match="Received: ") as info:
        make()
    assert received in str(info.value).split("Received: ")[1]


@pytest.mark.parametrize(
    "loss",
    [None, "mse", "MeanSquaredError", keras.losses.Huber(), ["mse", None], _first],
)
def test_what_compile_takes_is_a_loss(loss):
    assert Loss(loss).loss is loss
    if not isinstance(loss, list):
        assert Loss({"a": loss}).loss == {"a": loss}


def test_a_serialized_loss_of_an_output():
    Loss({"a": keras.losses.serialize(keras.losses.Huber())})


def test_an_uncompiled_model_is_noticed_before_the_data_is_read():
    model = models.classifier(compiled=False)
    with pytest.raises(ValueError, match="not compiled"):
        ShapleyRanker("loss").rank(model, Exploding(), verbose=0)


def test_a_game_says_what_it_is():
    assert repr(Loss("mse", "mean")) == (
        "games.Loss(loss='mse', replacement='mean', reduction='mean')"
    )
    assert repr(KL(reduction=np.median)).endswith("reduction=median)")
    assert Custom(_first).describe() == "the function _first"
    assert Loss(replacement="mean", reduction="mean+2std").describe() == (
        "the loss, removed units replaced by means, mean+2std over the examples"
    )


def test_costs_of_the_outputs_are_those_of_the_original_network():
    model, data = models.classifier(), models.labelled_images(4)
    ranker = ShapleyRanker(Reconstruction(costs="outputs"), sequential=True)
    for method in (ranker.rank, ranker.estimate_cost):
        with pytest.raises(ValueError, match=r"`sequential` .*costs='outputs'"):
            method(model, data)
