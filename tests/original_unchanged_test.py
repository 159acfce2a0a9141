"""Tests that no public function changes its model, or what is drawn after it."""

import functools
import gc

import footprints
import keras
import numpy as np
import pytest

import keras_shapley_prune as package

X = np.random.default_rng(0).random((12, 8, 8, 3)).astype("float32")
DATA = X, np.arange(12) % 4
QUIET = {"verbose": 0}
REMOVED = {"first": [0], "inner/inside": [1, 2], "last": [3]}


def _ranking(model):
    return package.BaselineRanker("l1_norm").rank(model)


def _plan(model):
    return package.plan_pruning(model, _ranking(model), 0.4)


def _smaller(model):
    return package.remove_channels(model, remove=REMOVED)


def _keep(model):
    channel_map = package.trace_channels(model)
    return channel_map, _plan(model).keep


def _verify(model, prepared):
    (_, keep), smaller = prepared
    package.verify_removal(model, smaller, keep, X)


def _prune(model, repair, **options):
    return package.prune(
        model, DATA, 0.4, ranker="l1_norm", repair=repair, verbose=0, **options
    )


def _rank(ranker, model, data):
    return ranker.rank(model, data, verbose=0)


# what is called -> `fn(model, prepared)`, and what is prepared by `fn(model)` before
CASES = {
    "trace_channels": (lambda m, _: package.trace_channels(m), None),
    "inspect": (lambda m, _: str(package.inspect(m)), None),
    "count_flops": (lambda m, _: package.count_flops(m), None),
    "count_activation_bytes": (lambda m, _: package.count_activation_bytes(m), None),
    "measure_latency": (lambda m, _: package.measure_latency([m], X[:2], 1), None),
    "mask_channels": (lambda m, _: package.mask_channels(m, remove=REMOVED), None),
    "remove_channels": (lambda m, _: _smaller(m), None),
    "to_functional": (lambda m, _: package.to_functional(m), None),
    "to_channels_last": (lambda m, _: package.to_channels_last(m), None),
    "plan_pruning": (lambda m, r: package.plan_pruning(m, r, 0.4), _ranking),
    "bind": (lambda m, p: p.bind(m), _plan),
    "apply_plan": (lambda m, p: package.apply_plan(m, p, X, **QUIET), _plan),
    "verify_removal": (
        _verify,
        lambda m: (_keep(m), package.remove_channels(m, _keep(m)[1])),
    ),
    "repair_channels": (lambda m, k: package.repair_channels(m, k[1], X), _keep),
    "mimic": (
        lambda m, s: package.mimic(s, m, X, package.Mimic(num_steps=2), verbose=0),
        _smaller,
    ),
    "compare": (lambda m, s: package.compare(m, s, DATA, verbose=0), _smaller),
    "measure_ablation": (
        lambda m, r: package.measure_ablation(m, r, DATA, layers="last", num_points=2),
        _ranking,
    ),
    "measure_frontier": (
        lambda m, r: package.measure_frontier(m, r, DATA, [0.4]),
        _ranking,
    ),
    "prune_until": (
        lambda m, _: package.prune_until(m, DATA, 0.9, ranker="l1_norm", verbose=0),
        None,
    ),
    "ShapleyRanker.estimate_cost": (
        lambda m, _: package.ShapleyRanker().estimate_cost(m, X),
        None,
    ),
    "export_litert": (lambda m, _: package.export_litert(m, "no.such"), None),
    "fold_normalization": (lambda m, _: package.fold_normalization(m), None),
    "to_tf_keras": (lambda m, _: package.to_tf_keras(m), None),
    "prune without a change": (lambda m, _: _prune(m, None), None),
    "prune by least squares": (
        lambda m, _: _prune(m, "least_squares", keep_optimizer=True),
        None,
    ),
    "prune by means": (lambda m, _: _prune(m, "mean"), None),
    "prune by batch normalization": (lambda m, _: _prune(m, "batchnorm"), None),
    "prune by mimic": (lambda m, _: _prune(m, package.Mimic(num_steps=2)), None),
    **{
        f"rank {name}": (lambda m, _, r=ranker: _rank(r, m, DATA), None)
        for name, ranker in {
            "reconstruction": package.ShapleyRanker(),
            "loss": package.ShapleyRanker("loss"),
            "gradient": package.ShapleyRanker("loss", "gradient"),
            "kl": package.ShapleyRanker("kl"),
        }.items()
    },
    **{
        f"rank {criterion}": (
            lambda m, _, c=criterion: _rank(package.BaselineRanker(c), m, DATA),
            None,
        )
        for criterion in (
            "random",
            "taylor",
            "leave_one_out",
            "apoz",
            "greedy_backward",
            "reconstruction",
        )
    },
}


def _start(prepare=None):
    """Returns a model and what is prepared, with all streams at a known place."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(7)
    model = footprints.restless()
    prepared = prepare and prepare(model)
    keras.utils.set_random_seed(7)
    keras.random.uniform(())  # Keras has a generator from now on
    return model, prepared


@functools.cache
def _undisturbed():
    """What is drawn where nothing was called."""
    _start()
    return footprints.draw_next()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.sweep(8)
@pytest.mark.parametrize("case", CASES)
def test_the_model_and_all_streams_are_as_they_were(case, few_trials):
    call, prepare = CASES[case]
    expected = _undisturbed()
    model, prepared = _start(prepare)
    before = footprints.take_footprint(model)
    try:
        returned = call(model, prepared)
    except (ValueError, ImportError, RuntimeError) as error:
        returned = error
    after = footprints.take_footprint(model)
    drawn = footprints.draw_next()
    del returned  # a result that is held does not matter either
    assert after == before
    assert drawn == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_nothing_of_a_call_is_held():
    """Neither by the model, nor by what the package remembers of layers."""
    model, _ = _start()

    def count():
        gc.collect()
        kinds = keras.Operation, keras.KerasTensor, keras.Variable
        return sum(isinstance(held, kinds) for held in gc.get_objects())

    def call():
        package.mask_channels(model, remove=REMOVED)
        package.to_functional(model)
        _prune(model, None)

    call()
    gc.collect()
    gc.freeze()  # what is there by now is neither searched nor counted
    try:
        call()
        assert count() == 0
    finally:
        gc.unfreeze()
