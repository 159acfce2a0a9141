"""The weights of repaired layers, kept for a run that goes on where one was killed."""

import keras

from keras_shapley_prune.checkpoint.checkpoint import Checkpoint
from keras_shapley_prune.devices.workers import Workers
from keras_shapley_prune.layer_types.bias_folding import find_normalization
from keras_shapley_prune.repair.shared_weights import share_weights


class RepairedLayers:
    """What the repair of each layer has made of its weights.

    Args:
        graph: The `Graph` of the network that is repaired.
        checkpoint: A `Checkpoint`, or `None`: then nothing is kept.
        workers: The `Workers` that repair together, `None` for this process alone.
    """

    def __init__(self, graph, checkpoint=None, workers=None):
        self._graph, self._checkpoint = graph, checkpoint or Checkpoint()
        self._workers = workers or Workers()

    def restore(self, calls):
        """Sets the weights of a layer that has been repaired before.

        Args:
            calls: List of the calls of the layer.

        Returns:
            Boolean, whether it has been.
        """
        if not self._checkpoint.is_kept:
            return False
        content = self._entry(calls).read()
        # A disk that is shared may show a file to some workers later than to others.
        (is_known,) = self._workers.agree(content is not None)
        if is_known and content is not None:
            for name, variable in self._find_variables(calls).items():
                variable.assign(content[name])
        if is_known:
            self.share(calls)
        return bool(is_known)

    def share(self, calls):
        """Gives all workers the weights of a layer that the first one has."""
        share_weights(self._find_variables(calls).values(), self._workers)

    def keep(self, calls):
        """Takes down the weights of a layer, see `restore`."""
        if self._checkpoint.is_kept:
            found = self._find_variables(calls)
            self._entry(calls).write(
                {name: keras.ops.convert_to_numpy(v) for name, v in found.items()}
            )

    def _entry(self, calls):
        return self._checkpoint.entry("layer", calls[0].index)

    def _find_variables(self, calls):
        """Returns a dict: name -> a variable that repair may change."""
        found = {f"own.{i}": v for i, v in enumerate(calls[0].operation.weights)}
        # What a layer without a bias is shifted by is in the statistics behind it.
        following = find_normalization(self._graph, calls[0])
        if following is not None:
            found["mean"] = following.operation.moving_mean
        return found
