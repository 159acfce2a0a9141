"""`repair_channels`: removes units and lets the others make up for them."""

import numpy as np

from keras_shapley_prune.channels import trace_channels
from keras_shapley_prune.data import CalibrationData
from keras_shapley_prune.repair.repairer import Repairer
from keras_shapley_prune.surgery import remove_channels


def repair_channels(model, keep, dataset, channel_map=None, batch_size=32):
    """Returns a smaller copy of `model` that is repaired on calibration data.

    Like `remove_channels`, and then each layer from the input to the output that
    reads what has changed is refitted in closed form, so that it returns what the
    original's layer returns: by ridge regression towards its old kernel, with a bias
    (its own, or that of the BatchNormalization after it). A layer at the end of a
    residual block also makes up for what the skip connection has lost. The data
    needs no labels, nothing is trained.

    Args:
        model: A built Sequential or functional `keras.Model`. It is not changed.
        keep: Boolean array, shape `(num_units,)`, the units that stay.
        dataset: Calibration data, what `model.predict` takes: arrays, batches of `x`
            or of `(x, y)`; labels are not read. 50 to 200 examples do.
        channel_map: The `ChannelMap` of `model`, if it has been traced already.
        batch_size: Integer, where the data comes as arrays.

    Returns:
        What `remove_channels` returns, with other weights.

    Raises:
        ValueError: If `keep` removes locked units or whole groups, or the data does
            not fit the model.

    Example:

    ```python
    keep = keras_shapley_prune.select_units(channel_map, ranking, ratio=0.5)
    repaired = keras_shapley_prune.repair_channels(model, keep, images)
    ```
    """
    channel_map = channel_map or trace_channels(model)
    keep = channel_map.check_keep(keep)
    structure = channel_map.graph.input_structure
    data = CalibrationData(dataset, structure, batch_size, needs_labels=False)
    repairer = Repairer(model, channel_map, [x for x, _, _ in data], keep)
    repairer.advance(len(channel_map.graph.calls))
    return remove_channels(repairer.model, np.array(keep), repairer.channel_map)
