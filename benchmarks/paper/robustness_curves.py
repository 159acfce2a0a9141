"""The loss of a network as the units of one layer are set to zero, one by one."""

import keras
import numpy as np


class Curve:
    """The loss of a network as units of one layer are set to zero.

    Args:
        model: A compiled `keras.Model` of one output.
        layer: String, the name of the layer.
        data: Tuple `(x, y)`.
        batch_size: Integer.
    """

    def __init__(self, model, layer, data, batch_size=50):
        # Everything in front of the mask is the same for all removals: computed once.
        cut = model.get_layer(mask_place(model, layer)).output
        images, self._labels = data
        front = keras.Model(model.input, cut)
        values = front.predict(images, batch_size=batch_size, verbose=0)
        self._batches = np.array_split(values, -(-len(values) // batch_size))
        self._rest, self._loss = keras.Model(cut, model.output), model.loss
        self._known, self._num_units = {}, values.shape[-1]

    def measure(self, order, num_depths):
        """Returns numbers of removed units, and the loss at each.

        Args:
            order: Integer array, the units, first removed first.
            num_depths: Integer, at how many depths behind 0; the last is all units.
        """
        counts = spread_counts(self._num_units, num_depths)
        return counts, [self.loss(order[:count]) for count in counts]

    def loss(self, removed):
        """Returns the loss without some units, an integer array."""
        # None, and all of them: the same for all orders.
        if len(removed) not in self._known:
            keep = np.ones(self._num_units, "float32")
            keep[np.asarray(removed, int)] = 0
            parts = [self._rest.predict_on_batch(part * keep) for part in self._batches]
            loss = float(self._loss(self._labels, np.concatenate(parts)))
            if 0 < len(removed) < self._num_units:
                return loss
            self._known[len(removed)] = loss
        return self._known[len(removed)]


def mask_place(model, layer):
    """Returns the name of the layer behind which units are masked: after the ReLU."""
    # BatchNormalization gives a channel that is zero a shift: the mask comes after it.
    place = layer.replace("conv", "relu")
    return place if place in {each.name for each in model.layers} else layer


def spread_counts(num_units, num_depths):
    """Returns numbers of removed units, from 0 to all, evenly spread."""
    num_depths = min(num_depths, num_units)
    return np.linspace(0, num_units, num_depths + 1).round().astype(int)


def sum_increases(counts, losses):
    """Returns the sum over all removals of what the loss has risen by.

    Args:
        counts: Integers, numbers of removed units, from 0 to all.
        losses: Floats, the loss at each. Between two it is taken to be straight.
    """
    every = np.arange(1, counts[-1] + 1)
    return float(np.sum(np.interp(every, counts, losses) - losses[0]))
