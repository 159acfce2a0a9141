"""Graphs for models and layers that are code."""

from keras_shapley_prune.expansion.to_functional import to_functional

__all__ = ["to_functional"]
