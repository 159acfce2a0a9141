"""Second moments of a layer's input and target: sums, and nothing but sums."""

import dataclasses
import itertools

import numpy as np

CONSTANT = 1e-9  # share of the square that counts as rounding
_SUMS = ("sum_x", "sum_y", "xx", "xy", "yy")


@dataclasses.dataclass
class Gram:
    """Sums over the rows of a linear layer. Those of different data add up.

    The sums are of what is left after the mean of the first rows is subtracted: it
    varies about zero, so that rounding keeps what varies apart from what does not.

    With products in single precision, which take half the time, an eigenvalue that
    should be 0 can come out as low as minus 5e-5 times the mean of the diagonal. That
    is nothing beside the ridge of a ranking, but more than the smallest of `RIDGES`, so
    that a fit of few rows would have no Cholesky factor. Sums are always in double
    precision.

    Attributes:
        num_columns: Integer, of the rows.
        num_outputs: Integer, of the targets.
        is_single: Boolean, whether products are in single precision.
        count: Integer, rows so far.
        shift_x: Float array, shape `(num_columns,)`, what is subtracted from rows, or
            `None` if there are none yet.
        shift_y: The same of the targets, shape `(num_outputs,)`.
        sum_x: Float array, shape `(num_columns,)`.
        sum_y: Float array, shape `(num_outputs,)`.
        xx: Float array, shape `(num_columns, num_columns)`.
        xy: Float array, shape `(num_columns, num_outputs)`.
        yy: Float array, shape `(num_outputs,)`, sums of squares.
    """

    num_columns: int
    num_outputs: int
    is_single: bool = False
    count: int = 0
    shift_x: np.ndarray = None
    shift_y: np.ndarray = None
    sum_x: np.ndarray = None
    sum_y: np.ndarray = None
    xx: np.ndarray = None
    xy: np.ndarray = None
    yy: np.ndarray = None

    def __post_init__(self):
        columns, outputs = self.num_columns, self.num_outputs
        shapes = {
            "sum_x": columns,
            "sum_y": outputs,
            "xx": (columns, columns),
            "xy": (columns, outputs),
            "yy": outputs,
        }
        for name, shape in shapes.items():
            if getattr(self, name) is None:
                setattr(self, name, np.zeros(shape))

    def add(self, rows, targets=None):
        """Adds rows.

        Args:
            rows: Float32 tensor, shape `(..., num_columns)`.
            targets: Float32 tensor, shape `(..., num_outputs)`, of as many rows.
                `None` if there are no outputs.
        """
        rows = np.reshape(rows, [-1, self.num_columns])
        if targets is None:
            targets = np.zeros((len(rows), 0), "float32")
        targets = np.reshape(targets, [len(rows), self.num_outputs])
        if self.shift_x is None:
            self.shift_x, self.shift_y = rows.mean(axis=0), targets.mean(axis=0)
        with np.errstate(invalid="ignore"):  # what is not finite is found in the sums
            rows, targets = rows - self.shift_x, targets - self.shift_y
        if not self.is_single:
            rows, targets = rows.astype("float64"), targets.astype("float64")
        self.count += len(rows)
        self.sum_x += rows.sum(axis=0)
        self.sum_y += targets.sum(axis=0)
        self.xx += rows.T @ rows  # for NumPy, half the steps of another product
        self.xy += rows.T @ targets
        self.yy += np.einsum("no,no->o", targets, targets)

    def __add__(self, other):
        """Returns the sums over the rows of both."""
        if not self.count:
            empty = Gram(self.num_columns, self.num_outputs, self.is_single)
            return other + self if other.count else empty
        if other.count:
            other = other._shifted(self.shift_x, self.shift_y)
        names = ("count", *_SUMS)
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return dataclasses.replace(self, **sums)

    @property
    def mean_x(self):
        """Float array, shape `(num_columns,)`, the means of the columns."""
        return (self.sum_x + self.count * self.shift_x) / self.count

    def covariances(self, centred=True):
        """Returns means and covariances; 0 for what is constant up to rounding.

        Args:
            centred: Boolean. Without, the means are 0 and moments about 0 come back.

        Returns:
            Tuple `(mean_x, mean_y, xx, xy, yy)`, all divided by `count`.
        """
        about = self._shifted(0.0, 0.0)
        squares = np.diag(about.xx) / self.count
        if centred:
            mean_x, mean_y = about.sum_x / self.count, about.sum_y / self.count
            about = self._shifted(mean_x, mean_y)
        else:
            mean_x, mean_y = np.zeros(self.num_columns), np.zeros(self.num_outputs)
        xx, xy, yy = (m / self.count for m in (about.xx, about.xy, about.yy))
        constant = np.diag(xx) <= CONSTANT * squares
        xx[constant], xx[:, constant], xy[constant] = 0, 0, 0
        return mean_x, mean_y, xx, xy, yy

    def squared_error(self, weights, bias):
        """Returns the mean squared error of a fit, summed over the outputs.

        Args:
            weights: Float array, shape `(num_columns, num_outputs)`.
            bias: Float array, shape `(num_outputs,)`.
        """
        bias = bias + self.shift_x @ weights - self.shift_y
        predicted = self.xx @ weights + np.outer(self.sum_x, bias)
        error = np.sum(weights * (predicted - 2 * self.xy)) + self.yy.sum()
        error += np.sum(bias * (self.sum_x @ weights - 2 * self.sum_y))
        return float(error + self.count * np.sum(bias**2)) / self.count

    def _shifted(self, shift_x, shift_y):
        """Returns the same sums, of what other values are subtracted from."""
        shift_x = np.broadcast_to(np.asarray(shift_x, "float64"), [self.num_columns])
        shift_y = np.broadcast_to(np.asarray(shift_y, "float64"), [self.num_outputs])
        x, y = self.shift_x - shift_x, self.shift_y - shift_y
        cross = np.outer(self.sum_x, x)
        return dataclasses.replace(
            self,
            shift_x=shift_x,
            shift_y=shift_y,
            sum_x=self.sum_x + self.count * x,
            sum_y=self.sum_y + self.count * y,
            xx=self.xx + cross + cross.T + self.count * np.outer(x, x),
            xy=self.xy
            + np.outer(self.sum_x, y)
            + np.outer(x, self.sum_y + self.count * y),
            yy=self.yy + 2 * y * self.sum_y + self.count * y**2,
        )


