"""Many conversions to LiteRT, of which none searches all objects for garbage."""

import contextlib
import gc


@contextlib.contextmanager
def old_objects_frozen():
    """A context in which garbage is looked for among new objects only.

    The converter of LiteRT collects garbage for each model, which takes longer than to
    convert a piece where many objects are alive.
    """
    if gc.get_freeze_count():  # somebody else has: only all can be unfrozen
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
