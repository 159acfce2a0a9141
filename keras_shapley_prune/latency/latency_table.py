"""`LatencyTable`: what the pieces of a network take at several widths."""

import dataclasses

from keras_shapley_prune.inputs.json_files import load_json, save_json
from keras_shapley_prune.latency.pieces import find_pieces
from keras_shapley_prune.latency.runtime import RUNTIMES, Runtime
from keras_shapley_prune.latency.width_mixes import WidthMix, count_units
from keras_shapley_prune.trace.sizes import sizes_of

VERSION = 1  # of the file


@dataclasses.dataclass(frozen=True)
class LatencyTable:
    """Measured times of a network's pieces, and of the whole, at several widths.

    `measure_latency_table` makes one on this machine; the script of
    `write_latency_pieces` makes one on another. As `target` of `prune` or
    `plan_pruning`, with `of="latency"`, it serves any number of plans of the model.

    Attributes:
        description: String, one line: runtime, numbers, batch, threads, processor.
        runtime: The `Runtime`, `None` if it was another device or a function.
        input_shapes: Tuple of the shapes of the inputs' examples, without the batch.
        groups: Dict: name of a group of units -> how many there are.
        mixes: Tuple of `WidthMix`: what of the network was there.
        pieces: Dict: name of a piece -> list of floats, seconds in each of the mixes;
            `None` where it was not measured, as where the piece is like another one.
        whole: List of floats, seconds of the whole network in each of the mixes, or
            `None`.
        overhead: Float, seconds of a run that computes next to nothing.

    Example:

    ```python
    table = keras_shapley_prune.measure_latency_table(model, target="litert")
    table.save("litert.json")
    table = keras_shapley_prune.LatencyTable.load("litert.json")
    pruned = keras_shapley_prune.prune(model, images, 0.1, of="latency", target=table)
    ```
    """

    description: str
    runtime: Runtime | None
    input_shapes: tuple
    groups: dict
    mixes: tuple
    pieces: dict
    whole: list
    overhead: float

    def __repr__(self):
        count = sum(x is not None for times in self.pieces.values() for x in times)
        return (
            f"<LatencyTable: {count} times of {len(self.pieces)} pieces, "
            f"{self.description}>"
        )

    def runtime_here(self):
        """Returns the `Runtime` if it is one of this machine, else `None`."""
        try:
            here = self.runtime is not None and self.runtime.describe()
        except ImportError:  # of LiteRT
            return None
        return self.runtime if here == self.description else None

    def check(self, channel_map):
        """Raises an error unless it is the table of a model.

        Args:
            channel_map: The `ChannelMap` of the model.

        Raises:
            ValueError: If it is not.
        """
        sizes = count_units(channel_map)
        # A map of whole blocks alone has none of the others.
        known = {name: n for name, n in self.groups.items() if name in sizes}
        pieces = [piece.name for piece in find_pieces(channel_map.graph)]
        shapes = shapes_of(channel_map.graph)
        for what, ours, given in (
            ("groups of units", sizes, known),
            ("pieces", pieces, list(self.pieces)),
            ("inputs", shapes, tuple(map(tuple, self.input_shapes))),
        ):
            if ours != given:
                raise ValueError(
                    "Argument `target` should be a `LatencyTable` of this very model. "
                    f"Received: one with other {what}: {self!r}"
                )

    def is_of(self, mix, channel_map):
        """Returns whether what was timed is something that a map can describe.

        Args:
            mix: One of `mixes`.
            channel_map: The `ChannelMap` of the model.

        Returns:
            Boolean: a map of filters alone knows no blocks, and one of blocks alone no
            widths.
        """
        groups = {group.name for group in channel_map.groups}
        blocks = {block.name for block in channel_map.blocks}
        cut = {name for name, kept in mix.kept.items() if kept < self.groups[name]}
        return groups >= cut and blocks >= set(mix.removed)

    def save(self, path):
        """Writes the table to a JSON file.

        Args:
            path: String or path-like.

        Raises:
            ValueError: If there cannot be such a file.
        """
        runtime = None if self.runtime is None else dataclasses.asdict(self.runtime)
        content = {
            "version": VERSION,
            "description": self.description,
            "runtime": runtime,
            "input_shapes": self.input_shapes,
            "groups": self.groups,
            "mixes": [dataclasses.asdict(mix) for mix in self.mixes],
            "overhead": self.overhead,
            "whole": self.whole,
            "pieces": self.pieces,
        }
        save_json(path, "LatencyTable", content, by_entry=True)

    @classmethod
    def load(cls, path):
        """Reads a table that `save`, or the script on a device, wrote.

        Args:
            path: String or path-like.

        Returns:
            A `LatencyTable`.

        Raises:
            ValueError: If there is no such file, or it holds something else. The
                message names the place.
        """
        fields = load_json(path, "LatencyTable")
        fields.integer("version", VERSION, VERSION)
        groups, mixes = fields.counts("groups"), []
        for entry in fields.list_of_dicts("mixes"):
            kept = entry.parts_of("kept", groups)
            removed = tuple(entry.strings("removed"))
            mixes.append(WidthMix(kept, entry.integer("step", 1), removed))
        return cls(
            fields.string("description"),
            _read_runtime(fields.dict_or_none("runtime")),
            fields.shapes("input_shapes") or (),
            groups,
            tuple(mixes),
            fields.times_by_name("pieces", len(mixes)),
            fields.times("whole", len(mixes)),
            fields.number("overhead"),
        )


def shapes_of(graph):
    """Returns the shapes of a model's inputs, as far as known, a tuple of tuples.

    Args:
        graph: A recorded `Graph`.
    """
    return tuple(map(tuple, graph.input_shapes or sizes_of(graph.inputs)))


def _read_runtime(fields):
    if fields is None:
        return None
    threads = fields.get("threads")
    threads = threads if threads is None else fields.integer("threads", 1)
    return Runtime(
        fields.choice("name", RUNTIMES, "tensorflow"),
        fields.integer("batch_size", 1),
        threads,
        fields.boolean("int8", False),
        fields.boolean("folded", False),
    )
