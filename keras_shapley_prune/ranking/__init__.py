"""Rankers: how much each unit of a model is worth."""

from keras_shapley_prune.ranking.baseline_ranker import BaselineRanker
from keras_shapley_prune.ranking.plan import RankingPlan
from keras_shapley_prune.ranking.ranking import GroupScores, Ranking
from keras_shapley_prune.ranking.shapley import ShapleyRanker

__all__ = ["BaselineRanker", "GroupScores", "Ranking", "RankingPlan", "ShapleyRanker"]
