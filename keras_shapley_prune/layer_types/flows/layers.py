"""Flows of layers with weights, and of what treats every channel by itself."""

import numpy as np


def mix(call, channels):
    """Every output channel reads all input channels: new units."""
    channels.consume(call, 0)
    return channels.produce(call)


def keep(call, channels):
    """Each output channel depends on the input channel at its own position."""
    return channels.ids(call.inputs[0])


def normalize(call, channels):
    """Channel for channel, by what all channels of the input are together."""
    channels.observe(call, 0)
    return channels.ids(call.inputs[0])


def expand(call, channels):
    """Each input channel gives `depth_multiplier` output channels."""
    ids = channels.ids(call.inputs[0])
    return np.repeat(ids, call.operation.depth_multiplier)


def look_up(call, channels):
    """New units for each number of the input, which has no channels."""
    reason = f"{channels.quote(call)} reads it as numbers to look up"
    channels.lock(channels.ids(call.inputs[0]), reason)
    return channels.produce(call)
