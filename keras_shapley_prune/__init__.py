"""Structured pruning of Keras 3 models by Shapley values.

`pruning.py` is the straight line of `prune`, one step a line. Each folder is a step,
and imports only from those below it:

- `command_line/`: everything without Python
- `public_names.py`: what `import keras_shapley_prune` shows
- `pruning_until.py`: `prune_until`, as much as an allowed drop of a metric permits
- `report/`: what can be pruned, what pruning changed, and pictures of both
- `pruning.py`: `prune`, and `apply_plan`, its second half
- `rank/`: what each unit is worth (`ShapleyRanker`, `BaselineRanker`)
- `repair/`: the kept units make up for the removed ones
- `plan/`: which units are removed, under a budget of units, parameters, FLOPs or bytes
- `latency/`: how long one inference takes, on the runtime that will run it
- `deploy/`: LiteRT files, copies in tf_keras, copies with folded normalizations
- `cut/`: masks, surgery, and the check that both compute the same
- `trace/`: which channels go together; `expansion/`: graphs for models that are code
- `train/`: distillation
- `layer_types/`: what is known of each layer
- `checkpoint/`: what a long run has done, kept for one that goes on
- `devices/`: the devices and processes of a `tf.distribute.Strategy`
- `inputs/`: what users hand in: data, losses, metrics, arguments, files
"""

import importlib
import sys
import typing
import warnings

__version__ = "0.1.0"

# Names that work, with a warning, for a release more: in which module they are, and as
# what. Results that only the package makes have no other name here.
_OLD_NAMES = {
    "AblationCurve": ("report.ablation", "AblationCurve"),
    "ChannelGroup": ("trace.groups", "ChannelGroup"),
    "ChannelReport": ("report.inspection", "Inspection"),
    "Distiller": ("train.old_distiller", "Distiller"),
    "FrontierPoint": ("report.frontier", "FrontierPoint"),
    "GroupComparison": ("report.group_comparison", "GroupComparison"),
    "RankingPlan": ("rank.ranking_cost", "RankingCost"),
    "RuntimeComparison": ("report.runtime_comparison", "RuntimeComparison"),
    "channel_report": ("report.inspection", "inspect"),
}


def _load_names():
    names = importlib.import_module("keras_shapley_prune.public_names")
    found = {name: getattr(names, name) for name in names.__all__}
    globals().update(found, __all__=names.__all__)


# TensorFlow takes seconds to import, which `keras-shapley-prune --help` need not wait
# for. Where it is there already the names are loaded at once, so that Keras knows the
# classes that saved models may hold.
if typing.TYPE_CHECKING or {"keras", "tensorflow"} & set(sys.modules):
    from keras_shapley_prune.public_names import *  # noqa: F403
    from keras_shapley_prune.public_names import __all__ as __all__


def _load_old(name):
    module, now = _OLD_NAMES[name]
    module = f"{__name__}.{module}"
    warnings.warn(
        f"`{__name__}.{name}` is deprecated and will be removed in the release after "
        f"this one. It is `{now}` of `{module}` now",
        DeprecationWarning,
        stacklevel=3,
    )
    return getattr(importlib.import_module(module), now)


def __getattr__(name):
    if name in _OLD_NAMES:
        return _load_old(name)
    # Python and its tools ask every module for attributes that few modules have.
    if name == "__all__" or not name.startswith("__"):
        _load_names()
        if name in globals():
            return globals()[name]
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}",
        name=name,
        obj=sys.modules[__name__],  # what Python suggests names of
    )


def __dir__():
    _load_names()
    return sorted(globals())
