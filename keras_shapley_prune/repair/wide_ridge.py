"""Ridge regression of layers too wide for a `Gram`, a block of outputs at a time."""

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.repair.gram import CONSTANT, check_finite
from keras_shapley_prune.repair.ridge import RIDGE, RIDGES

NUM_OUTPUTS = 512  # of a block: so many right-hand sides are solved together
MAX_STEPS = 64
TOLERANCE = 1e-4  # share of the objective that a step has to gain
FLOOR = 0.1  # share of the first objective: below it, gains are judged by it


def fit_wide(data, prior, centred=True, ridge=None, tolerance=TOLERANCE):
    """Returns the weights that `solve_towards` finds, without a matrix of moments.

    Args:
        data: A `LayerData`.
        prior: Float array, shape `(num_columns, num_outputs)`.
        centred: Boolean, whether the fit has a bias.
        ridge: Float, see `solve_towards`, or `None` to choose it on the held-out
            examples, for some of the outputs.
        tolerance: Float. A block is done when a step gains less than this share of
            what is left of the objective.

    Returns:
        Tuple `(weights, bias)`: float arrays, the shapes `(num_columns, num_outputs)`
        and `(num_outputs,)`.
    """
    if ridge is None:
        ridge = _choose_ridge(data, prior, centred, tolerance)
    regression = Regression(data, (False, True), centred)
    weights, bias = np.zeros(prior.shape), np.zeros(prior.shape[1])
    for start in range(0, prior.shape[1], NUM_OUTPUTS):
        outputs = np.arange(start, min(start + NUM_OUTPUTS, prior.shape[1]))
        weights[:, outputs], bias[outputs] = regression.solve(
            prior[:, outputs], outputs, ridge, tolerance
        )
    return weights, bias


