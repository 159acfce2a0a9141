"""How far a metric may get worse, and whether trials are within that."""

import time
import warnings

import numpy as np

from keras_shapley_prune.inputs.arguments import suggest_share
from keras_shapley_prune.inputs.metric_direction import is_share, resolve_mode


def check_drop(max_drop, metric, model):
    """Raises a `ValueError` unless a metric may get worse by so much.

    Args:
        max_drop: See `prune_until`.
        metric: See `prune_until`.
        model: The `keras.Model`, which need not have been evaluated.
    """
    number = isinstance(max_drop, (int, float)) and not isinstance(max_drop, bool)
    if not number or not max_drop >= 0:
        raise ValueError(
            "Argument `max_drop` should be a number of at least 0. "
            f"Received: max_drop={max_drop!r}"
        )
    if max_drop > 1 and is_share(metric, model):
        raise ValueError(
            f"Argument `max_drop` should be at most 1 for metric={metric!r}, which is "
            f"between 0 and 1. Received: max_drop={max_drop!r}{suggest_share(max_drop)}"
        )


class MetricBound:
    """How far the metric may get worse, and what the trials have been.

    Args:
        metric: See `prune_until`.
        mode: See `prune_until`.
        model: The `keras.Model`.
        measure: Callable: model -> float, the metric.
        max_drop: See `prune_until`.

    Attributes:
        before: Float, the metric of `model`.
        seconds: Float, how long it took to measure that.
        worst: Float, what the metric may be at worst.
        found: List of floats, the metric of each trial.

    Raises:
        ValueError: If the metric of `model` is not finite, or its direction not known.
    """

    def __init__(self, metric, mode, model, measure, max_drop):
        self._metric, self._measure, self._max_drop = metric, measure, max_drop
        self.found = []
        start = time.perf_counter()
        before = self._measure(model)
        self.seconds = time.perf_counter() - start
        # The metrics of a model are known once it has been evaluated.
        self._mode = resolve_mode(metric, mode, model)
        if not np.isfinite(before):
            raise ValueError(
                "Expected a finite metric of the model before anything is removed. "
                f"Received: metric={metric!r}, which is {before}"
            )
        self.before = before
        self.worst = before + (max_drop if self._mode == "min" else -max_drop)

    def measure(self, trial):
        """Returns whether the metric of a model is within the bound."""
        value = self._measure(trial)
        self.found.append(value)
        return self.allows(value)

    def allows(self, value):
        """Returns whether a value of the metric is within the bound."""
        # What is not finite has not been measured, though it may be no worse.
        if not np.isfinite(value):
            return False
        return value <= self.worst if self._mode == "min" else value >= self.worst

    def tell(self, is_any_within, quantity):
        """Tells if no trial is within the bound, or some could not be measured.

        Args:
            is_any_within: Boolean.
            quantity: String, what the budget is of.

        Raises:
            ValueError: If none is, and the metric of the last trial was not finite.
        """
        strange = [value for value in self.found if not np.isfinite(value)]
        received = f"metric={self._metric!r}, which is {strange[:1]} in"
        if is_any_within:
            if strange:
                warnings.warn(
                    f"Expected a finite metric of every trial. Received: {received} "
                    f"{len(strange)} of {len(self.found)} trials, whose shares count "
                    "as too large",
                    stacklevel=4,
                )
            return
        if self.found and not np.isfinite(self.found[-1]):
            raise ValueError(
                "Expected a finite metric of the pruned models. Received: "
                f"{received} the one of the smallest share that was tried"
            )
        verb = "rises" if self._mode == "min" else "falls"
        reason = (
            f"the metric {verb} by more than max_drop={self._max_drop} with the "
            f"smallest share of the {quantity} that was tried"
            if self.found
            else f"a single step takes more than half of the {quantity}"
        )
        warnings.warn(
            f"Nothing can be removed: {reason}. A copy of the model is returned",
            stacklevel=4,
        )
