"""Mean replacement: readers get the mean contribution of a removed unit."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_shapley_prune.devices.workers import current_workers
from keras_shapley_prune.layer_types.bias_folding import can_take_bias
from keras_shapley_prune.layer_types.linear_forms import LinearForm
from keras_shapley_prune.layer_types.registry import find_linear_form
from keras_shapley_prune.repair.gram import check_finite


@dataclasses.dataclass(frozen=True, eq=False)
class Shift:
    """What a layer's output is shifted by, for each unit that it does not read.

    Attributes:
        form: The `LinearForm` of the layer.
        by_unit: Float array, shape `(num_units, num_outputs)`.
    """

    form: LinearForm
    by_unit: np.ndarray

    def run(self, removed, call, inputs, masks):
        """Returns the layer's output.

        Args:
            removed: Float tensor, shape `(batch, num_units)`, 1 for a removed unit.
            call: The call.
            inputs: List of tensors, what it reads.
            masks: Dict: input position -> `Mask`.
        """
        inputs = self.form.read(call, inputs, masks)
        outputs = self.form.apply(self.form.mask(inputs, masks[self.form.site]))
        # (batch, units) @ (units, outputs). A mean over the positions is the same at
        # each of them: the shift is broadcast over the axes in between, before the
        # activation.
        shift = tf.matmul(removed, tf.constant(self.by_unit, tf.float32))
        middle = [1] * (len(outputs.shape) - 2)
        outputs += tf.reshape(shift, [-1, *middle, shift.shape[-1]])
        return self.form.activate(outputs)


def mean_shifts(network, channel_map, group):
    """Returns the shifts under which removed units of a group are replaced by means.

    The mean, over the calibration set and all positions, of what a unit contributes
    to the output of each layer that reads it: a constant, which the pruned network has
    in its bias (or in the BatchNormalization that follows). A layer whose output can
    take no constant reads a removed unit as zero.

    Args:
        network: A `ForwardPass` or `Repairer` that has not passed the group yet.
        channel_map: The `ChannelMap`.
        group: One of its `ChannelGroup`s.

    Returns:
        Dict: call -> `Shift`.
    """
    shifts, workers = {}, current_workers()
    for (index, position), ids in channel_map.sites_of(group).items():
        call = channel_map.graph.calls[index]
        form = find_linear_form(call.operation)
        if form is None or position != form.site:
            continue
        # The pruned network could not do it either.
        if not can_take_bias(channel_map.graph, call):
            continue
        total, count = np.zeros(len(form.channel_of)), 0
        for batch in filter(workers.takes, range(network.num_batches)):
            inputs = call.read(network.look_ahead(batch, index))
            rows = form.rows(form.read(call, inputs, network.find_masks(call)))
            # Batches are added up in float64: together they may have millions of rows.
            total = total + tf.reduce_sum(rows, axis=[0, 1]).numpy().astype("float64")
            count += int(rows.shape[0] * rows.shape[1])
        total, count = workers.sum(total, count)
        check_finite(total, call)
        # E[x_c] W_c of each column c, shape `(num_columns, num_outputs)`. A unit has
        # several columns: one for each of its channels, at each tap of a kernel.
        contributions = (total / count)[:, np.newaxis] * form.matrix
        by_unit = np.zeros((group.num_units, contributions.shape[1]))
        # The units of a group are in ascending order. Columns of other groups find a
        # wrong place here; `inside` sorts them out.
        unit_of = np.searchsorted(group.units, ids[form.channel_of])
        inside = np.isin(ids[form.channel_of], group.units)
        np.add.at(by_unit, unit_of[inside], contributions[inside])
        shifts[call] = Shift(form, by_unit)
    return shifts
