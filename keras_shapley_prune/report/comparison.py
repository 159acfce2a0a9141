"""The difference between a model and its pruned copy: as text, JSON and HTML."""

import dataclasses

from keras_shapley_prune.inputs.json_files import load_json, save_json
from keras_shapley_prune.inputs.paths import open_to_write
from keras_shapley_prune.plan.quantities import Quantity, describe_sizes
from keras_shapley_prune.report.comparison_text import render_text
from keras_shapley_prune.report.group_comparison import read_group
from keras_shapley_prune.report.html_report import render_html
from keras_shapley_prune.report.output_agreement import read_agreement
from keras_shapley_prune.report.runtime_comparison import read_runtime


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The difference between a model and its pruned copy.

    It prints as a table; `to_html` writes a page to read and to pass on, `to_json`
    what a program can read.

    Attributes:
        units: Dict: layer name -> `(units before, units after)`, for every layer
            that produces channels.
        parameters: Tuple `(before, after)` of integers.
        flops: Tuple `(before, after)` of integers; `None` where a spatial size is
            not known.
        locks: Dict: layer name -> why its units cannot be removed.
        groups: Tuple of `GroupComparison`.
        name: String, the name of the original model.
        method: String, how the units were ranked, or `None`.
        measured: Dict of what was measured. Its entries can be read as attributes:
            `file_size`, `activations`, `latency`, `metrics`, `agreement`, `alarms`,
            `environment` and `runtime`.
        input_shapes: Dict: name of an input of no fixed size -> shape of the examples
            that FLOPs and activations are of, with `None` where it is not known.
        origin: Dict of strings, what is known of how the comparison came about:
            `"date"`, `"data"`, `"ranked by"` and `"budget"`.

    Example:

    ```python
    comparison = keras_shapley_prune.compare(model, pruned, (x, y), ranking)
    comparison.to_html("report.html")
    comparison.to_json("report.json")
    ```
    """

    units: dict
    parameters: tuple
    flops: tuple
    locks: dict
    groups: tuple = ()
    name: str = "model"
    method: str | None = None
    measured: dict = dataclasses.field(default_factory=dict)
    input_shapes: dict = dataclasses.field(default_factory=dict)
    origin: dict = dataclasses.field(default_factory=dict)

    @property
    def file_size(self):
        """Tuple `(before, after)`, bytes of the `.keras` file without the optimizer.

        `None` if it was not measured.
        """
        return self.measured.get("file_size")

    @property
    def activations(self):
        """Tuple `(before, after)`, bytes of activations one example needs at the peak.

        `None` if they were not counted, see `count_activation_bytes`.
        """
        return self.measured.get("activations")

    @property
    def latency(self):
        """Dict: batch size -> `(before, after)`, median seconds; empty if unknown."""
        return self.measured.get("latency", {})

    @property
    def metrics(self):
        """Dict: name of a metric, or of the loss -> `(before, after)`; may be empty."""
        return self.measured.get("metrics", {})

    @property
    def agreement(self):
        """`Agreement`, how often the two models agree, or `None` if not measured."""
        return self.measured.get("agreement")

    @property
    def alarms(self):
        """Tuple of strings: what looks badly wrong, and stands above everything else.

        Such as an accuracy that guessing reaches too.
        """
        return self.measured.get("alarms", ())

    @property
    def environment(self):
        """Dict: what the latency was measured with; may be empty."""
        return self.measured.get("environment", {})

    @property
    def runtime(self):
        """`RuntimeComparison`, the latency where the models will run, or `None`."""
        return self.measured.get("runtime")

    @property
    def quantities(self):
        """List of `Quantity`: all numbers of the whole model, measured ones last."""
        sizes = describe_sizes(self.input_shapes)
        found = [
            Quantity("parameters", *self.parameters),
            Quantity("FLOPs", *self.flops, sizes=sizes),
        ]
        if self.file_size is not None:
            unknown = "unknown: Keras cannot save this model"
            found.append(Quantity("file size", *self.file_size, "bytes", unknown))
        if self.activations is not None:
            found.append(
                Quantity("activations", *self.activations, "bytes", sizes=sizes)
            )
        for size, seconds in self.latency.items():
            found.append(Quantity(f"batch of {size}", *seconds, "seconds"))
        if self.runtime is not None:
            found += self.runtime.quantities
        for name, values in self.metrics.items():
            found.append(Quantity(name, *values, "metric"))
        return found

    def __str__(self):
        return render_text(self)

    def to_html(self, path):
        """Writes the comparison to one HTML file that needs no other.

        The page loads nothing, runs no script, and fits a phone's screen.

        Args:
            path: String or path-like.

        Raises:
            ValueError: If there cannot be such a file.
        """
        page = render_html(self)
        with open_to_write(path) as file:
            file.write(page)

    def to_json(self, path):
        """Writes the comparison to a JSON file.

        Args:
            path: String or path-like.

        Raises:
            ValueError: If there cannot be such a file.
        """
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del content["measured"]  # the file is flat
        content |= {name: getattr(self, name) for name in _MEASURED}
        if self.runtime is not None:
            content["runtime"] = self.runtime.to_dict()
        if self.alarms:
            content["alarms"] = list(self.alarms)
        if self.agreement is not None:
            content["agreement"] = dataclasses.asdict(self.agreement)
        content["groups"] = [group.to_dict() for group in self.groups]
        save_json(path, "Comparison", content)

    @classmethod
    def load(cls, path):
        """Reads a comparison that `to_json` wrote.

        Args:
            path: String or path-like.

        Returns:
            A `Comparison`.

        Raises:
            ValueError: If there is no such file, or it holds something else. The
                message names the place.
        """
        fields = load_json(path, "Comparison", writer="to_json")
        return cls(
            units=fields.pairs("units"),
            parameters=fields.pair("parameters"),
            flops=fields.pair("flops", unknown=True),
            locks=fields.texts("locks"),
            groups=tuple(map(read_group, fields.list_of_dicts("groups"))),
            name=fields.string("name"),
            method=fields.string("method") if fields.get("method") else None,
            measured=_read_measured(fields),
            input_shapes=fields.shapes_by_name("input_shapes"),
            # Files of earlier versions have none.
            origin=fields.texts("origin") if "origin" in fields else {},
        )


def _read_measured(fields):
    """Returns a dict of what a file has of measurements; what is empty is left out."""
    found = {
        name: fields.pair(name, unknown=True)
        for name in ("file_size", "activations")
        if fields.get(name) is not None
    }
    if fields.get("latency"):
        pairs = fields.pairs("latency", str.isdecimal)  # JSON's keys are strings
        found["latency"] = {int(size): pair for size, pair in pairs.items()}
    if fields.get("metrics"):
        found["metrics"] = fields.pairs("metrics")
    if fields.get("environment"):
        found["environment"] = fields.mapping("environment")
    # Files of earlier versions have no such entries.
    if fields.get("runtime") is not None:
        found["runtime"] = read_runtime(fields.dict_or_none("runtime"))
    if "alarms" in fields:
        found["alarms"] = tuple(fields.strings("alarms"))
    if fields.get("agreement") is not None:
        found["agreement"] = read_agreement(fields.dict_or_none("agreement"))
    return found


_MEASURED = ("file_size", "activations", "latency", "metrics", "environment")
