"""Rank: how much each unit of a model is worth."""
