"""What a case of soak.py ends with, and how outputs are compared."""

import contextlib

import keras
import models
import numpy as np
from soak_measures import difference_of

# The largest difference of outputs, relative to the largest output.
TOLERANCES = {"float32": 1e-4, "float64": 1e-4, "mixed_float16": 2e-2}
NUDGE = 1e-6  # of inputs and weights: what a network makes of it is rounding
SENSITIVE = 100  # so many times that may be rounding, where channels are added up


class WrongError(Exception):
    """What a case has found: its kind (a column of the table), and in which words."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class RefusedError(Exception):
    """A documented `ValueError` about what the case has asked for."""


@contextlib.contextmanager
def stage(name):
    """Says which call has raised, and tells refusals from crashes."""
    try:
        yield
    except ValueError as error:
        if "Received" in str(error):
            raise RefusedError(f"{name}: {error}") from error
        raise
    except RuntimeError as error:
        if "Expected the pruned model" in str(error):
            raise WrongError("mismatch", f"{name}: {error}") from error
        raise


def brief(error):
    """Returns the kind of an error, and the beginning of what it says."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:150]}"


class Comparison:
    """Compares outputs, and notes how far they are apart.

    Args:
        model: The original, a `keras.Model`.
        policy: String, its dtype policy.
        inputs: What outputs are compared on.
        row: The row of the case, a dict.
    """

    def __init__(self, model, policy, inputs, row):
        self.model, self.inputs, self.row = model, inputs, row
        self.tolerance = TOLERANCES[policy]

    def check(self, name, received, expected, tolerance=None):
        """Notes the difference of outputs, and raises if it is more than rounding."""
        tolerance = self.tolerance if tolerance is None else tolerance
        shapes = [[array.shape for array in side] for side in (received, expected)]
        if shapes[0] != shapes[1]:
            raise WrongError("mismatch", f"{name}: shapes {shapes[0]}, not {shapes[1]}")
        difference = difference_of(received, expected)
        if difference > tolerance:
            own = self.sensitivity()
            text = f"{name} differs by {difference:.1e}, rounded weights by {own:.1e}"
            if not tolerance or difference > SENSITIVE * own:
                raise WrongError("mismatch", text)
            self.skip(text)
        else:
            self.row[name] = f"{difference:.1e}"

    def skip(self, text):
        """Notes what could not be compared, and why."""
        self.row["skipped"] += f"{text}; "

    def sensitivity(self):
        """Returns how far outputs of the original move if all is rounded."""
        generator = np.random.default_rng(0)

        def nudged(array):
            return array * (1 + NUDGE * generator.standard_normal(array.shape))

        model = self.model
        weights = model.get_weights()
        before = models.outputs_of(model, self.inputs)
        moved = []
        for _ in range(3):
            model.set_weights(
                [nudged(w) if w.dtype.kind == "f" else w for w in weights]
            )
            inputs = keras.tree.map_structure(
                lambda array: nudged(array).astype("float32"), self.inputs
            )
            moved.append(difference_of(models.outputs_of(model, inputs), before))
        model.set_weights(weights)
        return max(moved)
