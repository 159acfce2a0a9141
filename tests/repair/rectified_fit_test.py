import keras
import models
import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf
from keras import layers

from keras_shapley_prune.cut.surgery import cut_out
from keras_shapley_prune.repair import fits, repairer
from keras_shapley_prune.repair.layer_data import HeldPairs
from keras_shapley_prune.repair.rectified_fit import Pieces, RectifiedFit
from keras_shapley_prune.repair.rectifier import Rectifier
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.repair.ridge import RidgeSystem
from keras_shapley_prune.repair.targets import RecordedTargets
from keras_shapley_prune.trace.tracer import trace_channels


class Problem:
    """A fit of arrays: two batches of rows and their targets."""

    is_held = True

    def __init__(
        self, x, y, skipped=None, low=0.0, high=np.inf, ridge=1e-3, shift=True
    ):
        self.x, self.y = x.astype("float32"), y.astype("float32")
        self.skipped = skipped if skipped is None else skipped.astype("float32")
        self.prior = np.zeros((x.shape[1], y.shape[1]))
        self.mean = self.x.mean(axis=0) * shift
        self.can_shift, centred = shift, (self.x - self.mean).astype("float64")
        self.xx = centred.T @ centred / len(x)
        self.system = RidgeSystem(self.xx, ridge)
        self.level = self.y.mean(axis=0) * shift
        product = centred.T @ (self.y - self.level) / len(x)
        self.plain = self.system.solve(product, self.prior)
        places = [np.arange(n) for n in self.prior.shape]
        rectifier = Rectifier(*(np.full(y.shape[1], edge) for edge in (low, high)))
        self.pieces = Pieces(self, *places, rectifier)
        self.pieces.centre(self.mean, np.diag(self.xx) > 0)

    def __iter__(self):
        for part in (slice(0, 60), slice(60, None)):
            skipped = None if self.skipped is None else self.skipped[part]
            yield self.x[part], self.y[part], skipped, None

    def improve(self, rounds=None):
        fit = RectifiedFit(self.pieces, self.system, self.prior, self.can_shift)
        return fit.improve(self.plain, self.level, rounds)

    def objective(self, weights, level):
        """Returns the objective of each output."""
        skipped = 0 if self.skipped is None else self.skipped
        low, high = self.pieces.rectifier.low, self.pieces.rectifier.high
        sums = (self.x - self.mean) @ weights + level + skipped
        wanted = self.y + skipped
        errors = np.where(wanted <= low, np.maximum(sums - low, 0), sums - wanted)
        errors = np.where(wanted >= high, np.minimum(sums - high, 0), errors)
        held = self.system.strength * np.sum((weights - self.prior) ** 2, axis=0)
        return np.mean(errors**2, axis=0) + held


def draw(seed=0, **arguments):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(200, 6)) + 1
    y = x @ generator.normal(size=(6, 4)) + generator.normal(size=(200, 4))
    skipped = generator.normal(size=y.shape)
    return Problem(x, y, skipped, **arguments)


@pytest.mark.parametrize("sign", [1, -1])
def test_what_only_the_flat_side_allows_is_reached(sign):
    # Of `x` for x > 0 and `5 x` for x < 0, the positive part is all that a ReLU shows.
    # From `relu(x)` alone a plain fit cannot tell how far it goes down.
    x = np.linspace(-1, 1, 101)[:, np.newaxis]
    wanted = sign * np.where(x > 0, x, 5 * x)
    edges = (0, np.inf) if sign > 0 else (-np.inf, 0)
    problem = Problem(np.maximum(x, 0), wanted, None, *edges, ridge=1e-7)
    rectify = np.maximum if sign > 0 else np.minimum

    def error(weights, level):
        found = rectify((problem.x - problem.mean) @ weights + level, 0)
        return np.abs(found - rectify(wanted, 0)).max()

    assert error(problem.plain, problem.level) > 0.3
    assert error(*problem.improve(300)) < 1e-3


@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("edges", [(0.0, np.inf), (-np.inf, 0.5), (0.0, 2.0)])
def test_the_objective_is_minimized(edges, shift):
    problem = draw(low=edges[0], high=edges[1], ridge=0.1, shift=shift)
    weights, level = problem.improve(300)

    def total(flat):
        fit = flat.reshape(7, 4)
        return problem.objective(fit[:-1], fit[-1] * shift).sum()

    start = np.concatenate([problem.plain, problem.level[np.newaxis]]).ravel()
    least = scipy.optimize.minimize(total, start, options={"gtol": 1e-6}).fun
    assert problem.objective(problem.plain, problem.level).sum() > 1.02 * least
    assert problem.objective(weights, level).sum() < 1.0001 * least
    if not shift:
        np.testing.assert_array_equal(level, 0)


@pytest.mark.parametrize("seed", range(5))
def test_a_few_rounds_go_most_of_the_way_and_none_makes_it_worse(seed):
    problem = draw(seed)
    objectives = [problem.objective(*problem.improve(n)) for n in (0, 1, 2, 3, 100)]
    assert all((found <= objectives[0]).all() for found in objectives)
    left = objectives[3].sum() - objectives[-1].sum()
    assert left < 0.4 * (objectives[0].sum() - objectives[-1].sum())


