"""Numbers of a model before and after pruning, as people read them."""

import dataclasses

UNKNOWN = "unknown: a spatial size is not known"
HOW_TO_GIVE = "data or `input_shape` gives it"


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A number that pruning changed.

    Attributes:
        title: String.
        before: Number, or `None` if it is not known.
        after: Number, or `None` if it is not known.
        unit: `"count"`, `"bytes"`, `"seconds"` or `"metric"`.
        unknown: String, why it is not known, if it is not.
        sizes: String, of which inputs it is the number, where a model takes any size;
            see `describe_sizes`.
    """

    title: str
    before: float | None
    after: float | None
    unit: str = "count"
    unknown: str = UNKNOWN
    sizes: str = ""

    @property
    def is_known(self):
        """Boolean, whether there are two numbers."""
        return self.before is not None and self.after is not None

    @property
    def texts(self):
        """Tuple of two strings, before and after."""
        return tuple(_FORMATS[self.unit](value) for value in (self.before, self.after))

    @property
    def change(self):
        """String: the change in percent, or a metric's difference; may be empty."""
        if self.unit == "metric":
            return f"{self.after - self.before:+.4f}"
        # There is no percentage of nothing.
        return f"{self.after / self.before - 1:+.1%}" if self.before else ""

    @property
    def why_unknown(self):
        """String: why it is not known, and what gives it."""
        return self.unknown + (f": {self.sizes}; {HOW_TO_GIVE}" if self.sizes else "")

    def __str__(self):
        if not self.is_known:
            return self.why_unknown
        change = f" ({self.change})" if self.change else ""
        of = f" for {self.sizes}" if self.sizes else ""
        return " → ".join(self.texts) + change + of


def describe_cost(before, after, sizes=""):
    """Returns how a count, which may be `None`, has changed, as a string."""
    return str(Quantity("", before, after, sizes=sizes))


def describe_sizes(open_inputs):
    """Returns the shapes of the inputs of no fixed size as a string.

    Args:
        open_inputs: Dict: name of an input -> tuple, its shape; an entry that is not
            known is `None`.
    """
    shapes = [
        f"{name} of ({', '.join('?' if n is None else str(n) for n in shape)})"
        for name, shape in open_inputs.items()
    ]
    return ", ".join(shapes)


def format_bytes(count):
    """Returns a number of bytes in the unit that suits it, powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:,.0f} B" if unit == "B" else f"{count:,.3g} {unit}"


def format_seconds(seconds):
    """Returns a time in milliseconds."""
    return f"{1e3 * seconds:,.2f} ms"


_FORMATS = {
    "count": "{:,}".format,
    "bytes": format_bytes,
    "seconds": format_seconds,
    "metric": "{:.4f}".format,
}
