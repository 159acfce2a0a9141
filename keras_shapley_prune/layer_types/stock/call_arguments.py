"""The arguments of a recorded call by their names."""

import inspect


def name_arguments(call):
    """Returns a dict: name of an argument -> value, those that are `None` left out."""
    signature = inspect.signature(type(call.operation).call)
    bound = signature.bind(call.operation, *call.args, **call.kwargs).arguments
    return {name: value for name, value in bound.items() if value is not None}
