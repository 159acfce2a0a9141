"""`Mimic`: how a pruned network is trained to have the original's features."""

import dataclasses

from keras_shapley_prune.inputs.arguments import blaming, check_at_least, check_integer
from keras_shapley_prune.inputs.data import CalibrationData, make_repeatable
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.inputs.forms import open_batches

NUM_STEPS = 2000  # where neither steps nor minutes are given


@dataclasses.dataclass(frozen=True, eq=False)
class Mimic:
    """How long and on what `mimic` trains; a way to repair.

    `repair="mimic"` is short for `repair=Mimic()`.

    Args:
        num_steps: Integer, the steps of the training. `None` for 2,000, or for as many
            as `minutes` has room for.
        minutes: Float above 0, how long the training may take, in the place of
            `num_steps`: from the call of `mimic` on, with its checks and with what is
            compiled before the first step.
        learning_rate: Float above 0, how far Adam's steps go at most, as a share of the
            root mean square of each variable. The rate rises in the first tenth of the
            training, and falls to zero as a cosine.
        batch_size: Integer, examples a step.
        extra_images: Further inputs to train on, whatever calibration data may be, of
            the same sizes. They need no labels and may be of other classes. What tells
            whether training helps is a tenth of the calibration data alone.
        seed: Integer. The same seed and number of steps give the same weights.

    Raises:
        ValueError: If an argument is not of that form, or both `num_steps` and
            `minutes` are given.

    Example:

    ```python
    repair = keras_shapley_prune.Mimic(minutes=0.1, extra_images=x)
    pruned = keras_shapley_prune.prune(model, images, ratio=0.5, repair=repair)
    ```
    """

    num_steps: int | None = None
    minutes: float | None = None
    learning_rate: float = 1e-2
    batch_size: int = 16
    extra_images: object = dataclasses.field(default=None, repr=False)
    seed: int = 0

    def __post_init__(self):
        if self.num_steps is not None and self.minutes is not None:
            raise ValueError(
                "One of the arguments `num_steps` and `minutes` should be given. "
                f"Received: num_steps={self.num_steps!r}, minutes={self.minutes!r}"
            )
        if self.minutes is not None:
            check_at_least("minutes", self.minutes, 0, excluded=True)
        elif self.num_steps is not None:
            check_integer("num_steps", self.num_steps, 1)
        check_at_least("learning_rate", self.learning_rate, 0, excluded=True)
        check_integer("batch_size", self.batch_size, 1)
        check_integer("seed", self.seed, 0)
        if self.extra_images is not None:
            repeatable = make_repeatable(self.extra_images, "extra_images")
            object.__setattr__(self, "extra_images", repeatable)
            with blaming("dataset", "extra_images"):
                open_batches(repeatable, (), self.batch_size)

    @property
    def most_steps(self):
        """Integer, the steps of the training, `None` if `minutes` decides."""
        return None if self.minutes is not None else self.num_steps or NUM_STEPS

    def read_extra_images(self, graph, like):
        """Reads the extra images, and checks that they are like the others.

        Args:
            graph: The recorded `Graph` of the original.
            like: List of tensors or arrays, a batch of the calibration data.

        Returns:
            List of batches, lists of input tensors; empty if there are none.

        Raises:
            ValueError: If they are not.
        """
        if self.extra_images is None:
            return []
        try:
            data = CalibrationData(
                self.extra_images, graph.input_structure, needs_labels=False
            )
            batches = [inputs for inputs, _, _ in data]
        except ValueError as error:
            # It is the same check, of another argument.
            text = str(error).replace("`dataset", "`extra_images")
            raise ValueError(text) from error
        try:
            check_finite_inputs(graph.inputs, batches)
        except ValueError as error:
            raise ValueError(f"Argument `extra_images`: {error}") from error
        expected = _shapes_of(like)
        for inputs in batches:
            if _shapes_of(inputs) != expected:
                raise ValueError(
                    f"Argument `extra_images` should hold examples of shape {expected},"
                    f" like the calibration data. Received: {_shapes_of(inputs)}"
                )
        return batches


def _shapes_of(inputs):
    """Returns the shapes of an example, the one shape if there is one input."""
    shapes = [tuple(value.shape[1:]) for value in inputs]
    return shapes[0] if len(shapes) == 1 else shapes
