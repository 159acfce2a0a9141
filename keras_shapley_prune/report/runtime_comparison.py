"""How long two models take on the runtime that will run them, and their files."""

import dataclasses

from keras_shapley_prune.cut.state_copies import kept_states
from keras_shapley_prune.inputs.arguments import blaming
from keras_shapley_prune.inputs.data import find_fixed_size
from keras_shapley_prune.inputs.one_line import describe
from keras_shapley_prune.latency.example_inputs import check_batch_size
from keras_shapley_prune.latency.runtime import Runtime, describe_runtime
from keras_shapley_prune.latency.time_models import time_models
from keras_shapley_prune.latency.timing import time_in_turn
from keras_shapley_prune.plan.quantities import Quantity

_NUM_RUNS = 50
_MAX_SECONDS = 5.0  # for the runs of both models together
_LONGEST = 300  # characters of a reason


@dataclasses.dataclass(frozen=True)
class RuntimeComparison:
    """How long a model and its pruned copy take on the runtime that will run them.

    Attributes:
        name: String, such as `"LiteRT int8"`.
        description: String, what was measured with: version, numbers, batch, threads
            and processor.
        batch_size: Integer, examples an inference; `None` if only a user's function
            knows it.
        seconds: Tuple `(before, after)` of floats, the median time of one inference, or
            of `None` if it could not be measured.
        quartiles: Tuple `(before, after)` of tuples of two floats, between which the
            middle half of the runs lies, in seconds; `None` if there was one run.
        file_size: Tuple `(before, after)`, bytes of the `.tflite` file, or `None` if
            the runtime reads none.
        num_runs: Integer, how many timed runs of each model, which took turns.
        unknown: String, why it could not be measured; else empty.
    """

    name: str
    description: str
    batch_size: int | None
    seconds: tuple = (None, None)
    quartiles: tuple | None = None
    file_size: tuple | None = None
    num_runs: int = 0
    unknown: str = ""

    @property
    def quantities(self):
        """List of `Quantity`: the file's size, if there is one, and the latency."""
        found = []
        if self.file_size is not None:
            found.append(Quantity(f"{self.name} file", *self.file_size, "bytes"))
        batch = f", batch of {self.batch_size}" if self.batch_size else ""
        unknown = f"unknown: {self.unknown}"
        what = f"{self.name}{batch}", *self.seconds, "seconds", unknown
        return [*found, TimedQuantity(*what, quartiles=self.quartiles)]

    def to_dict(self):
        """Returns what `read_runtime` reads, a dict for JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class TimedQuantity(Quantity):
    """A time that pruning changed, with its spread.

    Attributes:
        title: See `Quantity`.
        before: See `Quantity`.
        after: See `Quantity`.
        unit: See `Quantity`.
        unknown: See `Quantity`.
        sizes: See `Quantity`.
        quartiles: See `RuntimeComparison`.
    """

    quartiles: tuple | None = None

    @property
    def texts(self):
        """Tuple of two strings, before and after, with three digits that count."""
        return tuple(
            f"{_milliseconds(value)} ms" for value in (self.before, self.after)
        )

    @property
    def spread(self):
        """String: between which times half of the runs lie; may be empty."""
        if self.quartiles is None or not self.is_known:
            return ""
        before, after = (" to ".join(map(_milliseconds, q)) for q in self.quartiles)
        return f"half of the runs: {before} → {after} ms"

    def __str__(self):
        return super().__str__() + (f", {self.spread}" if self.spread else "")


def compare_on(runtime, models, graph, examples=None):
    """Times two models on a runtime, in turn.

    Args:
        runtime: What `resolve_runtime` returned.
        models: Tuple of two `keras.Model`s.
        graph: The recorded `Graph` of one of them.
        examples: What `prune` takes, or `None` for inputs that are drawn.

    Returns:
        A `RuntimeComparison`. Of what the runtime cannot do it has the reason.

    Raises:
        ValueError: If a user's function returns no time.
    """
    description = describe_runtime(runtime)
    if not isinstance(runtime, Runtime):
        seconds = tuple(t.median for t in time_models(models, runtime, name="runtime"))
        name = getattr(runtime, "__name__", type(runtime).__name__)
        return RuntimeComparison(name, description, None, seconds, num_runs=1)
    found = RuntimeComparison(runtime.title, description, runtime.batch_size)
    with kept_states(*models):
        try:
            with blaming("examples", "dataset"):
                runs = [runtime.load(model, examples) for model in models]
        except ValueError as error:
            return dataclasses.replace(found, unknown=describe(error, _LONGEST))
        timings = time_in_turn(runs, _NUM_RUNS, _MAX_SECONDS, clock=runtime.clock)
    sizes = tuple(run.file_size for run in runs)
    return dataclasses.replace(
        found,
        seconds=tuple(timing.median for timing in timings),
        quartiles=tuple((timing.low, timing.high) for timing in timings),
        file_size=None if None in sizes else sizes,
        num_runs=timings[0].num_runs,
    )


def check_fits(runtime, graph):
    """Raises a `ValueError` if models take batches of another fixed size.

    Args:
        runtime: What `resolve_runtime` returned.
        graph: The recorded `Graph` of a model.
    """
    if isinstance(runtime, Runtime):
        check_batch_size(graph, runtime.batch_size)


def fit_batch_size(runtime, graph):
    """Returns a runtime for models of a fixed batch, if a name stands for it.

    Args:
        runtime: What `resolve_runtime` returned for a name.
        graph: The recorded `Graph` of a model.
    """
    fixed = find_fixed_size(graph.inputs)
    return runtime if fixed is None else dataclasses.replace(runtime, batch_size=fixed)


def read_runtime(fields):
    """Returns the `RuntimeComparison` that a file holds.

    Args:
        fields: The `Fields` of what `to_dict` returned.
    """
    quartiles = None
    if fields.get("quartiles") is not None:
        before, after = fields.number_pairs("quartiles", 2)
        quartiles = (before, after)
    size = fields.get("batch_size")
    return RuntimeComparison(
        name=fields.string("name"),
        description=fields.string("description"),
        batch_size=None if size is None else fields.integer("batch_size", 1),
        seconds=fields.pair("seconds", unknown=True),
        quartiles=quartiles,
        file_size=fields.pair("file_size", unknown=True),
        num_runs=fields.integer("num_runs"),
        unknown=fields.string("unknown"),
    )


def _milliseconds(seconds):
    """Returns a time in milliseconds, with about three digits that count."""
    value = 1e3 * seconds
    digits = next((d for d, least in enumerate((100, 10, 1, 0.1)) if value >= least), 4)
    return f"{value:,.{digits}f}"
