"""From channels_first to channels_last: the same model, its axes in another order."""