class Regression:
    """Ridge regression by conjugate gradients, each step a pass over the data.

    The second moments are only ever applied to weights, never written down. What is
    held is a few arrays of the shape of the weights.

    Args:
        data: A `LayerData`.
        parts: Tuple of booleans: whether held-out examples are read, or others.
        centred: Boolean, whether the fit has a bias.

    Attributes:
        count: Integer, rows of the data, of all workers.
    """

    def __init__(self, data, parts, centred=True):
        self._data, self._parts = data, parts
        self._workers = current_workers()
        self.count, sums, squares = 0, 0.0, 0.0
        for rows, held_out in data.rows():
            rows = self._flatten(rows, held_out).numpy()
            self.count += len(rows)
            sums = sums + rows.sum(axis=0, dtype="float64")
            squares = squares + np.einsum("nc,nc->c", rows, rows, dtype="float64")
        local = (np.broadcast_to(a, [data.num_columns]) for a in (sums, squares))
        sums, squares, self.count = self._workers.sum(*local, self.count)
        # Steps that come to no number would end at the weights there were, in silence.
        check_finite(squares, data.call)
        mean, squares = sums / max(self.count, 1), squares / max(self.count, 1)
        self._mean = mean if centred else np.zeros_like(mean)
        variances = squares - self._mean**2
        self._varies = variances > CONSTANT * squares
        self._variances = np.where(self._varies, variances, 0)
        self._centred = centred

    def solve(self, prior, outputs, ridge, tolerance=TOLERANCE):
        """Solves for some outputs.

        Args:
            prior: Float array, shape `(num_columns, num_solutions)`.
            outputs: Integer array, shape `(num_solutions,)`: which output each is for.
            ridge: Float, or one for each solution.
            tolerance: Float, see `fit_wide`.

        Returns:
            Tuple `(weights, bias)`, the shapes `(num_columns, num_solutions)` and
            `(num_solutions,)`.
        """
        strength = ridge * self._variances.mean()
        scale = 1 / np.maximum(
            self._variances[:, None] + strength, np.finfo(float).tiny
        )
        gradient, mean, objective = self._find_gradient(prior, outputs)
        change, direction, old = np.zeros(prior.shape), 0.0, np.inf
        floor = FLOOR * objective
        for _ in range(MAX_STEPS):
            scaled = gradient * scale
            new = np.sum(gradient * scaled, axis=0)
            direction = scaled + direction * _divide(new, old)
            slope = self._apply_moments(direction) + strength * direction
            step = _divide(new, np.sum(direction * slope, axis=0))
            change += step * direction
            gradient -= step * slope
            gain, old = np.sum(step * new), new
            objective -= gain
            goes_on = gain > tolerance * max(objective, floor)  # false if not finite
            if not self._workers.agree(goes_on)[0]:
                break
        weights = prior + change
        return weights, mean - self._mean @ weights

    def squared_errors(self, weights, bias, outputs):
        """Returns the mean squared error of each solution."""
        sums = 0.0
        for rows, target in self._pairs(outputs):
            error = target - tf.matmul(rows, _single(weights)) - _single(bias)
            sums = sums + tf.reduce_sum(error**2, axis=0).numpy().astype("float64")
        (sums,) = self._workers.sum(np.broadcast_to(sums, [len(outputs)]))
        return sums / self.count

    def _find_gradient(self, weights, outputs):
        """Returns moments of the centred rows with the error of weights on them.

        Returns:
            Tuple of the moments, the mean error of each solution (0 if the fit has no
            bias) and the squared error that is left then, summed over solutions.
        """
        moments, sums, squares = np.zeros(weights.shape), 0.0, 0.0
        for rows, target in self._pairs(outputs):
            # Single precision would lose what varies to what does not.
            rows = rows - _single(self._mean)
            error = target - tf.matmul(rows, _single(weights))
            sums = sums + tf.reduce_sum(error, axis=0).numpy().astype("float64")
            squares += float(tf.reduce_sum(error**2))
            moments += tf.matmul(rows, error, transpose_a=True).numpy()
        sums = np.broadcast_to(sums, [len(outputs)])
        moments, sums, squares = self._workers.sum(moments, sums, squares)
        mean = sums / self.count if self._centred else np.zeros(weights.shape[1])
        moments[~self._varies] = 0
        return moments / self.count, mean, squares / self.count - np.sum(mean**2)

    def _apply_moments(self, weights):
        """Returns the second moments of the rows times weights."""
        product, factor = np.zeros(weights.shape), _single(weights)
        for rows, held_out in self._data.rows():
            rows = self._flatten(rows, held_out) - _single(self._mean)
            outputs = tf.matmul(rows, factor)
            product += tf.matmul(rows, outputs, transpose_a=True).numpy()
        (product,) = self._workers.sum(product)
        product[~self._varies] = 0
        return product / self.count

    def _pairs(self, outputs):
        """Yields the rows of each batch, and their targets."""
        for rows, target, _, held_out in self._data.pairs():
            target = tf.gather(target, outputs, axis=-1)
            yield self._flatten(rows, held_out), self._flatten(target, held_out)

    def _flatten(self, tensor, held_out):
        """Returns the rows of the examples that are read, as a matrix."""
        chosen = np.isin(held_out, self._parts)
        tensor = tensor if chosen.all() else tf.boolean_mask(tensor, chosen)
        return tf.reshape(tensor, [-1, tensor.shape[-1]])


def _choose_ridge(data, prior, centred, tolerance):
    """Returns what `choose_ridge` does, judged by some of the outputs."""
    rest, held_out = (Regression(data, (part,), centred) for part in (False, True))
    if not rest.count or not held_out.count:
        return RIDGE
    stride = -(-prior.shape[1] * len(RIDGES) // NUM_OUTPUTS)
    outputs = np.tile(np.arange(0, prior.shape[1], stride), len(RIDGES))
    ridges = np.repeat(RIDGES, len(outputs) // len(RIDGES))
    weights, bias = rest.solve(prior[:, outputs], outputs, ridges, tolerance)
    errors = held_out.squared_errors(weights, bias, outputs)
    best = np.argmin(errors.reshape(len(RIDGES), -1).sum(axis=1))
    (best,) = current_workers().agree(best)
    return RIDGES[int(best)]


def _divide(numerator, denominator):
    """Returns the quotient, 0 where there is nothing to divide."""
    possible = denominator > 0
    return np.where(possible, numerator / np.where(possible, denominator, 1), 0.0)


def _single(array):
    return tf.constant(array, tf.float32)
