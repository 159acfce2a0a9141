"""The choices of options are those of the modules that mean something by them."""

from keras_shapley_prune.command_line import choices
from keras_shapley_prune.inputs import metric_direction
from keras_shapley_prune.latency import runtime
from keras_shapley_prune.plan import budget, cost_models
from keras_shapley_prune.rank import resolve_ranker
from keras_shapley_prune.repair import resolve_repair
from keras_shapley_prune.trace import blocks


def test_choices_are_written_down_as_they_are():
    # Where the command line says "none", Python has `None`.
    methods = tuple(str(method or "none") for method in resolve_repair.METHODS)
    assert methods == choices.METHODS
    assert choices.GRANULARITIES == blocks.GRANULARITIES
    assert choices.MODES == metric_direction.MODES
    assert choices.QUANTITIES == cost_models.QUANTITIES
    assert choices.RANKERS == resolve_ranker.RANKER_NAMES
    assert choices.RUNTIMES == runtime.RUNTIMES
    assert choices.SCOPES == budget.SCOPES
