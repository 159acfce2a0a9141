"""Ridge regression through the ReLU that follows a layer."""

import numpy as np

from keras_shapley_prune.devices.workers import current_workers

ROUNDS = 2  # solutions of the system; more bring this error down, not the network's


class RectifiedFit:
    """Refits a layer to what comes out of the ReLU behind it.

    Where the original's ReLU returns 0, any value that it makes 0 of is right. With u
    what the ReLU reads, and u0 what it reads in the original, the mean of r^2 plus the
    ridge is minimized, where r is u - u0 where u0 > 0, and max(u, 0) elsewhere; the
    same above a ceiling. That is convex. It is solved as a ridge regression whose
    targets move: where any value on a flat side is right, the target of the next round
    is the nearest of them. The moments of what is read do not change, and are
    factorized once. Every round brings the objective down, with momentum faster
    (Nesterov, "A method for solving the convex programming problem with convergence
    rate O(1/k^2)", 1983).

    Products of rows are in single precision: they are of rows about their mean, and
    only correct a solution in double precision.

    Args:
        pieces: Centred `Pieces` of the data.
        system: The `RidgeSystem` of the plain fit.
        prior: Float array, shape `(num_columns, num_outputs)`.
        can_shift: Boolean, whether the fit has a bias.
    """

    def __init__(self, pieces, system, prior, can_shift):
        self._pieces, self._system = pieces, system
        self._prior, self._can_shift = prior, can_shift

    def improve(self, weights, level, rounds=None):
        """Returns the weights of the refit, and what it returns at the mean.

        An output that has not become better than in the plain fit is that of it.

        Args:
            weights: Float array, shape `(num_columns, num_outputs)`, the plain fit.
            level: Float array, shape `(num_outputs,)`, what it returns at the mean.
            rounds: Integer, by default `ROUNDS`.

        Returns:
            Tuple of new `weights` and `level`.
        """
        plain = last = now = _stack(weights, level)
        first = None
        for step in range(ROUNDS if rounds is None else rounds):
            ahead = now + step / (step + 3) * (now - last)
            objective, correction = self._look(ahead)
            first = objective if first is None else first
            last, now = now, plain + correction
        if first is None:
            return weights, level
        objective, _ = self._look(now, correct=False)
        best = np.where(objective < first, now, plain)
        return best[:-1], best[-1]

    def _look(self, fit, correct=True):
        """Returns the objective of each output, and how the plain fit is corrected."""
        weights, level = fit[:-1].astype("float32"), fit[-1].astype("float32")
        squares, moved, product, count = 0.0, 0.0, 0.0, 0
        for rows, wanted, skipped in self._pieces:
            sums = rows @ weights
            sums += level
            sums += skipped
            aim = self._pieces.rectifier.aim(sums, wanted)
            sums -= aim
            squares = squares + np.einsum("no,no->o", sums, sums, dtype="float64")
            count += len(rows)
            if correct:
                aim -= wanted
                moved = moved + aim.sum(axis=0, dtype="float64")
                product = product + (rows.T @ aim).astype("float64")
        # A worker that has no rows has no vectors either.
        local = [np.broadcast_to(squares, fit.shape[1:]), count]
        if correct:
            local.append(np.broadcast_to(moved, fit.shape[1:]))
            local.append(np.broadcast_to(product, self._prior.shape))
        squares, count, *others = current_workers().sum(*local)
        held = self._system.strength * np.sum((fit[:-1] - self._prior) ** 2, axis=0)
        if not correct:
            return squares / count + held, None
        moved, product = others
        change = self._system.solve(product / count, np.zeros_like(self._prior))
        level = moved / count if self._can_shift else np.zeros_like(moved)
        return squares / count + held, _stack(change, level)


class Pieces:
    """What a block of a layer reads, and what should come of it, as float32 arrays.

    Each is a tuple: rows less their mean, shape `(rows, num_columns)`; what the ReLU
    should read, as a sum of what the layer returns and what a skip connection adds to
    that, shape `(rows, num_outputs)`; and what it adds, of that shape, or 0.

    Args:
        pairs: A `HeldPairs` that has been read once.
        columns: Integer array, those of the block.
        outputs: Integer array, those of the block.
        rectifier: The `Rectifier` of the layer.

    Attributes:
        rectifier: The `Rectifier` of these outputs.
    """

    def __init__(self, pairs, columns, outputs, rectifier):
        self._pairs, self._columns, self._outputs = pairs, columns, outputs
        self.rectifier = rectifier.of(outputs)
        self._mean, self._varies, self._held = None, None, None

    def centre(self, mean, varies):
        """Sets what is subtracted from rows, and holds them if the pairs are held.

        Args:
            mean: Float array, shape `(num_columns,)`.
            varies: Boolean array of that shape, false for columns that are constant up
                to rounding: they become 0.
        """
        self._mean, self._varies = mean.astype("float32"), varies
        self._held = list(self._make()) if self._pairs.is_held else None

    def __iter__(self):
        return self._make() if self._held is None else iter(self._held)

    def _make(self):
        for rows, target, skipped, _ in self._pairs:
            wanted = _take(target, self._outputs)
            skipped = 0 if skipped is None else _take(skipped, self._outputs)
            rows = _take(rows, self._columns) - self._mean
            rows[:, ~self._varies] = 0
            yield rows, wanted + skipped, skipped


def _take(tensor, places):
    """Returns some of the last axis of a tensor, as the columns of a matrix."""
    matrix = np.reshape(tensor, [-1, tensor.shape[-1]])
    return matrix if len(places) == matrix.shape[1] else matrix[:, places]


def _stack(weights, level):
    """Returns one array of weights and of a last row."""
    return np.concatenate([weights, level[np.newaxis]])
