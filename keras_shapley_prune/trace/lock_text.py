"""Lock reasons as text: each once, with the layers that it locks."""

import dataclasses
import re

_MOST_NAMES = 3  # that are told of many layers
_QUOTED = re.compile("`[^`]*`")  # names of layers in a reason


@dataclasses.dataclass(frozen=True)
class LockGroup:
    """Layers that are locked for the same reason.

    Attributes:
        reason: String. Where the reasons of the layers differ in the name of another
            layer only, that of the first, and how many others there are.
        layers: Tuple of strings, the names.
        num_units: Integer, how many units are locked for it.
    """

    reason: str
    layers: tuple
    num_units: int

    @property
    def names(self):
        """String, the names of the layers; the first of them where there are many."""
        return name_some(self.layers)


def group_locks(locked):
    """Returns a list of `LockGroup`, in the order in which the reasons come first.

    Args:
        locked: Dict: layer name -> dict: reason -> number of its units that are locked
            for it.
    """
    alike = {}  # what a reason is without names -> (reason, layer, units)
    for name, reasons in locked.items():
        for reason, count in reasons.items():
            kind = _QUOTED.sub("`", reason).removesuffix(" (`)")
            alike.setdefault(kind, []).append((reason, name, count))
    groups = []
    for entries in alike.values():
        reasons, names, counts = zip(*entries, strict=True)
        groups.append(
            LockGroup(_join_reasons(reasons), tuple(dict.fromkeys(names)), sum(counts))
        )
    return groups


def group_reasons(reasons):
    """Returns a list of `LockGroup`, as `group_locks` does, without numbers of units.

    Args:
        reasons: Dict: layer name -> reason.
    """
    return group_locks({name: {reason: 0} for name, reason in reasons.items()})


def describe_locks(reasons):
    """Returns lock reasons as one string.

    Args:
        reasons: Dict: layer name -> reason.
    """
    groups = group_reasons(reasons)
    return "; ".join(f"{group.names}: {group.reason}" for group in groups)


def name_some(names):
    """Returns names as one string; of many the first ones, and the number of others.

    Args:
        names: Sequence of strings.
    """
    # A name takes less room than to say that there is one more.
    shown = names if len(names) <= _MOST_NAMES + 1 else names[:_MOST_NAMES]
    others = len(names) - len(shown)
    text = ", ".join(shown)
    return f"{text} and {others:,} others" if others else text


def _join_reasons(reasons):
    """Returns the first of reasons that differ in names, with how many others."""
    # A layer that locks by itself is not named in its own reason.
    named = [reason for reason in dict.fromkeys(reasons) if _QUOTED.search(reason)]
    if len(named) < 2:
        return (named or reasons)[0]
    others = len(named) - 1
    more = f"{others:,} other" + ("s" if others > 1 else "")
    # The last name is that of the layer that locks.
    (*_, last) = _QUOTED.finditer(named[0])
    return f"{named[0][: last.end()]} and {more}{named[0][last.end() :]}"
