"""The quantities of which a share can be removed, and how each is known beforehand."""

from keras_shapley_prune.plan.cost_model import QUANTITIES as COUNTED
from keras_shapley_prune.plan.cost_model import CostModel
from keras_shapley_prune.plan.latency_costs import LatencyCosts

# What is counted is known exactly, and latency from measured times.
COST_MODELS = {**dict.fromkeys(COUNTED, CostModel), "latency": LatencyCosts}
QUANTITIES = tuple(COST_MODELS)


def open_costs(channel_map, of, table=None):
    """Returns what tells a quantity of a model without some units.

    Args:
        channel_map: The `ChannelMap` of the model.
        of: String, one of `QUANTITIES`.
        table: The `LatencyTable` of the model, for `"latency"`.

    Returns:
        An object with the methods and attributes of `CostModel`.

    Raises:
        ValueError: If a size of the model is not known, or the table is of another.
    """
    return COST_MODELS[of](channel_map, table if of == "latency" else of)
