"""Compiles one model as another one is compiled."""

import keras


def compile_like(model, original):
    """Compiles `model` with the configuration of `original`, if that is compiled.

    The optimizer and the metrics are new ones, made from their configs; losses and
    functions, which have no state, are shared, registered with Keras or not.

    Args:
        model: The `keras.Model` to compile.
        original: A `keras.Model` with the same outputs.
    """
    if not original.compiled:
        return
    # `get_compile_config()` holds names in the place of objects, from which a loss
    # that is not registered with Keras could not be had back.
    config = dict(original._compile_config.config)
    config["optimizer"] = _renew(config["optimizer"])
    for name in ("metrics", "weighted_metrics"):
        config[name] = keras.tree.map_structure(
            lambda entry: _renew(entry) if isinstance(entry, keras.Metric) else entry,
            config[name],
        )
    model.compile(**config)


def _renew(configurable):
    """Returns a new object from the config of another."""
    if not hasattr(configurable, "get_config"):
        return configurable
    used = [type(configurable), type(getattr(configurable, "_learning_rate", None))]
    with keras.saving.custom_object_scope({cls.__name__: cls for cls in used}):
        return type(configurable).from_config(configurable.get_config())
