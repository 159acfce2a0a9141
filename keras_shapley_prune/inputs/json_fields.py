"""The fields of a JSON file, each checked for type, length and range as it is read."""

import math

from keras_shapley_prune.inputs.arguments import show

_MISSING = object()


class Fields:
    """A dict out of a file that may have been edited, or damaged, since.

    Its errors name the file and the place in it.

    Args:
        content: Dict, of what `json.load` returns.
        expected: String, what the file should be: the beginning of its errors.
        received: String, which file it is: their end.
        place: Tuple of strings and integers, the keys that lead from the whole file to
            this dict.

    Example:

    ```python
    fields = load_json(path, "Ranking")
    method = fields.string("method")
    for name, group in fields.dicts("groups").items():
        values = group.numbers("values")
    ```
    """

    def __init__(self, content, expected, received, place=()):
        self._content, self._place = content, place
        self._expected, self._received = expected, received

    def __contains__(self, name):
        return name in self._content

    def __iter__(self):
        return iter(self._content)

    def get(self, name):
        """Returns a value as it is, `None` if there is none."""
        return self._content.get(name)

    def string(self, name):
        """Returns a string."""
        return self._get(name, lambda v: isinstance(v, str), "a string")

    def choice(self, name, choices, default):
        """Returns one of some strings, or `default` if there is none."""
        if name not in self._content:
            return default
        # A list has no hash, and is in no tuple of strings either.
        return self._get(name, lambda v: v in list(choices), f"one of {list(choices)}")

    def boolean(self, name, default):
        """Returns a boolean, or `default` if there is none."""
        if name not in self._content:
            return default
        return self._get(name, lambda v: isinstance(v, bool), "true or false")

    def integer(self, name, least=0, most=math.inf):
        """Returns an integer between `least` and `most`."""
        bounds = f"of at least {least}" if most == math.inf else f"{least} to {most}"
        return self._get(
            name, lambda v: _is_integer(v) and least <= v <= most, f"integer {bounds}"
        )

    def strings(self, name):
        """Returns a list of strings."""
        fits = _all(lambda v: isinstance(v, str), least=0)
        return self._get(name, fits, "a list of strings")

    def integers(self, name, length=None, least=0):
        """Returns a list of integers of at least `least`."""
        fits = _all(lambda v: _is_integer(v) and v >= least, length)
        count = "" if length is None else f"{length} "
        return self._get(name, fits, f"a list of {count}integers of at least {least}")

    def numbers(self, name, length=None, least=-math.inf, missing=None):
        """Returns a list of floats; `missing` stands where the file has `null`.

        Args:
            name: String, the key.
            length: Integer, how many there have to be, `None` for any number above 0.
            least: Float, the smallest that one may be.
            missing: Float, or `None` if there may be no `null`.
        """

        def fits(value):
            if value is None:
                return missing is not None
            return _is_number(value) and value >= least

        bound = "" if least == -math.inf else f" of at least {least}"
        count = "" if length is None else f"{length} "
        found = self._get(name, _all(fits, length), f"a list of {count}numbers{bound}")
        return [missing if value is None else float(value) for value in found]

    def number(self, name, least=0.0):
        """Returns a float of at least `least`."""
        fits = lambda v: _is_number(v) and least <= v < math.inf  # noqa: E731
        return float(self._get(name, fits, f"a number of at least {least:g}"))

    def counts(self, name):
        """Returns a dict of integers of at least 0."""
        fits = _values(lambda v: _is_integer(v) and v >= 0)
        return dict(self._get(name, fits, "a dict of integers of at least 0"))

    def parts_of(self, name, whole):
        """Returns a dict of integers of at least 1.

        Args:
            name: String, the key.
            whole: Dict: key -> integer, the most that it may be.
        """

        def fits(found):
            counts = found.items() if isinstance(found, dict) else [(None, None)]
            return all(
                _is_integer(count) and 1 <= count <= whole.get(key, 0)
                for key, count in counts
            )

        expected = f"a dict of integers from 1 to those of {show(whole)}"
        return dict(self._get(name, fits, expected))

    def times(self, name, length):
        """Returns a list of seconds above 0, or `None` where the file has `null`."""
        expected = f"a list of {length} numbers above 0, or null"
        return list(self._get(name, _are_times(length), expected))

    def times_by_name(self, name, length):
        """Returns a dict of what `times` returns."""
        expected = f"lists of {length} numbers above 0, or null, by name"
        return dict(self._get(name, _values(_are_times(length)), expected))

    def texts(self, name):
        """Returns a dict of strings."""
        expected = "a dict of strings"
        return self._get(name, _values(lambda v: isinstance(v, str)), expected)

    def pairs(self, name, fits=None):
        """Returns a dict of tuples of two numbers, before and after.

        Args:
            name: String, the key.
            fits: Callable that says of a key whether it may be one, or `None`.
        """
        found = self._get(name, _values(_is_pair), "a dict of pairs of numbers")
        for key in found:
            if fits is not None and not fits(key):
                raise self._error(name, "a dict of other keys", found)
        return {key: tuple(pair) for key, pair in found.items()}

    def pair(self, name, unknown=False):
        """Returns a tuple of two numbers, before and after, or `None` for `null`.

        Args:
            name: String, the key.
            unknown: Boolean, whether it may be `null`, or hold it.
        """
        value = self._content.get(name, _MISSING)
        if unknown and value in (None, [None, None]):
            return value if value is None else tuple(value)
        return tuple(self._get(name, _is_pair, "a pair of numbers"))

    def number_pairs(self, name, length):
        """Returns a list of tuples of two numbers.

        Args:
            name: String, the key.
            length: Integer, how many there have to be.
        """
        expected = f"a list of {length} pairs of numbers"
        return list(map(tuple, self._get(name, _all(_is_pair, length), expected)))

    def shapes(self, name):
        """Returns a tuple of tuples of integers, or `None` if there are none."""
        if self._content.get(name) is None:
            return None
        found = self._get(name, _all(_is_shape), "a list of shapes")
        return tuple(map(tuple, found))

    def shapes_by_name(self, name):
        """Returns a dict of tuples of integers, empty if there is none."""
        if name not in self._content:
            return {}
        found = self._get(name, _values(_is_shape), "a dict of shapes")
        return {key: tuple(shape) for key, shape in found.items()}

    def mapping(self, name):
        """Returns a dict of anything, which is only shown."""
        return self._get(name, lambda v: isinstance(v, dict), "a dict")

    def dict_or_none(self, name):
        """Returns the `Fields` of a dict, or `None` for `null`."""
        if self._content.get(name, _MISSING) is None:
            return None
        found = self._get(name, lambda v: isinstance(v, dict), "a dict or null")
        return self._inner(found, name)

    def dicts(self, name):
        """Returns a dict of `Fields`: of a dict of dicts."""
        found = self._get(name, _values(lambda v: isinstance(v, dict)), "dicts by name")
        return {key: self._inner(value, name, key) for key, value in found.items()}

    def list_of_dicts(self, name):
        """Returns a list of `Fields`: of a list of dicts."""
        fits = _all(lambda v: isinstance(v, dict), least=0)
        found = self._get(name, fits, "a list of dicts")
        return [self._inner(value, name, i) for i, value in enumerate(found)]

    def _inner(self, content, *keys):
        place = (*self._place, *keys)
        return Fields(content, self._expected, self._received, place)

    def _get(self, name, fits, expected):
        value = self._content.get(name, _MISSING)
        if value is _MISSING or not fits(value):
            raise self._error(name, expected, value)
        return value

    def _error(self, name, expected, value):
        place = "/".join(map(str, (*self._place, name)))
        found = "nothing" if value is _MISSING else show(value)
        return ValueError(
            f"{self._expected}, with {expected} at {place!r}. {self._received}, which "
            f"has there {found}"
        )


def _all(fits, length=None, least=1):
    """Returns a function that tells whether a value is a list of what fits."""

    def check(value):
        long = isinstance(value, list) and len(value) >= least
        return long and length in (None, len(value)) and all(map(fits, value))

    return check


def _values(fits):
    """Returns a function that tells whether a value is a dict of what fits."""
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _are_times(length):
    return _all(lambda v: v is None or (_is_number(v) and 0 < v < math.inf), length)


def _is_pair(value):
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_shape(value):
    return isinstance(value, list) and all(v is None or _is_integer(v) for v in value)


def _is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)
