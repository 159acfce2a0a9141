"""What the tests of pictures share."""

import pytest


@pytest.fixture
def no_windows():
    """Draws without a screen, and closes what was drawn."""
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    matplotlib.use("Agg")
    yield
    pyplot.close("all")
