"""The names of the package: each stands here once, and where it is made.

`import keras_shapley_prune` shows these names, but imports this module, and with it
TensorFlow and Keras, only when one is asked for or Keras is there.
"""

from keras_shapley_prune.cut.channels_last.to_channels_last import to_channels_last
from keras_shapley_prune.cut.masking import ChannelMask, mask_channels
from keras_shapley_prune.cut.surgery import remove_channels
from keras_shapley_prune.cut.verification import verify_removal
from keras_shapley_prune.deploy.fold_normalization import fold_normalization
from keras_shapley_prune.deploy.litert import export_litert
from keras_shapley_prune.deploy.tf_keras_copy import to_tf_keras
from keras_shapley_prune.inputs.model_files import load_model
from keras_shapley_prune.latency.latency_table import LatencyTable
from keras_shapley_prune.latency.measure_latency import measure_latency
from keras_shapley_prune.latency.measure_table import measure_latency_table
from keras_shapley_prune.latency.runtime import Runtime
from keras_shapley_prune.latency.write_pieces import write_latency_pieces
from keras_shapley_prune.layer_types.elementwise_activations import (
    register_elementwise,
)
from keras_shapley_prune.layer_types.layer_type import LayerType
from keras_shapley_prune.layer_types.registration import register_layer
from keras_shapley_prune.plan.activation_memory import count_activation_bytes
from keras_shapley_prune.plan.budget import PruningBudget
from keras_shapley_prune.plan.flops import count_flops
from keras_shapley_prune.plan.planner import plan_pruning
from keras_shapley_prune.plan.pruning_plan import PruningPlan
from keras_shapley_prune.pruning import apply_plan, prune
from keras_shapley_prune.pruning_until import prune_until
from keras_shapley_prune.rank import estimators, games
from keras_shapley_prune.rank.baseline_ranker import BaselineRanker
from keras_shapley_prune.rank.group_scores import GroupScores
from keras_shapley_prune.rank.ranking import Ranking
from keras_shapley_prune.rank.shapley_ranker import ShapleyRanker
from keras_shapley_prune.rank.stopping import StopWhen
from keras_shapley_prune.repair.mimic import mimic
from keras_shapley_prune.repair.mimic_settings import Mimic
from keras_shapley_prune.repair.repair_channels import repair_channels
from keras_shapley_prune.report.ablation import measure_ablation
from keras_shapley_prune.report.ablation_plot import plot_ablation
from keras_shapley_prune.report.channel_plot import plot_channels
from keras_shapley_prune.report.compare import compare
from keras_shapley_prune.report.comparison import Comparison
from keras_shapley_prune.report.frontier import measure_frontier
from keras_shapley_prune.report.frontier_plot import plot_frontier
from keras_shapley_prune.report.inspection import inspect
from keras_shapley_prune.report.ranking_plot import plot_ranking
from keras_shapley_prune.trace.channel_map import ChannelMap
from keras_shapley_prune.trace.expansion.to_functional import to_functional
from keras_shapley_prune.trace.tracer import trace_channels
from keras_shapley_prune.train.output_distillation import OutputDistillation
from keras_shapley_prune.train.pruning_distiller import PruningDistiller

__all__ = [
    "BaselineRanker",
    "ChannelMap",
    "ChannelMask",
    "Comparison",
    "GroupScores",
    "LatencyTable",
    "LayerType",
    "Mimic",
    "OutputDistillation",
    "PruningBudget",
    "PruningDistiller",
    "PruningPlan",
    "Ranking",
    "Runtime",
    "ShapleyRanker",
    "StopWhen",
    "apply_plan",
    "compare",
    "count_activation_bytes",
    "count_flops",
    "estimators",
    "export_litert",
    "fold_normalization",
    "games",
    "inspect",
    "load_model",
    "mask_channels",
    "measure_ablation",
    "measure_frontier",
    "measure_latency",
    "measure_latency_table",
    "mimic",
    "plan_pruning",
    "plot_ablation",
    "plot_channels",
    "plot_frontier",
    "plot_ranking",
    "prune",
    "prune_until",
    "register_elementwise",
    "register_layer",
    "remove_channels",
    "repair_channels",
    "to_channels_last",
    "to_functional",
    "to_tf_keras",
    "trace_channels",
    "verify_removal",
    "write_latency_pieces",
]
