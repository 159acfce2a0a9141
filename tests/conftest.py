"""Settings and fixtures of all tests."""

import functools
import gc
import os
import typing

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one process a core, see addopts
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import hypothesis
import pytest

_SETTINGS = {"deadline": None, "derandomize": True, "database": None}
hypothesis.settings.register_profile("some", max_examples=8, **_SETTINGS)
hypothesis.settings.register_profile("thousands", max_examples=5000, **_SETTINGS)
hypothesis.settings.load_profile("some")

# Models are full of cycles: the default thresholds would spend the time on looking.
gc.set_threshold(200_000, 20, 100)

# TensorFlow asks for protocols at every turn; Python 3.12 remembers their members.
for _name in ("_get_protocol_attrs", "_is_callable_members_only"):
    if hasattr(typing, _name):
        setattr(typing, _name, functools.cache(getattr(typing, _name)))

LONGEST = ("random_graphs_test.py", "readme_test.py", "pruning_until_test.py")


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` takes its choice
def pytest_collection_modifyitems(items):
    """Marks what of the sweeps is slow, and puts the longest tests first."""
    sweeps = {}
    for item in items:
        if item.get_closest_marker("sweep"):
            sweeps.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in sweeps.values():
        (count,) = cases[0].get_closest_marker("sweep").args
        step = max(len(cases) / count, 1)
        kept = {int(index * step) for index in range(count)}  # evenly spread
        for index, item in enumerate(cases):
            if index not in kept:
                item.add_marker("slow")
    # At the end, one process would wait for the other.
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True, scope="session")
def plain_tracebacks():
    """Without the filters of tracebacks, which cost an eighth of the time of a test."""
    import keras
    import tensorflow as tf

    tf.debugging.disable_traceback_filtering()
    keras.config.disable_traceback_filtering()


@pytest.fixture(autouse=True, scope="session")
def frozen_imports():
    """What was imported is no garbage: LiteRT's converter would search it each time."""
    import keras_shapley_prune  # noqa: F401, and with it Keras and TensorFlow

    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def few_runs():
    """Reports time each network three times, not thirty: no test reads the seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("measurements", "runtime_comparison"):
            patch.setattr(f"keras_shapley_prune.report.{module}._MAX_SECONDS", 0.0)
        yield


@pytest.fixture(autouse=True)
def fresh_session():
    """Starts every test with the same seed and with Keras's name counters at zero."""
    import fresh_seeds  # not above: the process that deals out tests needs no Keras

    fresh_seeds.clear_session()
    fresh_seeds.set_seed(0)


@pytest.fixture(autouse=True)
def untraced(request):
    """Spares tests marked `eager` the tracing, which takes longer than a few runs."""
    node = request.node
    others = [node.get_closest_marker(name) for name in ("graph", "slow")]
    if any(others) or not node.get_closest_marker("eager"):
        yield
        return
    import tensorflow as tf  # not above, as Keras

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def few_trials(monkeypatch, request):
    """Most tests do not depend on how finely `prune_until` searches for the share."""
    if not request.node.get_closest_marker("all_trials"):
        monkeypatch.setattr("keras_shapley_prune.pruning_until._TRIALS", 3)


@pytest.fixture(autouse=True)
def models_are_not_changed():
    """The models that tests share are as they were when each test ends."""
    yield
    import model_cache  # not above, as it imports Keras

    changed = model_cache.forget_changed()
    assert not changed, f"changed by this test, which needs `models.fresh`: {changed}"
