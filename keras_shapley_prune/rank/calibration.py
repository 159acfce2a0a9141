"""What a ranking is made on: a model, its groups, and the calibration set."""

from collections.abc import Mapping

from keras_shapley_prune.checkpoint.checkpoint import open_checkpoint
from keras_shapley_prune.cut.surgery import copy_whole
from keras_shapley_prune.devices.parts import Parts
from keras_shapley_prune.inputs.data import CalibrationData
from keras_shapley_prune.inputs.finite import check_finite_inputs
from keras_shapley_prune.plan.budget import check_ratio
from keras_shapley_prune.rank.group_scores import unread_scores
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.trace.batches import has_fixed_batch
from keras_shapley_prune.trace.finite_weights import check_weights
from keras_shapley_prune.trace.forward_pass import ForwardPass
from keras_shapley_prune.trace.tracer import map_of


class Calibration:
    """A model, its groups and the data to rank them on.

    Args:
        model: A built Sequential or functional `keras.Model`.
        dataset: What `CalibrationData` takes. It is read once.
        layers: Which groups, see `ChannelMap.select_groups`.
        channel_map: The `ChannelMap` of `model`, or `None`.
        ratio: Float, the share of each group that will be removed, or a dict: group
            name -> float.
        batch_size: Integer, for data that comes as arrays.
        needs_labels: Boolean.
        targets: `RecordedTargets` to be filled on the way, or `None`.
        plays_blocks: Boolean, whether the group of blocks is played as others are.

    Attributes:
        selected: Tuple of `ChannelGroup`, in the order of the channel map.
        groups: Those of them that anything reads, in the order in which it does.
        blocks: The `ChannelGroup` of blocks that has a game of its own, or `None`.
        num_removed: Dict: group name -> how many of its units will be removed.
        batches: List of `(inputs, labels, weights)`.
        parts: `Parts` of the batches, of which each worker looks at its own.
    """

    def __init__(
        self,
        model,
        dataset,
        layers,
        channel_map,
        ratio,
        batch_size,
        needs_labels,
        targets=None,
        plays_blocks=True,
    ):
        self.model, self.targets = model, targets
        check_share_to_rank(ratio)
        self.channel_map = map_of(model, channel_map)
        self.selected = self.channel_map.select_groups(layers)
        # In the order in which the network reads them: one pass through it serves all.
        played = [g for g in self.selected if self.channel_map.is_read(g)]
        own = [g for g in played if g.kind != "channels" and not plays_blocks]
        self.blocks = own[0] if own else None
        played = [group for group in played if group is not self.blocks]
        self.groups = sorted(played, key=self.first_site)
        _check_names(self.channel_map, ratio)
        self.num_removed = {g.name: _count_removed(g, ratio) for g in self.selected}
        structure = self.channel_map.graph.input_structure
        self._whole = None  # a `ForwardPass` that stands at the outputs
        self.batches = list(
            CalibrationData(dataset, structure, batch_size, needs_labels)
        )
        divisible = not has_fixed_batch(self.channel_map.graph)
        self.parts = Parts(self.batch_sizes, divisible)
        inputs = (inputs for inputs, _, _ in self.batches)
        check_finite_inputs(self.channel_map.graph.inputs, inputs)
        check_weights(self.channel_map)

    @property
    def batch_sizes(self):
        """List of integers."""
        return [int(inputs[0].shape[0]) for inputs, _, _ in self.batches]

    def open_network(self, repaired, checkpoint=None):
        """Returns the network that groups are played on, at its input.

        Args:
            repaired: Boolean.
            checkpoint: The `Checkpoint` of the ranking, or `None`.

        Returns:
            A `Repairer`, which has a `channel_map` of its own, or a `ForwardPass`. Its
            batches are the `parts`.
        """
        inputs = self.parts.cut([inputs for inputs, _, _ in self.batches])
        if not repaired:
            return ForwardPass(self.channel_map.graph, inputs)
        whole = copy_whole(self.model, self.channel_map)
        return Repairer(whole, inputs, checkpoint=checkpoint)

    def open_checkpoint(self, checkpoint, ranker):
        """Opens the `Checkpoint` of a ranking on this data.

        Args:
            checkpoint: See `ShapleyRanker.rank`; or the `Checkpoint` of a longer run,
                of which the ranking is a part.
            ranker: The ranker, whose arguments are settings.

        Raises:
            ValueError: If it is of another run.
        """
        return open_checkpoint(
            checkpoint,
            self.model,
            self.batches,
            ranker=ranker,
            units_to_remove=self.num_removed,
        )

    def outputs(self, batch):
        """Returns the flat outputs of the whole model on this worker's part of a batch.

        Args:
            batch: Integer.
        """
        graph = self.channel_map.graph
        # Every group and draw compares with them: they are computed once, and kept.
        if self._whole is None:
            self._whole = self.open_network(repaired=False)
            self._whole.advance(len(graph.calls))
        values = self._whole.values(self.parts.own(batch))
        return [values[tensor] for tensor in graph.outputs]

    def first_site(self, group):
        """Returns the index of the first call that reads a group."""
        return min(self.channel_map.sites_of(group))[0]

    def sites(self, every=True):
        """Returns the indices of the calls that read the groups, a sorted list.

        Args:
            every: Boolean, whether all of them, or the first one of each group.
        """
        sites_of = self.channel_map.sites_of
        found = [{index for index, _ in sites_of(group)} for group in self.groups]
        return sorted({i for some in found for i in (some if every else [min(some)])})

    def make_ranking(self, scores, method):
        """Returns the `Ranking` of a dict: group name -> `GroupScores`.

        Units that nothing reads are worth nothing.
        """
        return Ranking(
            {g.name: scores.get(g.name) or unread_scores(g) for g in self.selected},
            method=method,
            num_examples=sum(self.batch_sizes),
            locks=self.channel_map.lock_reasons(),
        )


def _check_names(channel_map, ratio):
    """Raises a `ValueError` unless a dict of ratios names groups of the model."""
    if isinstance(ratio, Mapping):
        names = [group.name for group in channel_map.groups]
        if unknown := sorted(set(ratio) - set(names), key=str):
            raise ValueError(
                "Argument `ratio` should be a float or a dict over groups of the "
                f"model, {names}. Received: {unknown} in ratio={dict(ratio)!r}"
            )


def check_share_to_rank(ratio):
    """Raises a `ValueError` unless a ranker can be asked for a ratio.

    Args:
        ratio: See `Calibration`.
    """
    for share in ratio.values() if isinstance(ratio, Mapping) else [ratio]:
        check_ratio(share)


def _count_removed(group, ratio):
    """Returns how many units of a group are removed; of channels one is kept."""
    share = ratio.get(group.name, 0.0) if isinstance(ratio, Mapping) else ratio
    # Half a unit is rounded up, as in `allocate`.
    return min(int(share * group.num_units + 0.5), group.num_units - group.fewest)
