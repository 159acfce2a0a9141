"""The reconstruction game: what a coalition explains, after the best linear repair.

The players are the channels that a linear layer reads. The worth of a coalition is
minus the squared error with which the layer's outputs are reconstructed from those
channels when the layer is refitted to them by ridge regression. In closed form: if H is
the inverse of the regularized second moments of the columns and W the fit to all of
them, then leaving out the columns R costs `tr(W_R' inv(H_RR) W_R)` (optimal brain
surgeon: Hassibi and Stork 1992, for whole channels). The costs of removing units one
after the other are the squared rows of `inv(L) W_R`, where `L L' = H_RR` is the
Cholesky factor in the order of removal: one factorization is a whole walk.
"""

import numpy as np
import scipy.linalg

MAX_BYTES = 2**26  # of the weights of units whose costs are computed at a time
# A variance that is none. Of a layer that reads or returns constants, costs are then
# the squares of its weights; the smallest number there is would overflow on the way.
NOTHING = 1e-100
COMPACT = 0.7  # share of the columns, below it those that are gone are dropped


class ReconstructionGame:
    """The game of one layer.

    Args:
        xx: Float array, shape `(num_columns, num_columns)`, second moments of what
            the layer reads.
        xy: Float array, shape `(num_columns, num_outputs)`, with what it should
            return.
        prior: Float array, shape `(num_columns, num_outputs)`, its weights.
        unit_of: Integer array, shape `(num_columns,)`: the player that supplies each
            column; negative for columns that always stay.
        num_units: Integer.
        ridge: Float, see `solve_towards`.
        scale: Float array, shape `(num_outputs,)`, or a number: errors of an output
            count times its square.
    """

    def __init__(self, xx, xy, prior, unit_of, num_units, ridge, scale=1.0):
        self._set_up(xx, xy, prior, unit_of, ridge, scale)
        owners = unit_of[unit_of >= 0]
        self._columns = [np.flatnonzero(owners == unit) for unit in range(num_units)]

    def _set_up(self, xx, xy, prior, unit_of, ridge, scale):
        strength = max(ridge * np.trace(xx) / len(xx), NOTHING)
        regular = xx + strength * np.eye(len(xx))
        inverse = _invert(regular)
        fitted = inverse @ (xy + strength * prior)
        columns = np.flatnonzero(unit_of >= 0)
        if len(columns) < len(inverse):
            inverse = _submatrix(inverse, columns)
        # Outputs enter the costs through W W' alone.
        outputs = fitted[columns] * scale
        if outputs.shape[1] > len(columns):
            outputs = np.linalg.qr(outputs.T, mode="r").T
        self._inverse, self._outputs = inverse, outputs

    def walk(self, order):
        """Returns what each of a sequence of removals costs.

        Args:
            order: Integer array, units in the order in which they leave.

        Returns:
            Float array of that shape.
        """
        removed = [self._columns[unit] for unit in order]
        columns = np.concatenate(removed)
        # Columns first, as LAPACK has it, nothing is copied: the matrix is symmetric.
        factor = _factorize(_submatrix(self._inverse, columns).T)
        # Without the threads that solve_triangular starts for the smallest matrix.
        outputs = self._outputs[columns].T
        rows = scipy.linalg.blas.dtrsm(
            1.0, factor, outputs, side=1, lower=1, trans_a=1, overwrite_b=1
        ).T
        costs = np.append(np.einsum("co,co->c", rows, rows), 0.0)
        starts = np.cumsum([0, *[len(found) for found in removed]])
        return np.diff(np.append(0.0, np.cumsum(costs))[starts])

    def leave_one_out(self, active):
        """Returns what the removal of each active unit alone costs.

        The saliency of the optimal brain surgeon, for whole channels.

        Args:
            active: Integer array of units.

        Returns:
            Float array of that shape.
        """
        costs = np.zeros(len(active))
        sizes = np.array([len(self._columns[unit]) for unit in active])
        for size in set(sizes) - {0}:
            alike = np.flatnonzero(sizes == size)
            if size == 1:
                columns = np.concatenate([self._columns[active[p]] for p in alike])
                weights = np.einsum("co,co->c", *[self._outputs[columns]] * 2)
                costs[alike] = weights / np.diag(self._inverse)[columns]
                continue
            num_units = max(MAX_BYTES // (8 * size * self._outputs.shape[1]), 1)
            for some in np.split(alike, range(num_units, len(alike), num_units)):
                columns = np.stack([self._columns[active[place]] for place in some])
                inner = self._inverse[columns[:, :, np.newaxis], columns[:, np.newaxis]]
                outputs = self._outputs[columns]
                weights = np.linalg.solve(inner, outputs)
                costs[some] = np.einsum("uco,uco->u", outputs, weights)
        return costs

    def leave(self, units):
        """Removes units for good; the others are refitted."""
        gone = np.concatenate([self._columns[unit] for unit in units])
        if not len(gone):
            return
        across = self._inverse[gone]
        factor = _factorize(across[:, gone].T.copy(order="F"))
        # inv(L) of what leaves, times its rows: their products are what is subtracted.
        half = scipy.linalg.blas.dtrsm(1.0, factor, across, lower=1)
        outputs = scipy.linalg.blas.dtrsm(1.0, factor, self._outputs[gone], lower=1)
        self._outputs -= half.T @ outputs
        self._inverse -= half.T @ half
        for unit in units:
            self._columns[unit] = self._columns[unit][:0]
        self._compact()

    def _compact(self):
        """Drops the columns that are gone, once they are many: it copies all."""
        left = np.sort(np.concatenate(self._columns))
        if len(left) > COMPACT * len(self._inverse):
            return
        self._inverse = _submatrix(self._inverse, left)
        self._outputs = self._outputs[left]
        self._columns = [np.searchsorted(left, found) for found in self._columns]


def _invert(matrix):
    """Returns the inverse of a symmetric positive definite matrix."""
    lower, failed = scipy.linalg.lapack.dpotri(_factorize(matrix.T), lower=1)
    _check(failed)
    inverse = np.tril(lower)
    inverse += np.tril(inverse, -1).T
    return inverse


def _factorize(matrix):
    """Returns the lower Cholesky factor of a matrix, which may be overwritten."""
    factor, failed = scipy.linalg.lapack.dpotrf(matrix, lower=1, overwrite_a=1)
    _check(failed)
    return factor


def _check(failed):
    if failed:
        raise np.linalg.LinAlgError(f"Minor {failed} is not positive definite.")


def _submatrix(matrix, places):
    """Returns rows and columns of a matrix; one after the other is the fast way."""
    return matrix.take(places, axis=0).take(places, axis=1)
