"""Tests of the context in which old objects are not searched for garbage."""

import gc

import pytest

from keras_shapley_prune.latency.old_objects import old_objects_frozen


@pytest.fixture
def unfrozen():
    """All objects are searched for garbage, unlike in the other tests."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_objects_are_frozen_until_its_end(unfrozen):
    with pytest.raises(ValueError, match="within"), old_objects_frozen():
        assert gc.get_freeze_count()
        raise ValueError("within")
    assert not gc.get_freeze_count()


def test_what_others_have_frozen_is_left_so(unfrozen):
    gc.freeze()
    with old_objects_frozen():
        pass
    assert gc.get_freeze_count()
