"""A model's outputs together with those of some of its layers, in one run."""

import keras


class LayerOutputs:
    """Runs a model for its outputs and those of layers within.

    Args:
        model: A built Sequential or functional `keras.Model`.
        names: Iterable of layer names. `None`, which stands for the model's own
            outputs, and repetitions are left out.
    """

    def __init__(self, model, names):
        self.names = sorted({name for name in names if name is not None})
        self._run = model
        if self.names:
            outputs = [model.get_layer(name).output for name in self.names]
            # A Sequential model that was called has `input` and `output` of that call.
            whole = isinstance(model, keras.Sequential)
            start = model.inputs[0] if whole else model.input
            end = model.outputs[0] if whole else model.output
            self._run = keras.Model(start, [end, *outputs])

    def run(self, inputs, training):
        """Returns the model's outputs, and a dict: layer name -> outputs.

        Args:
            inputs: What the model takes.
            training: Boolean, or `None`.
        """
        if not self.names:
            return self._run(inputs, training=training), {}
        outputs, *features = self._run(inputs, training=training)
        return outputs, dict(zip(self.names, features, strict=True))

    def run_and_keep(self, inputs, training):
        """Returns the model's outputs. `features_of` finds those of the layers.

        Args:
            inputs: What the model takes.
            training: Boolean, or `None`.
        """
        outputs, features = self.run(inputs, training)
        if features:
            # On the tensor, and not on this object: several replicas run at once.
            keras.tree.flatten(outputs)[0]._layer_outputs = features
        return outputs

    def features_of(self, outputs, inputs, training):
        """Returns a dict: layer name -> outputs, of the run that returned `outputs`.

        A second run would cost as much again, and update moving averages twice.

        Args:
            outputs: The model's outputs. If they are not from `run_and_keep`, as when
                Keras infers shapes, the model is run.
            inputs: What the model took.
            training: Boolean, or `None`.
        """
        if not self.names:
            return {}
        kept = getattr(keras.tree.flatten(outputs)[0], "_layer_outputs", None)
        return self.run(inputs, training)[1] if kept is None else kept
