"""Colours of groups of units, for drawn graphs."""

import colorsys

import numpy as np

from keras_shapley_prune.layer_types.unit_ids import FIXED

LOCKED, NEUTRAL = "#767676", "#f4f4f2"
MOST_COLORS = 6  # on one edge


def pick_colors(count):
    """Returns colours that are told apart by hue, and dark text can stand on.

    Args:
        count: Integer.

    Returns:
        List of strings such as `"#8fc7e8"`.
    """
    golden = 0.618034  # spreads hues evenly, however many there are
    colors = []
    for index in range(count):
        # After eight hues the next ones come close to them: they are a little darker.
        value = 0.91 - 0.07 * (index // 8 % 3)
        color = colorsys.hsv_to_rgb((0.56 + golden * index) % 1, 0.42, value)
        colors.append("#" + "".join(f"{round(255 * part):02x}" for part in color))
    return colors


class ChannelColors:
    """The colours and the names of the groups of units.

    Args:
        channel_map: A `ChannelMap`.
    """

    def __init__(self, channel_map):
        self._map = channel_map
        colors = pick_colors(len(channel_map.groups))
        size = channel_map.num_units + 1  # FIXED: the last
        self._color_of = np.full(size, "", object)
        self._group_of = np.full(size, "", object)
        for group, color in zip(channel_map.groups, colors, strict=True):
            self._color_of[group.units] = color
            self._group_of[group.units] = group.name

    def colors_of(self, ids):
        """Returns the colours of units, a list without repetitions."""
        return _unique(self._color_of[ids])

    def groups_of(self, ids):
        """Returns the names of the groups of units, a list without repetitions."""
        return _unique(self._group_of[ids])

    def count(self, ids):
        """Counts the units that can be removed, those at several positions once."""
        return sum(1 for unit in set(ids.tolist()) if self._group_of[unit])

    def ids_in(self, tensor):
        """Returns the ids of the units that a tensor carries, along all its axes."""
        across = self._map.across.get(tensor, {}).values()
        return np.concatenate([self._map.ids[tensor], *across])

    def produced_by(self, operation):
        """Returns the ids of the units that an operation produces."""
        found = [
            self._map.layer_ids[maker][letter]
            for maker, letter in self._map.produced
            if maker is operation
        ]
        # The empty list is for an operation that produces nothing.
        ids = np.concatenate([*found, []]).astype(int)
        return ids[ids != FIXED]

    def style_edge(self, tensor):
        """Returns the attributes of an edge that stands for a tensor, a dict."""
        ids = self.ids_in(tensor)
        colors, groups = self.colors_of(ids), self.groups_of(ids)
        options = {"tooltip": quote(", ".join(groups) or "no removable units")}
        if colors:
            # Graphviz draws several colours as parallel lines.
            options["color"] = quote(":".join(colors[:MOST_COLORS]))
            options["penwidth"] = "2.5"
        options["edgetooltip"] = options["tooltip"]
        return options


def shorten_reason(text, length=44):
    """Returns a reason that is short enough for a box."""
    return text if len(text) <= length else text[: length - 1] + "…"


def quote(text):
    """Returns a text as a string of the dot language."""
    # Quotes and backslashes would end or change a string of the dot language.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _unique(labels):
    return list(dict.fromkeys(label for label in labels if label))
