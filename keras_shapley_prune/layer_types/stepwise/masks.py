"""Masks of sequences for steps that are taken for examples."""

import tensorflow as tf

from keras_shapley_prune.layer_types.stepwise.folding import fold, unfold


class _StepMask:
    """A `Mask` for what has been folded: of examples and their steps."""

    def __init__(self, mask, steps):
        self._mask, self._steps = mask, steps

    @property
    def values(self):
        """Tensor, shape `(channels,)`, or `(batch * steps, channels)`."""
        return self._repeat(self._mask.values, rank=2)

    def along(self, inputs):
        """Returns the mask as a factor for the last axis of a tensor."""
        factor = self._mask.along(unfold(inputs, self._steps))
        if len(factor.shape) < 2:
            return factor
        # (batch, 1, ..., channels): the first of these is that of the steps.
        return self._repeat(tf.squeeze(factor, axis=1), rank=2)

    def __call__(self, inputs):
        # Sequences again, as who watches it knows of no steps.
        return fold(self._mask(unfold(inputs, self._steps)))

    def _repeat(self, values, rank):
        of_examples = len(values.shape) >= rank
        return tf.repeat(values, self._steps, axis=0) if of_examples else values


def fold_masks(masks, steps):
    """Returns masks of sequences as masks of what `fold` makes of these.

    Args:
        masks: Dict: input position, or `INSIDE` -> `Mask`.
        steps: Integer or tensor, the length of the time axis.
    """
    return {place: _StepMask(mask, steps) for place, mask in masks.items()}
