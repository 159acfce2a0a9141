"""What a model will take on a runtime without some units, from measured times."""

import numpy as np
import scipy.optimize

from keras_shapley_prune.inputs.arguments import show
from keras_shapley_prune.latency.pieces import find_pieces
from keras_shapley_prune.latency.width_mixes import STEPS
from keras_shapley_prune.layer_types.unit_ids import has_units
from keras_shapley_prune.plan.cost_model import CostModel, axes_of
from keras_shapley_prune.plan.flops import count_call_flops, count_products
from keras_shapley_prune.trace.presence import ALWAYS

# What the time of a piece depends on: multiplications, elements that are written, those
# that are read, and that it runs at all.
_WORK, _WRITTEN, _READ, _ONCE = range(4)
_NUM_FEATURES = 4
_CALL = -1  # in the place of a piece: what a call of the model takes beside its pieces
_EXCESS = 1.05  # by how much numbers that a runtime does not like take more than others


class LatencyCosts(CostModel):
    """The seconds of one inference as a function of the units that are kept.

    As FLOPs are, they are a sum of products of the lengths of axes: of each piece of
    the network its multiplications, the elements that it reads and writes, and a
    constant. The factors are not counted but measured: they are what fits the times of
    a `LatencyTable` best, none of them below 0, and are scaled so that the sums are
    the times of whole networks.

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
        super().__init__(channel_map, "latency")
        self._owners = np.array(self._owners)
        counts = np.array([self._count_features(keep) for keep in self._keeps])
        self.step = self._find_step(counts)
        factors = self._fit(counts, self.step)
        scale, constant = self._scale(counts, factors)
        self.rest = self._describe_rest(channel_map, scale * factors)
        pieces, features = self._owners.T
        # The last row is that of `_CALL`.
        own = np.vstack([scale * factors, np.full(_NUM_FEATURES, constant)])
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
        return float(self._factors @ lengths[self._products].prod(axis=1))

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
        for letters, shape, uses in products:
            if uses is None:
                raise ValueError(_UNKNOWN.format(name=call.name))
            term = axes_of(channel_map, call.operation, letters, shape, uses, call)
            self._add_owned(number, _WORK, *term, presence)
        flops = 0 if products else count_call_flops(call)
        if flops:  # a model that is not taken apart
            self._add_owned(number, _WORK, flops / 2, [], presence)
        for position, tensor in enumerate(channel_map.graph.calls[call.index].outputs):
            shape = call.outputs[position].shape
            term = _elements(channel_map, tensor, shape)
            self._add_owned(number, _WRITTEN, *term, presence)

    def _add_owned(self, piece, feature, factor, axes, presence):
        before = len(self._terms)
        self._add(factor, axes, presence)
        self._owners += [(piece, feature)] * (len(self._terms) - before)

    def _count_features(self, keep):
        """Returns what pieces depend on, shape `(pieces, features)`."""
        found = np.zeros((len(self._pieces) + 1, _NUM_FEATURES))
        terms = self._factors * self.lengths(keep)[self._products].prod(axis=1)
        np.add.at(found, tuple(self._owners.T), terms)
        return found[:-1]

    @property
    def _times(self):
        """Float array, shape `(mixes, pieces)`: net seconds; NaN if not measured."""
        pieces = self.table.pieces.values()
        times = np.array([[np.nan if t is None else t for t in row] for row in pieces])
        # The call by itself, which each piece has had. What takes no longer than that
        # takes a thousandth of it, so that nothing costs less than nothing.
        net = np.maximum(times - self.table.overhead, 1e-3 * self.table.overhead)
        return net.T[self._used]

    @property
    def _steps(self):
        return np.array([self.table.mixes[i].step for i in self._used])

    def _fit(self, counts, step):
        """Returns the factors of each piece, shape `(pieces, features)`."""
        times, used = self._times, self._steps >= step
        floor = 0.1 * self.table.overhead
        factors = np.zeros((len(self._pieces), _NUM_FEATURES))
        for numbers in self._kinds.values():
            measured = times[:, numbers]
            chosen = used[:, np.newaxis] & np.isfinite(measured)
            seconds = measured[chosen]
            if not len(seconds):
                continue
            # Relative errors, but what is below the clock's own is all the same.
            weights = 1 / (seconds + floor)
            rows = counts[:, numbers][chosen] * weights[:, np.newaxis]
            largest = np.maximum(rows.max(axis=0), 1e-300)
            found, _ = scipy.optimize.nnls(rows / largest, seconds * weights)
            factors[numbers] = found / largest
        return factors

    def _find_step(self, counts):
        """Returns the smallest step at which pieces take what is expected of them."""
        times, steps = self._times, self._steps
        expected = (counts * self._fit(counts, STEPS[0])).sum(axis=2)
        found = STEPS[0]
        for step in STEPS[1:]:
            measured = np.isfinite(times) & (steps == step)[:, np.newaxis]
            if not measured.any():
                break
            if times[measured].sum() > _EXCESS * expected[measured].sum():
                break
            found = step
        return found

    def _scale(self, counts, factors):
        """Returns what makes sums of pieces those of whole networks.

        A factor of all pieces, and the seconds of a call beside them.
        """
        whole = [self.table.whole[i] for i in self._used]
        known = [i for i, seconds in enumerate(whole) if seconds is not None]
        known = [i for i in known if self._steps[i] >= self.step]
        if not known:
            return 1.0, self.table.overhead
        seconds = np.array([whole[i] for i in known])
        sums = (counts[known] * factors).sum(axis=(1, 2))
        rows = np.stack([sums, np.full(len(known), seconds[0])], axis=1)
        found, _ = scipy.optimize.nnls(
            rows / seconds[:, np.newaxis], np.ones(len(known))
        )
        if not found[0]:  # whole networks take the same whatever is in them
            return 0.0, float(seconds.mean())
        return float(found[0]), float(found[1] * seconds[0])


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
