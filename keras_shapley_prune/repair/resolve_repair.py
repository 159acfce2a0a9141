"""From what is given as a repair to what it stands for."""

from keras_shapley_prune.repair.mimic_settings import Mimic

METHODS = ("least_squares", "mimic", "mean", "batchnorm", None)


def resolve_repair(repair):
    """Returns the way to repair that an argument stands for.

    Args:
        repair: One of `METHODS`, or a `Mimic`.

    Returns:
        A string or `None` if layers are only adjusted in closed form; a `Mimic` if the
        network is then trained.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(repair, Mimic):
        return repair
    # What cannot be hashed or compared, such as an array, is none of them.
    if repair is not None and not (isinstance(repair, str) and repair in METHODS):
        raise ValueError(
            f"Argument `repair` should be one of {METHODS}, or a "
            f"`keras_shapley_prune.Mimic`. Received: {repair!r}"
        )
    return Mimic() if repair == "mimic" else repair


def closed_form_of(repair):
    """Returns by which of the other methods layers are adjusted before any training.

    Args:
        repair: What `resolve_repair` returned.
    """
    return "least_squares" if isinstance(repair, Mimic) else repair


def check_extra_images(repair, graph, batches):
    """Raises a `ValueError` if there are extra images unlike the calibration data.

    Args:
        repair: What `resolve_repair` returned.
        graph: The recorded `Graph` of the original.
        batches: List of lists of tensors, the first batches of the calibration data.
    """
    if isinstance(repair, Mimic) and batches:
        repair.read_extra_images(graph, batches[0])
