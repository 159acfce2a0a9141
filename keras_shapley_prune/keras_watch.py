"""What is to be done as soon as Keras has been imported."""

import importlib.abc
import sys

PACKAGE = __name__.partition(".")[0]
LIGHT = ("public_names", "keras_watch", "command_line")


def when_keras_is_imported(action):
    """Calls a function once, when somebody else has imported Keras.

    Nothing is called if a module of this package imports Keras itself: it is not
    complete then, and could not be imported by others.

    Args:
        action: Function without arguments.
    """
    sys.meta_path.insert(0, _KerasWatch(action))


class _KerasWatch(importlib.abc.MetaPathFinder):
    """Finds modules as Python does, and sees when Keras is complete.

    Args:
        action: See `when_keras_is_imported`.
    """

    def __init__(self, action):
        self._action, self._depth = action, 0

    def find_spec(self, name, path=None, target=None):
        # TensorFlow imports Keras when it is not complete itself, and Keras TensorFlow.
        if name not in ("keras", "tensorflow"):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((one for one in found if one is not None), None)
        if spec is not None and hasattr(spec.loader, "exec_module"):
            self._watch(spec.loader)
        return spec

    def _watch(self, loader):
        execute = loader.exec_module

        def execute_and_act(module):
            self._depth += 1
            try:
                execute(module)
            finally:
                self._depth -= 1
            if self._depth == 0 and "keras" in sys.modules:
                self._act()

        loader.exec_module = execute_and_act

    def _act(self):
        sys.meta_path.remove(self)
        if not any(map(_needs_keras, list(sys.modules))):
            self._action()


def _needs_keras(module_name):
    """Returns whether a module is one of this package, and not a light one."""
    package, _, rest = module_name.partition(".")
    return package == PACKAGE and bool(rest) and rest.split(".")[0] not in LIGHT
