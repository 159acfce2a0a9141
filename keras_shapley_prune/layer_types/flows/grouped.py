"""Convolutions in groups: whole groups are removed, or all shrink alike."""

import numpy as np

from keras_shapley_prune.layer_types.unit_ids import FIXED


def mix_groups(call, channels):
    """New units for each group; every group keeps the same number of channels.

    If the groups are many and small, whole groups are removed: the inputs and outputs
    of a group are one unit. If they are few and large, each loses the same number of
    channels: the channels at the same place of every group are one unit.
    """
    groups = call.operation.groups
    if groups == 1:
        channels.consume(call, 0)
        return channels.produce(call)
    ids = channels.ids(call.inputs[0])
    # Another call of the layer has to lose what its first one loses.
    known = channels.letters(call.operation)
    if known is None:
        whole = leaves_whole_groups(call, ids)
    else:
        whole = (known["c"] == FIXED).all()
    reason = f"{channels.quote(call)} has groups={groups}, which tie it to channels"
    inputs = ids.reshape(groups, -1)
    if whole:
        # inputs[g, p] is place p of group g. All places of a group are one unit, and so
        # are its outputs.
        for column in inputs.T[1:]:
            channels.tie(inputs[:, 0], column, reason)
        return np.repeat(inputs[:, 0], call.outputs[0].shape[-1] // groups)
    channels.consume(call, 0)
    outputs = channels.produce(call)
    # Place p of every group is one unit: all groups shrink alike.
    for rows in (inputs, outputs.reshape(groups, -1)):
        for row in rows[1:]:
            channels.tie(rows[0], row, reason)
    return outputs


def leaves_whole_groups(call, ids):
    """Returns whether a convolution loses whole groups.

    It does if there are more units to choose from that way: at least as many groups as
    there are places in a group, inputs and outputs together.

    Args:
        call: A recorded `Call` of a convolution.
        ids: Integer array, the unit ids of its input.
    """
    groups = call.operation.groups
    places = (len(ids) + call.outputs[0].shape[-1]) // groups
    return groups > 1 and groups >= places and (ids != FIXED).all()
