"""The scale that was meant."""

import numpy as np
import pytest

from keras_shapley_prune.command_line.usual_scales import find_scale

PIXELS = np.linspace(0, 255, 20)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 255, "no --rescale"),
        (0, 1, "--rescale 1/255"),
        (-1, 1, "--rescale 1/127.5 --offset=-1"),
        (0, 7, None),
    ],
)
@pytest.mark.parametrize(("rescale", "offset"), [(1 / 100, 0.0), (2.0, -3.0)])
def test_pixels(low, high, expected, rescale, offset):
    def fits(x):
        return np.isclose([x["a"].min(), x["a"].max()], [low, high], atol=1e-3).all()

    given = {"a": PIXELS * rescale + offset}
    assert find_scale(given, rescale, offset, fits) == expected


def test_from_shares():
    def fits(x):
        return x.max() > 200

    assert find_scale(PIXELS / 255, 1.0, 0.0, fits) == "--rescale 255"


def test_what_would_be_no_image_is_not_tried():
    assert find_scale(PIXELS / 16, 1.0, 0.0, lambda x: x.max() < 0.1) is None
