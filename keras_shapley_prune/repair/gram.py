"""Second moments of a layer's input and target: sums, and nothing but sums."""

import dataclasses

import numpy as np
import tensorflow as tf

CONSTANT = 1e-9  # share of the square that counts as rounding


@dataclasses.dataclass
class Gram:
    """Sums over the rows of a linear layer. Those of different data add up.

    Attributes:
        num_columns: Integer, of the rows.
        num_outputs: Integer, of the targets.
        count: Integer, rows so far.
        sum_x: Float array, shape `(num_columns,)`.
        sum_y: Float array, shape `(num_outputs,)`.
        xx: Float array, shape `(num_columns, num_columns)`.
        xy: Float array, shape `(num_columns, num_outputs)`.
        yy: Float array, shape `(num_outputs,)`, sums of squares.
    """

    num_columns: int
    num_outputs: int
    count: int = 0
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

    def add(self, rows, targets):
        """Adds rows.

        Args:
            rows: Float32 tensor, shape `(..., num_columns)`.
            targets: Float32 tensor, shape `(..., num_outputs)`, of as many rows.
        """
        # Single precision would lose what varies to what does not. NumPy multiplies
        # doubles several times as fast as TensorFlow, and `x.T @ x` in half the steps.
        rows = tf.reshape(rows, [-1, self.num_columns]).numpy().astype("float64")
        targets = tf.reshape(targets, [-1, self.num_outputs]).numpy()
        targets = targets.astype("float64")
        self.count += len(rows)
        self.sum_x += rows.sum(axis=0)
        self.sum_y += targets.sum(axis=0)
        self.xx += rows.T @ rows
        self.xy += rows.T @ targets
        self.yy += np.sum(targets**2, axis=0)

    def __add__(self, other):
        """Returns the sums over the rows of both."""
        names = [f.name for f in dataclasses.fields(self)][2:]
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Gram(self.num_columns, self.num_outputs, **sums)

    def covariances(self, centred=True):
        """Returns means and covariances; 0 for what is constant up to rounding.

        Args:
            centred: Boolean. Without, the means are 0 and moments about 0 come back.

        Returns:
            Tuple `(mean_x, mean_y, xx, xy, yy)`, all divided by `count`.
        """
        mean_x, mean_y = self.sum_x / self.count, self.sum_y / self.count
        if not centred:
            mean_x, mean_y = np.zeros_like(mean_x), np.zeros_like(mean_y)
        xx = self.xx / self.count - np.outer(mean_x, mean_x)
        xy = self.xy / self.count - np.outer(mean_x, mean_y)
        constant = np.diag(xx) <= CONSTANT * np.diag(self.xx) / self.count
        xx[constant], xx[:, constant], xy[constant] = 0, 0, 0
        return mean_x, mean_y, xx, xy, self.yy / self.count - mean_y**2

    def squared_error(self, weights, bias):
        """Returns the mean squared error of a fit, summed over the outputs.

        Args:
            weights: Float array, shape `(num_columns, num_outputs)`.
            bias: Float array, shape `(num_outputs,)`.
        """
        predicted = self.xx @ weights + np.outer(self.sum_x, bias)
        error = np.sum(weights * (predicted - 2 * self.xy)) + self.yy.sum()
        error += np.sum(bias * (self.sum_x @ weights - 2 * self.sum_y))
        return float(error + self.count * np.sum(bias**2)) / self.count
