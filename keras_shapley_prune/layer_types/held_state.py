"""Calls that change variables, and leave them as they were."""

import keras


class HeldState(keras.StatelessScope):
    """A scope at whose end all variables are as they were before.

    A layer that draws at random moves its `keras.random.SeedGenerator` on, a stateful
    recurrent layer its state, and a layer may count its calls. A call within this scope
    starts from what the variables hold now, and leaves no trace: if it is made again,
    it draws the same numbers. Scopes may be nested: the inner one starts from the
    values of the outer one.

    Args:
        values: Iterable of pairs: a `keras.Variable`, and the value that it has at the
            beginning. Others have their own.

    Attributes:
        changed: Dict: id of a variable that was assigned to, also in scopes within
            this one -> the variable.
    """

    def __init__(self, values=()):
        super().__init__(values)
        self.changed = {}

    def add_update(self, update):
        super().add_update(update)
        self.note_change(update[0])

    def note_change(self, variable):
        """Notes in this scope, and in those around it, what was assigned to."""
        self.changed[id(variable)] = variable
        if isinstance(self.original_scope, HeldState):
            self.original_scope.note_change(variable)

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:
            return self.original_scope.get_current_value(variable)
        return value
