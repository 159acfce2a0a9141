"""What a model will take on a runtime without some units, from measured times."""

import numpy as np

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.latency.pieces import find_pieces
from keras_shapley_prune.layer_types.unit_ids import has_units
from keras_shapley_prune.plan.cost_model import CostModel, axes_of
from keras_shapley_prune.plan.flops import count_call_flops, count_products
from keras_shapley_prune.plan.latency_fit import find_step, fit_pieces, scale_to_whole
from keras_shapley_prune.trace.presence import ALWAYS

# Runtimes compute several output channels at once: seventeen take as long as
# thirty-two. How many depends on a layer's kernel, so the fit decides.
_TILES = (1, 8, 16, 32)
# What the time of a piece depends on: multiplications (with the output channels rounded
# up to each tile), elements that are written, those that are read, and that it runs.
_WORK = dict(zip(_TILES, range(len(_TILES)), strict=True))
_WRITTEN, _READ, _ONCE = range(len(_TILES), len(_TILES) + 3)
_NUM_FEATURES = len(_TILES) + 3
_LEAST_SAVED = 0.01  # of what a step saves on the average of a tile
_CALL = -1  # in the place of a piece: what a call of the model takes beside its pieces


class LatencyCosts(CostModel):
    """The seconds of one inference as a function of the units that are kept.

    As FLOPs are, they are a sum of products of the lengths of axes: of each piece of
    the network its multiplications, the elements that it reads and writes, and a
    constant. But the length of an axis of output channels may be rounded up to what
    a runtime computes at once. The factors are not counted but measured: they are what
    fits the times of a `LatencyTable` best, none of them below 0, and are scaled so
    that the sums are the times of whole networks.

    Args:
        channel_map: The `ChannelMap` of the model.
        table: The `LatencyTable` of the model.

    Attributes:
        table: The `LatencyTable`.
        step: Integer, of which multiples the numbers of units should be: the smallest
            one of which layers do not take longer than the others let expect.

    Raises:
        ValueError: If it is the table of another model, or a size is not known.
    """

    tolerance = 0.03  # units are removed in larger steps than of what is counted

    def __init__(self, channel_map, table):
        table.check(channel_map)
        self.table, self._owners = table, []  # (piece, feature) of each term
        self._tiled = {}  # axis -> tile that its length is rounded up to
        super().__init__(channel_map, "latency")
        self._owners = np.array(self._owners)
        counts = np.array([self._count_features(keep) for keep in self._keeps])
        mixes = [table.mixes[i] for i in self._used]
        kinds, times = list(self._kinds.values()), self._times
        floor = 0.1 * table.overhead  # what takes less is all the same to the clock
        plain = counts.copy()
        plain[..., [_WORK[tile] for tile in _TILES if tile > 1]] = 0
        steps = np.array([mix.step for mix in mixes])
        self.step = find_step(plain, times, steps, kinds, floor)
        factors = fit_pieces(counts, times, kinds, floor)
        whole = [table.whole[i] for i in self._used]
        fixed = self._find_fixed()
        scales, constant = scale_to_whole(counts, factors, whole, fixed, table.overhead)
        self.rest = self._describe_rest(channel_map, scales * factors)
        pieces, features = self._owners.T
        # The last row is that of `_CALL`.
        own = np.vstack([scales * factors, np.full(_NUM_FEATURES, constant)])
        self._factors = self._factors * own[pieces, features]

    def _describe_rest(self, channel_map, factors):
        """Returns where time is that cannot be removed, for errors."""
        if not factors.any():
            what = "what networks of any width take by the times of `target`"
            return f"{what}, {self.table.description}"
        rest = f"{super().rest}, or in what it takes to start operations"
        if channel_map.granularity == "filter":
            rest += " (granularity='both' removes whole blocks, too)"
        return rest

    def total(self, lengths):
        """Returns the seconds for given axis lengths, a float."""
        return float(self.terms(lengths).sum())

    def savings(self, lengths, steps):
        """Returns what is saved by each of some steps, see `CostModel.savings`.

        It is the difference of both times: where a runtime computes sixteen channels at
        once, the first of them saves nothing. But a step that leads to one that does
        is no dead end.
        """
        before, smooth = self.total(lengths), super().savings(lengths, steps)
        exact = [before - self.total(lengths - step) for step in steps]
        return np.maximum(exact, _LEAST_SAVED * smooth)

    def _add_terms(self, channel_map, of):
        graph, sized = channel_map.graph, channel_map.graph.sized
        self._pieces = find_pieces(graph)
        self._kinds = {}  # pieces that are alike share their measurements
        both = zip(self._pieces, find_pieces(sized), strict=True)
        for number, (piece, whole) in enumerate(both):
            self._kinds.setdefault(whole.key, []).append(number)
            first = channel_map.presence_of(piece.calls[:1])
            self._add_owned(number, _ONCE, 1, [], first)
            for call in whole.calls:
                self._add_call(number, channel_map, call)
            for tensor, known in zip(piece.inputs, whole.inputs, strict=True):
                term = _elements(channel_map, tensor, known.shape)
                self._add_owned(number, _READ, *term, first)
        self._add_owned(_CALL, _ONCE, 1, [], ALWAYS)
        mixes = self.table.mixes
        fits = [self.table.is_of(mix, channel_map) for mix in mixes]
        self._used = np.flatnonzero(fits).tolist()
        self._keeps = [self.table.mixes[i].keep(channel_map) for i in self._used]

    def _add_call(self, number, channel_map, call):
        presence, products = channel_map.presence_of([call]), count_products(call)
        returned = channel_map.graph.calls[call.index].outputs
        outputs = [tuple(channel_map.ids.get(tensor, ())) for tensor in returned]
        for letters, shape, uses in products:
            if uses is None:
                raise ValueError(_UNKNOWN.format(name=call.name))
            term = axes_of(channel_map, call.operation, letters, shape, uses, call)
            self._add_work(number, *term, presence, outputs)
        flops = 0 if products else count_call_flops(call)
        if flops:  # a model that is not taken apart
            self._add_owned(number, _WORK[1], flops / 2, [], presence)
        for position, tensor in enumerate(returned):
            shape = call.outputs[position].shape
            term = _elements(channel_map, tensor, shape)
            self._add_owned(number, _WRITTEN, *term, presence)

    def _add_work(self, piece, factor, axes, presence, outputs):
        """Adds multiplications once a tile, which the last output axis is rounded to.

        A kernel from a residual stream to itself reads and writes the same channels:
        its last axis is that of the outputs.
        """
        written = [at for at, ids in enumerate(axes) if tuple(ids) in outputs]
        for tile, feature in _WORK.items():
            tiles = [1] * len(axes)
            if written:
                tiles[written[-1]] = tile
            self._add_owned(piece, feature, factor, axes, presence, tiles)

    def _add_owned(self, piece, feature, factor, axes, presence, tiles=None):
        before = len(self._terms)
        self._add(factor, axes, presence, tiles)
        self._owners += [(piece, feature)] * (len(self._terms) - before)

    def _count_features(self, keep):
        """Returns what pieces depend on, shape `(pieces, features)`."""
        found = np.zeros((len(self._pieces) + 1, _NUM_FEATURES))
        np.add.at(found, tuple(self._owners.T), self.terms(self.lengths(keep)))
        return found[:-1]

    def _find_fixed(self):
        """Returns what no unit changes, a boolean array, shape `(pieces, features)`."""
        # The last column of what axes carry is that of what is never removed.
        varies = self._carried[:, :-1].sum(axis=1) != 0
        fixed = np.ones((len(self._pieces) + 1, _NUM_FEATURES), bool)
        pieces, features = self._owners.T
        np.logical_and.at(
            fixed, (pieces, features), ~varies[self._products].any(axis=1)
        )
        return fixed[:-1]

    @property
    def _times(self):
        """Float array, shape `(mixes, pieces)`: net seconds; NaN if not measured."""
        pieces = self.table.pieces.values()
        times = np.array([[np.nan if t is None else t for t in row] for row in pieces])
        # The call by itself, which each piece has had. What takes no longer than that
        # takes a thousandth of it, so that nothing costs less than nothing.
        net = np.maximum(times - self.table.overhead, 1e-3 * self.table.overhead)
        return net.T[self._used]


_UNKNOWN = (
    "Expected a model of known sizes, to tell its latency. Where it takes any size, "
    "data or argument `input_shape` says for which. Received: {name!r} of unknown size"
)


def _elements(channel_map, tensor, shape):
    """Returns the factor and the axes of the elements of a tensor of one example."""
    factor, axes = 1, []
    across = dict(channel_map.across.get(tensor, {}))
    across[len(tensor.shape) - 1] = channel_map.ids.get(tensor, ())
    for axis, size in list(enumerate(shape))[1:]:
        ids = across.get(axis, ())
        if len(ids) and has_units(ids):
            axes.append(ids)
        elif size is None:
            raise ValueError(_UNKNOWN.format(name=show(tensor)))
        else:
            factor *= size
    return factor, axes
