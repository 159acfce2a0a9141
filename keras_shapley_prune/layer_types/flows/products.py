"""Flows of products of two tensors, whose axes are letters as in an einsum."""

import string

from keras_shapley_prune.layer_types.unit_ids import fixed, has_units


def multiply(letters_of):
    """Returns the flow of a product of two tensors.

    An axis of the output has the units that it has in the tensors. Where both have it,
    as the heads of an attention, the two are tied; so they are on an axis that is
    summed over, where one tensor is masked: what is zero in it adds nothing.

    Args:
        letters_of: Callable `fn(call)` that returns three strings, a letter for each
            axis of the two tensors and of the output. Of one tensor the second is
            empty. One string if it is no such product: what else it does.
    """

    def flow(call, channels):
        letters = letters_of(call)
        if isinstance(letters, str):
            return channels.lock_all(call, f"{channels.quote(call)} {letters}")
        return _Product(call, channels, *letters).follow()

    return flow


class _Product:
    """One product of two tensors, or a sum over axes of one.

    Args:
        call: A `Call` of two inputs, or of one.
        channels: The `ChannelTracer`.
        first: String, the letters of the first tensor's axes.
        second: String.
        output: String.
    """

    def __init__(self, call, channels, first, second, output):
        self._call, self._channels, self._output = call, channels, output
        self._letters = first, second
        self._axes = [channels.axes(tensor) for tensor in call.inputs]

    def follow(self):
        """Returns a dict: axis of the output -> unit ids."""
        found = {}
        for letter in dict.fromkeys("".join(self._letters)):
            ids = self._join(letter)
            if letter in self._output:
                found[self._output.index(letter)] = ids
            elif has_units(ids):
                self._sum_over(letter, ids)
        return {axis: ids for axis, ids in found.items() if has_units(ids)}

    def _join(self, letter):
        """Returns the units on an axis, tied if both tensors have it."""
        channels, each = self._channels, []
        holders = [p for p in (0, 1) if letter in self._letters[p]]
        lengths = {p: self._length(p, letter) for p in holders}
        longest = max((n for n in lengths.values() if n), default=None)
        for place in holders:
            ids = self._axes[place].get(self._letters[place].index(letter))
            if lengths[place] == longest:
                each.append(fixed(longest) if ids is None else ids)
            elif ids is not None:  # of length 1
                channels.lock(ids, f"{channels.quote(self._call)} broadcasts it")
        if len(each) == 2:
            reason = f"{channels.quote(self._call)} multiplies it with channels"
            channels.tie(*each, reason)
        shared = len(holders) == 2 and letter in self._output
        found = next((ids for ids in each if has_units(ids)), fixed(longest))
        if shared:
            channels.note_heads(found)
        return found

    def _length(self, place, letter):
        return self._call.inputs[place].shape[self._letters[place].index(letter)]

    def _sum_over(self, letter, ids):
        """Marks where a sum over units reads them."""
        ends = [p for p in (0, 1) if self._letters[p].endswith(letter)]
        shared = all(letter in letters for letters in self._letters)
        if ends and (shared or len(ends) == 1):
            self._channels.consume(self._call, ends[0])
        else:  # masks are along the last axis
            what = "sums over the channels, which are not on the last axis"
            reason = f"{self._channels.quote(self._call)} {what}"
            self._channels.lock(ids, reason)


def matmul_letters(call):
    """Returns the letters of a matrix product, for `multiply`."""
    if len(call.inputs) != 2 or min(len(x.shape) for x in call.inputs) < 2:
        return "multiplies it with a vector"
    # Batch axes are aligned to the right.
    free = string.ascii_uppercase
    first, second = (free[26 - len(x.shape) + 2 :] for x in call.inputs)
    return first + "ik", second + "kj", max(first, second, key=len) + "ij"


def dot_letters(call):
    """Returns the letters of a `Dot` layer, for `multiply`."""
    ranks = [len(tensor.shape) for tensor in call.inputs]
    axes = call.operation.axes
    axes = [axes] * 2 if isinstance(axes, int) else list(axes)
    if call.operation.normalize:
        return "normalizes what it multiplies"
    if len(ranks) != 2 or 0 in axes:
        return "sums over the examples"
    sides = []
    for rank, axis, letters in zip(ranks, axes, ("abcdef", "uvwxyz"), strict=True):
        side = list("B" + letters[: rank - 1])
        side[axis % rank] = "k"
        sides.append("".join(side))
    output = "B" + "".join(c for side in sides for c in side[1:] if c != "k")
    # Two vectors give a number, on an axis of its own.
    return (*sides, output + "n" if len(output) == 1 else output)


def einsum_letters(call):
    """Returns the letters of an einsum of one or two tensors, for `multiply`."""
    equation = call.operation.subscripts.replace(" ", "")
    sources, arrow, output = equation.partition("->")
    sides = sources.split(",")
    if len(sides) > 2 or len(sides) != len(call.inputs):
        return "multiplies more than two tensors"
    if not arrow:  # then it is the letters that occur once, in their order
        once = [c for c in sources if c.isalpha() and sources.count(c) == 1]
        output = ("..." if "..." in sources else "") + "".join(sorted(once))
    free = [c for c in string.ascii_letters if c not in equation]
    named = [len(side.replace("...", "")) for side in sides]
    widths = [
        len(tensor.shape) - names if "..." in side else 0
        for tensor, names, side in zip(call.inputs, named, sides, strict=True)
    ]
    dots = "".join(free[: max(widths)])
    sides = [
        side.replace("...", dots[len(dots) - width :])
        for side, width in zip(sides, widths, strict=True)
    ]
    if any(len(set(side)) != len(side) for side in sides):  # a letter twice
        return "takes a diagonal"
    first, second = (*sides, "")[:2]
    return first, second, output.replace("...", dots)
