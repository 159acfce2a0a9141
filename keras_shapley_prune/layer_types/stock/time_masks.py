"""Keras's own masks, which tell which steps of a sequence are there."""


def find_time_mask(call):
    """Returns the `unfit` reason of a call whose input carries a mask of time steps.

    Such a mask, of `Embedding(mask_zero=True)` or `Masking`, is a tensor of the graph
    for a layer that reads one sequence. For one that reads several it is an attribute
    of a tensor, and would be lost where a part of the network is run.
    """
    for node in call.operation._inbound_nodes:
        for tensor in node.input_tensors:
            if getattr(tensor, "_keras_mask", None) is not None:
                return "reads a sequence with a mask of time steps"
    return None
