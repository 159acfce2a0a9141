"""What a rule reads, and what it returns: how to re-make one call of an operation."""

import dataclasses

import numpy as np

from keras_shapley_prune.layer_types.layouts.orders import same_order


@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """One tensor that a call reads.

    Attributes:
        shape: Tuple, that of the original tensor.
        order: Tuple, the order of its axes here, see `orders.py`.
        rows: Integer array, the order of the entries of its last axis here, or `None`
            where they are as in the original: see `flat_rows`.
    """

    shape: tuple
    order: tuple
    rows: object = None

    @property
    def rank(self):
        """Integer, the number of axes."""
        return len(self.shape)

    @property
    def is_as_before(self):
        """Boolean, whether nothing stands in another order."""
        return self.order == same_order(self.rank) and self.rows is None


@dataclasses.dataclass(frozen=True, eq=False)
class Recipe:
    """How a call is made on tensors in another order.

    Attributes:
        orders: Tuple, the order in which each input is wanted.
        outputs: Callable `fn(rank)` that returns the order of an output of that rank.
        config: Dict, the entries of the config that change.
        weights: Callable `fn(name, value)` that returns the new value of a weight, or
            `None` if all are the original's.
        rows: Tuple, the `rows` with which each input is wanted.
        rows_out: The `rows` of the outputs.
        arguments: Callable `fn(args, kwargs)` that returns both as the call needs
            them, or `None`.
        function: Callable of the inputs that is called in the operation's place, or
            `None`.
        after: Tuple of callables `fn(tensor)` that are applied to what the call
            returns, one after the other.
        is_free: Boolean, whether the call only changes the order of its input's axes:
            then nothing is called.
    """

    orders: tuple
    outputs: object
    config: dict = dataclasses.field(default_factory=dict)
    weights: object = None
    rows: tuple = ()
    rows_out: object = None
    arguments: object = None
    function: object = None
    after: tuple = ()
    is_free: bool = False

    @property
    def changes_layer(self):
        """Boolean, whether the layer itself is another one than the original."""
        return bool(self.config) or self.weights is not None

    def rows_of(self, position):
        """Returns the `rows` with which the input at a position is wanted."""
        return self.rows[position] if self.rows else None


def as_before(placed):
    """Returns the `Recipe` of a call of which nothing is known: all as it was."""
    return Recipe(tuple(same_order(value.rank) for value in placed), same_order)


def same_rows(rows, others):
    """Returns whether two `rows` are the same, `None` among them."""
    if rows is None or others is None:
        return rows is others
    return np.array_equal(rows, others)
