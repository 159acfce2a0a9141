"""Structured pruning of Keras 3 models by Shapley values."""

from keras_shapley_prune.channel_map import ChannelGroup, ChannelMap
from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.costs import count_flops, measure_latency
from keras_shapley_prune.layer_specs import register_layer
from keras_shapley_prune.masking import ChannelMask, mask_channels
from keras_shapley_prune.pruning import prune
from keras_shapley_prune.ranking import (
    BaselineRanker,
    GroupScores,
    Ranking,
    RankingPlan,
    ShapleyRanker,
)
from keras_shapley_prune.repair import repair_channels
from keras_shapley_prune.report import Comparison, compare
from keras_shapley_prune.selection import select_units
from keras_shapley_prune.surgery import remove_channels

__version__ = "0.1.0"

__all__ = [
    "BaselineRanker",
    "ChannelGroup",
    "ChannelMap",
    "ChannelMask",
    "Comparison",
    "GroupScores",
    "Ranking",
    "RankingPlan",
    "ShapleyRanker",
    "compare",
    "count_flops",
    "mask_channels",
    "measure_latency",
    "prune",
    "register_layer",
    "remove_channels",
    "repair_channels",
    "select_units",
    "trace_channels",
]
