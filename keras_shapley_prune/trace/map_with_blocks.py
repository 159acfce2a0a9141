"""The map of a model of which whole blocks are units, too."""

import dataclasses

from keras_shapley_prune.trace.channel_map import ChannelMap


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MapWithBlocks(ChannelMap):
    """A `ChannelMap` with units for whole blocks behind those of channels.

    Attributes:
        blocks: Tuple of `Block`, from the input to the output: branches that can be
            removed as a whole, each a unit of the group `"blocks"`, or locked.
        presence: Dict: index of a call that goes with blocks -> on which it depends,
            see `find_presence`.
        granularity: String, see `trace_channels`.
    """

    blocks: tuple = ()
    presence: dict = dataclasses.field(default_factory=dict)
    granularity: str = "both"
