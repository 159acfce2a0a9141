"""Subclasses that change nothing of what their parent computes."""

import functools
import inspect

# What a subclass may define anew without a change to what it computes: how it is made,
# saved and printed.
_HARMLESS = {
    "__abstractmethods__",
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__class_getitem__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__init__",
    "__init_subclass__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__qualname__",
    "__repr__",
    "__slots__",
    "__static_attributes__",
    "__str__",
    "__type_params__",
    "__weakref__",
    "_abc_impl",
    "_api_export_path",
    "_api_export_symbol_id",
    "build_from_config",
    "_is_protocol",
    "from_config",
    "get_build_config",
    "get_config",
    "load_assets",
    "load_own_variables",
    "save_assets",
    "save_own_variables",
}
_WRAPPED = {"build", "quantize"}  # methods that Keras wraps in each layer


def find_unchanged_parent(layer, classes):
    """Returns the class whose computation a layer of a subclass has, or `None`.

    Args:
        layer: The layer.
        classes: Collection of layer classes, those that may be the parent.
    """
    for parent in type(layer).__mro__[1:]:
        if parent in classes:
            same = computes_as(type(layer), parent) and not _find_own_methods(layer)
            return parent if same else None
    return None


@functools.lru_cache(maxsize=1024)
def computes_as(child, parent):
    """Returns whether a class overrides nothing that its parent computes with.

    It may define how it is made and saved, and names that the parent has no use for.

    Args:
        child: A class.
        parent: A class that it is derived from.
    """
    own = [kind for kind in child.__mro__ if kind not in parent.__mro__]
    defined = {name for kind in own for name in vars(kind)} - _HARMLESS
    if any(name.startswith("__") and name.endswith("__") for name in defined):
        return False  # such as `__call__` or `__getattr__`
    used = _names_in(parent)
    return not any(name in used or hasattr(parent, name) for name in defined)


def _names_in(kind):
    """Returns the names that the methods of a class use: also of attributes."""
    names, pending = set(), []
    for owner in kind.__mro__:
        for value in vars(owner).values():
            for function in (value, getattr(value, "fget", None)):
                function = inspect.unwrap(getattr(function, "__func__", function))
                pending += [function.__code__] if hasattr(function, "__code__") else []
    while pending:
        code = pending.pop()
        names.update(code.co_names)
        # Names in strings are asked for by `getattr`, functions within by nobody else.
        names.update(c for c in code.co_consts if isinstance(c, str))
        pending += [c for c in code.co_consts if inspect.iscode(c)]
    return names


def _find_own_methods(layer):
    """Returns the names of a layer's own methods, which hide those of its class."""
    return {
        name
        for name in vars(layer)
        if name not in _WRAPPED and inspect.isroutine(getattr(type(layer), name, None))
    }
