"""A Keras 3 model as one of tf_keras (Keras 2): `replay.py` does its calls again."""

from keras_shapley_prune.deploy.tf_keras_copy.replay import to_tf_keras

__all__ = ["to_tf_keras"]
