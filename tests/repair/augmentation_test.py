"""Tests of random flips and shifts."""

import numpy as np

from keras_shapley_prune.repair.augmentation import augment, mix_at_random


def test_augmented_images_are_flipped_or_shifted():
    generator = np.random.default_rng(0)
    image = np.arange(16 * 24 * 2.0).reshape(1, 16, 24, 2)
    images = np.repeat(image, 50, axis=0)
    (moved,) = augment([images], generator)
    assert moved.shape == images.shape
    centres = moved[:, 2:-2, 3:-3]
    found = set()
    for centre in centres:
        for flip in (1, -1):
            for down in range(-2, 3):
                for right in range(-3, 4):
                    part = image[0, :, ::flip][
                        2 + down : 14 + down, 3 + right : 21 + right
                    ]
                    if np.array_equal(part, centre):
                        found.add((flip, down, right))
    assert len(found) > 20


def test_only_images_are_augmented():
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(5, *shape)) for shape in ((9,), (9, 8), (9, 9, 2))]
    moved = augment(arrays, generator)
    for before, after, same in zip(arrays, moved, (True, True, False), strict=True):
        assert np.array_equal(before, after) == same


def test_images_are_mixed_in_pairs():
    generator = np.random.default_rng(0)
    # Image i is 10ⁱ everywhere: a mixture shows of what it is made.
    images = np.repeat(10.0 ** np.arange(6), 16).reshape(6, 4, 4, 1).astype("float32")
    (mixed,) = mix_at_random([images], generator)
    assert mixed.shape == images.shape and mixed.dtype == images.dtype
    np.testing.assert_allclose(mixed, np.broadcast_to(mixed[:, :1, :1], mixed.shape))
    shares = []
    for before, after in zip(images[:, 0, 0, 0], mixed[:, 0, 0, 0], strict=True):
        if after != before:
            assert min(images.min(), after) < after < images.max()
            shares.append(after / before)
    assert len(set(shares)) > 3


def test_only_images_of_floats_are_mixed():
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=(5, *shape)) for shape in ((9,), (9, 8), (9, 9, 2))]
    arrays.append(generator.integers(0, 9, (5, 3, 3, 2)))
    mixed = mix_at_random(arrays, generator)
    expected = (True, True, False, True)
    for before, after, same in zip(arrays, mixed, expected, strict=True):
        assert np.array_equal(before, after) == same
