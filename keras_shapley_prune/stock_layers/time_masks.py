"""Keras's own masks, which tell which steps of a sequence are there."""


def find_time_mask(call):
    """Returns the `unfit` reason of a call whose input carries a mask of time steps.

    Such a mask, of `Embedding(mask_zero=True)` or `Masking`, is no tensor of the graph
    but an attribute of one, and would be lost where a part of the network is run.
    """
    for node in call.operation._inbound_nodes:
        for tensor in node.input_tensors:
            if getattr(tensor, "_keras_mask", None) is not None:
                return "reads a sequence with a mask of time steps"
    return None
