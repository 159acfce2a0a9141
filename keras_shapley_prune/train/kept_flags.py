"""The `trainable` flags of a model, kept over what changes them."""

import contextlib


@contextlib.contextmanager
def kept_flags(model):
    """Gives a model its `trainable` flags back when the context is left.

    Args:
        model: A `keras.Model`.
    """
    # Setting a flag sets those of all layers and weights within: outer ones first.
    owners = [*model._flatten_layers(), *model.weights]
    flags = [owner.trainable for owner in owners]
    try:
        yield
    finally:
        for owner, flag in zip(owners, flags, strict=True):
            if owner.trainable != flag:
                owner.trainable = flag
