"""The latency of a plan: predicted, and measured."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class PlannedLatency:
    """What one inference takes before and after what is planned.

    Attributes:
        description: String, one line: runtime, numbers, batch, threads, processor.
        predicted: Tuple of two floats, seconds of the model and of the smaller one, by
            the `LatencyTable`.
        measured: The same, timed in turn; `None` if that has not been done here.
    """

    description: str
    predicted: tuple
    measured: tuple | None = None

    @property
    def best_known(self):
        """Tuple of two floats: what was measured, else what is predicted."""
        return self.measured or self.predicted

    def __str__(self):
        parts = [f"{_describe(self.predicted)} predicted"]
        if self.measured is not None:
            parts.append(f"{_describe(self.measured)} measured")
        return ", ".join(parts) + f"; {self.description}"

    def to_fields(self):
        """Returns a dict that JSON can hold."""
        measured = None if self.measured is None else list(self.measured)
        return {
            "description": self.description,
            "predicted": list(self.predicted),
            "measured": measured,
        }

    @classmethod
    def from_fields(cls, fields):
        """Returns what `to_fields` was called of.

        Args:
            fields: Dict.
        """
        measured = fields["measured"]
        return cls(
            fields["description"],
            tuple(fields["predicted"]),
            None if measured is None else tuple(measured),
        )


def _describe(pair):
    before, after = pair
    return f"{1e3 * before:.3g} → {1e3 * after:.3g} ms ({after / before - 1:+.1%})"
