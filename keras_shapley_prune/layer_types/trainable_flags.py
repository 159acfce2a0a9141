"""What is trained of a model: the flags of its layers, and of single variables."""

import keras


def copy_flags(pairs):
    """Gives copies the flags of their originals.

    Those of the layers within them, such as the projections of an attention, and of
    single variables too.

    Args:
        pairs: Iterable of tuples of an operation and its copy, outer ones before those
            within them. A model's layers count only where they are among the pairs.
    """
    found = [inner for pair in pairs for inner in _pair_layers(*pair)]
    # Setting a flag sets those of all layers and variables within.
    for original, copied in found:
        if copied.trainable != original.trainable:  # setting it is slow
            copied.trainable = original.trainable
    for original, copied in found:
        if isinstance(original, keras.Model):
            continue
        for ours, theirs in zip(original.weights, copied.weights, strict=False):
            if theirs.trainable != ours.trainable:
                theirs.trainable = ours.trainable


def take_own_flag(model, view):
    """Gives a model the flag of another one whose layers it shares.

    Args:
        model: The `keras.Model`, or a layer.
        view: The `keras.Model` that gets its flag. Its layers keep theirs.
    """
    # Keras's setter would set those of the shared layers, and of their variables.
    vars(view)["_trainable"] = model.trainable


def _pair_layers(original, copied):
    """Returns pairs of an operation's layers and its copy's, outer before inner."""
    if not isinstance(original, keras.Layer) or original is copied:
        return []
    if isinstance(original, keras.Model):
        return [(original, copied)]
    ours, theirs = original._flatten_layers(), copied._flatten_layers()
    # One that a user's code has put together in another way is as its layer says.
    alike = [type(one) for one in ours] == [type(one) for one in theirs]
    return list(zip(ours, theirs, strict=True)) if alike else [(original, copied)]