def totals(grams, workers):
    """Returns the sums over the rows of all workers, the same on each of them.

    Args:
        grams: Iterable of `Gram`s of this worker's rows; all workers have as many, of
            the same shapes.
        workers: The `Workers`.

    Returns:
        List of `Gram`s: those themselves if there is one worker.
    """
    grams = list(grams)
    if workers.count == 1:
        return grams
    # Sums add up about one shift: that of the first worker that has rows.
    counts = workers.gather([gram.count for gram in grams])
    givers = np.argmax(counts > 0, axis=0)
    own = [
        gram.count > 0 and k == workers.index
        for gram, k in zip(grams, givers, strict=True)
    ]
    shifts = [_shifts_of(gram, is_own) for gram, is_own in zip(grams, own, strict=True)]
    shifts = iter(workers.sum(*itertools.chain.from_iterable(shifts)))
    totalled = []
    every = zip(grams, counts.sum(axis=0), shifts, shifts, strict=True)
    for gram, count, *shift in every:
        # What is not finite stays so in the sums, where it is found.
        with np.errstate(invalid="ignore"):
            about = gram._shifted(*shift) if gram.count else gram
        sums = workers.sum(*(getattr(about, name) for name in _SUMS))
        found = dict(zip(_SUMS, sums, strict=True), count=int(count))
        found |= {"shift_x": shift[0], "shift_y": shift[1]}
        totalled.append(dataclasses.replace(gram, **found))
    return totalled


def _shifts_of(gram, is_own):
    """Returns what is subtracted from rows and targets, or zeros in its place."""
    if is_own:
        return gram.shift_x, gram.shift_y
    return np.zeros(gram.num_columns), np.zeros(gram.num_outputs)


def check_finite(array, call):
    """Raises a `ValueError` that names the layer unless an array is finite."""
    if not np.isfinite(array).all():
        raise ValueError(
            "Expected finite values in the network on the calibration data. Received: "
            f"values that are not, in what layer {call.name!r} reads"
        )
