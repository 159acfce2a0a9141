"""Objects that are settings: what they show, and what can be stored of them."""

import inspect


class Settings:
    """An object whose constructor stores each argument under its own name.

    Games, estimators, stopping rules and rankers are such objects: `repr` shows the
    call that makes an equal one, `get_config` returns its arguments for a file.
    """

    _namespace = ""  # where the public class is found, for `repr`

    def get_config(self):
        """Returns the settings as a dict that JSON can hold.

        Returns:
            Dict: argument -> value. A game, an estimator or another object becomes a
            dict with its `"class_name"` and `"config"`; a function becomes its name.
        """
        return {name: _to_plain(value) for name, value in self._arguments()}

    def __repr__(self):
        shown = [f"{name}={_to_text(value)}" for name, value in self._arguments()]
        return f"{self._namespace}{type(self).__name__}({', '.join(shown)})"

    def _arguments(self):
        # Each argument is stored under its own name, in dataclasses and elsewhere.
        names = inspect.signature(type(self)).parameters
        return [(name, getattr(self, name)) for name in names]


def _to_text(value):
    """Returns a function's name, and the `repr` of anything else."""
    return getattr(value, "__name__", None) or repr(value)


def _to_plain(value):
    if isinstance(value, (list, tuple)):
        return [_to_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): _to_plain(entry) for key, entry in value.items()}
    if hasattr(value, "item"):  # a number of NumPy
        return value.item()
    if hasattr(value, "get_config") and not isinstance(value, type):
        config = _to_plain(value.get_config())
        return {"class_name": type(value).__name__, "config": config}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return getattr(value, "__name__", None) or type(value).__name__
