"""Repair of what stays, in closed form: no labels, no gradient steps."""

from keras_shapley_prune.repair.repair_channels import check_method, repair_channels
from keras_shapley_prune.repair.repairer import Repairer

__all__ = ["Repairer", "check_method", "repair_channels"]
