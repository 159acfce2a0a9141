"""What the units of a group contribute to the layers that read them, by example.

If the units R are masked, the output of a linear layer that reads them changes by the
sum of their contributions `x_u W_u`. The game `c(R) = |sum(x_u W_u for u in R)|²` is
what the layer loses if nothing is refitted. Of the closed forms it lies nearest to the
games on the outputs. By how much a draw of it exceeds its mean is the control variate
of the estimators (`OutputEstimator.control`); the network is not run for it.
"""

import numpy as np

from keras_shapley_prune.repair.taken_rows import take_rows

# Positions times outputs of an example at which contributions are compared: the
# product of two units' contributions is a sum, of which a part of the terms is enough.
_MOST_TERMS = 4096
_MOST_NUMBERS = 2**19  # of all units: wide layers are small where they are late


class Contributions:
    """What units contribute to the linear layers that read them.

    Args:
        suffix: The `Suffix` of the group.
        readers: List of tuples of a call, its `LinearForm` and an integer array of the
            columns of each unit, see `find_readers`.
    """

    def __init__(self, suffix, readers):
        self._cut, self._readers = suffix.cut, []
        for call, form, columns in readers:
            matrix = form.matrix.astype("float32")
            # Layers count alike, whatever the scale of their weights.
            weights = matrix / max(float(np.linalg.norm(matrix)), 1e-30)
            num_outputs = matrix.shape[1]
            wanted = max(min(_MOST_TERMS, _MOST_NUMBERS // len(columns)), 1)
            weights = weights[:, _spread(num_outputs, wanted)]
            places = max(wanted // num_outputs, 1)
            self._readers.append((call, form, weights[columns], columns, places))

    def of(self, cut_values):
        """Yields the contributions in each example.

        Args:
            cut_values: List of the values of `suffix.cut`.

        Yields:
            Float array, shape `(num_units, num_terms)`.
        """
        values = dict(zip(self._cut, cut_values, strict=True))
        parts = [
            _read(values, call, form, places)
            for call, form, _, _, places in self._readers
        ]
        for rows_of_readers in zip(*parts, strict=True):
            found = []
            readers = zip(rows_of_readers, self._readers, strict=True)
            for rows, (_, _, weights, columns, _) in readers:
                # (positions, units, k) -> (units, positions, outputs)
                terms = np.matmul(rows[:, columns].transpose(1, 0, 2), weights)
                found.append(terms.reshape(len(terms), -1))
            yield np.concatenate(found, axis=1)


def _read(values, call, form, places):
    """Returns what a layer reads at some places, `(batch, places, num_columns)`."""
    inputs = form.read(call, call.read(values), {})
    count = form.count_positions(inputs)
    chosen = None if places >= count else _spread(count, places)
    return np.asarray(take_rows(form, inputs, chosen))


def _spread(count, wanted):
    """Returns numbers below `count`, evenly spread, because neighbours are alike."""
    if wanted == 1:  # at an edge a layer sees less
        return np.array([count // 2])
    return np.linspace(0, count - 1, min(wanted, count)).astype(int)