def test_an_output_that_becomes_worse_is_that_of_the_plain_fit(monkeypatch):
    problem = draw()
    better, _ = problem.improve()
    solve = problem.system.solve

    def solve_one_wrongly(xy, prior):
        return solve(xy, prior) + np.array([0, 0, 10, 0])

    monkeypatch.setattr(problem.system, "solve", solve_one_wrongly)
    weights, level = problem.improve(1)
    np.testing.assert_array_equal(weights[:, 2], problem.plain[:, 2])
    assert level[2] == problem.level[2]
    assert not np.allclose(weights[:, [0, 1, 3]], problem.plain[:, [0, 1, 3]])
    assert not np.allclose(better[:, 2], problem.plain[:, 2])


def test_where_no_side_is_flat_the_plain_fit_is_right():
    problem = draw(low=-100)
    weights, level = problem.improve()
    np.testing.assert_array_equal(weights, problem.plain)
    np.testing.assert_array_equal(level, problem.level)


def test_a_constant_column_has_no_part_in_it():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    x[:, 1] = 1e4 / 3  # its mean is off by rounding
    problem = Problem(x, generator.normal(size=(200, 2)), shift=True)
    problem.xx[1], problem.xx[:, 1] = 0, 0
    problem.system = RidgeSystem(problem.xx, 1e-3)
    problem.pieces.centre(problem.mean, np.diag(problem.xx) > 0)
    problem.plain[1] = 0
    weights, _ = problem.improve()
    np.testing.assert_array_equal(weights[1], 0)


def block(x, make=lambda x: layers.ReLU()(layers.BatchNormalization()(x)), **arguments):
    return make(layers.Conv2D(8, 3, padding="same", name="read", **arguments)(x))


def residual(x):
    y = layers.Conv2D(8, 3, padding="same", activation="relu", name="inner")(x)
    return block(
        y, lambda y: layers.ReLU()(layers.Add()([x, layers.BatchNormalization()(y)]))
    )


CONTEXTS = {
    "its own": lambda x: block(x, lambda y: y, activation="relu"),
    "relu6": lambda x: block(x, layers.ReLU(0.4)),
    "its own relu6": lambda x: block(x, lambda y: y, activation="relu6"),
    "a layer": lambda x: block(x, layers.ReLU()),
    "normalization": block,
    "no bias": lambda x: block(x, use_bias=False),
    "neither": lambda x: block(x, layers.ReLU(), use_bias=False),
    "residual": residual,
    "groups": lambda x: block(x, groups=2),
    "dense": lambda x: layers.Dense(8, activation="relu", name="read")(x),
}


def network(make, seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(inputs)
    model = models.randomize(keras.Model(inputs, make(x)), seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(layer.gamma * ([1, -1] * 4))
    return model


def prune(model, memory=None):
    """Returns the model without some units of its first layer, repaired, and images."""
    channel_map = trace_channels(model)
    keep = np.ones(channel_map.num_units, bool)
    keep[channel_map.groups[0].units[::2]] = False
    images = models.images(model, 64)
    batches = [[tf.constant(x)] for x in np.split(images, 4)]
    cut, targets = cut_out(model, keep, channel_map), RecordedTargets(memory)
    walk = Repairer(cut, batches, ridge=1e-3, targets=targets)
    walk.advance(len(channel_map.graph.calls))
    return walk.model, images


def outputs_of(model, images):
    return model(images).numpy().astype("float32")


def plain(monkeypatch, model):
    """Returns the model as it is repaired without a look at what follows."""
    with monkeypatch.context() as patch:
        patch.setattr(fits, "find_rectifier", lambda *_: None)
        return prune(model)[0]


def errors(monkeypatch, model):
    """Returns the squared errors of the repaired model, and of the plain one."""
    (pruned, images), other = prune(model), plain(monkeypatch, model)
    wanted, kept = outputs_of(model, images), slice(None)
    if other.output_shape != model.output_shape:  # its units are among those removed
        kept = slice(1, None, 2)
    return [
        np.mean((outputs_of(m, images) - wanted[..., kept]) ** 2)
        for m in (pruned, other)
    ]


@pytest.mark.sweep(2)
@pytest.mark.parametrize("kind", CONTEXTS)
def test_what_comes_out_of_the_relu_is_nearer(monkeypatch, kind):
    ours, theirs = errors(monkeypatch, network(CONTEXTS[kind]))
    assert ours < 0.99 * theirs


@pytest.mark.sweep(1)
@pytest.mark.parametrize("kind", ["residual", "groups"])
def test_what_is_not_held_is_made_again(monkeypatch, kind):
    model = network(CONTEXTS[kind])
    held, _ = prune(model)
    monkeypatch.setattr(repairer, "MAX_BYTES", 0)
    anew, _ = prune(model)
    for ours, theirs in zip(anew.weights, held.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("memory", "is_held"), [(2**30, True), (2**15, False)])
def test_rows_are_held_as_far_as_memory_allows(monkeypatch, memory, is_held):
    made = []

    class Watched(HeldPairs):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(fits, "HeldPairs", Watched)
    prune(network(residual), memory)
    assert made[-1].is_held == is_held


def test_twice_the_same_comes_out():
    model = network(residual)
    for ours, theirs in zip(
        prune(model)[0].weights, prune(model)[0].weights, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.sweep(1)
@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16"])
def test_layers_of_less_precision_are_fitted_too(monkeypatch, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = network(residual)
        ours, theirs = errors(monkeypatch, model)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(ours)
    assert ours < theirs
