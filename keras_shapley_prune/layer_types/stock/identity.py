"""A layer that returns what it reads."""

from keras import layers


def make_identity(name=None, dtype=None):
    """Returns a layer that returns what it reads, and can be saved.

    Args:
        name: String, or `None`.
        dtype: A dtype policy, or `None`.
    """
    # `Identity` cannot be saved with a dtype policy of its own.
    return layers.Activation("linear", name=name, dtype=dtype)
