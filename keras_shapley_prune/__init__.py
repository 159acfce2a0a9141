"""Structured pruning of Keras 3 models by Shapley values.

`pruning.py` is the straight line of `prune`; each of its steps has a place:

- trace: `channels.py` and `channel_map.py`, with what `recording.py` finds in a model
  (a `graph.py`) and what `stock_layers/` knows of each layer (in the terms of
  `layer_specs.py`, `flows/`)
- rank: `ranking/`
- plan: `selection.py`, from what is asked (`budgets.py`) and what units cost
  (`cost_model.py`) by `allocation.py` to a `pruning_plan.py`
- repair: `repair/`; cut: `surgery.py`, of `layer_copies.py`; check against
  `masking.py`: `verification.py`
- before all that, for models and layers that are code: `expansion/`
- and `prune_until.py`, which does this for an allowed drop; `costs.py`
- look: `report.py` makes a `comparison.py` of `measurements.py`, `html_report.py` its
  page; `plotting.py` draws rankings, an `ablation.py` and a `tradeoff.py`;
  `channel_report.py` and `channel_plot.py` show what can be pruned
- train on: `distiller.py` (its `distillation_loss.py`), `optimizer_slots.py`
- where the result goes on: `litert.py`, `tf_keras_copy/`
- all of it without Python: `command_line/`
"""

from keras_shapley_prune.ablation import AblationCurve, measure_ablation
from keras_shapley_prune.activation_memory import count_activation_bytes
from keras_shapley_prune.channel_map import ChannelMap
from keras_shapley_prune.channel_plot import plot_channels
from keras_shapley_prune.channel_report import ChannelReport, channel_report
from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.comparison import Comparison, GroupComparison
from keras_shapley_prune.costs import count_flops, measure_latency
from keras_shapley_prune.distiller import Distiller
from keras_shapley_prune.expansion import to_functional
from keras_shapley_prune.layer_specs import register_layer
from keras_shapley_prune.litert import export_litert
from keras_shapley_prune.masking import ChannelMask, mask_channels
from keras_shapley_prune.plotting import plot_ablation, plot_frontier, plot_ranking
from keras_shapley_prune.prune_until import prune_until
from keras_shapley_prune.pruning import apply_plan, prune
from keras_shapley_prune.pruning_plan import PruningPlan
from keras_shapley_prune.ranking import (
    BaselineRanker,
    GroupScores,
    Ranking,
    RankingPlan,
    ShapleyRanker,
)
from keras_shapley_prune.repair import repair_channels
from keras_shapley_prune.report import compare
from keras_shapley_prune.selection import plan_pruning
from keras_shapley_prune.surgery import remove_channels
from keras_shapley_prune.tf_keras_copy import to_tf_keras
from keras_shapley_prune.tradeoff import FrontierPoint, measure_frontier
from keras_shapley_prune.unit_groups import ChannelGroup

__version__ = "0.1.0"

__all__ = [
    "AblationCurve",
    "BaselineRanker",
    "ChannelGroup",
    "ChannelMap",
    "ChannelMask",
    "ChannelReport",
    "Comparison",
    "Distiller",
    "FrontierPoint",
    "GroupComparison",
    "GroupScores",
    "PruningPlan",
    "Ranking",
    "RankingPlan",
    "ShapleyRanker",
    "apply_plan",
    "channel_report",
    "compare",
    "count_activation_bytes",
    "count_flops",
    "export_litert",
    "mask_channels",
    "measure_ablation",
    "measure_frontier",
    "measure_latency",
    "plan_pruning",
    "plot_ablation",
    "plot_channels",
    "plot_frontier",
    "plot_ranking",
    "prune",
    "prune_until",
    "register_layer",
    "remove_channels",
    "repair_channels",
    "to_functional",
    "to_tf_keras",
    "trace_channels",
]
