"""Expansion: functional models of models and layers that are code."""
