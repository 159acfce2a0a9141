"""Copies the compile configuration of a model."""

import keras


def copy_compile_config(model):
    """Returns the arguments of `compile` with which a copy of a model is compiled.

    The optimizer and the metrics are new ones, made from their configs; losses and
    functions, which have no state, are shared, registered with Keras or not.

    Args:
        model: A `keras.Model`.

    Returns:
        A dict of keyword arguments, or `None` if `model` is not compiled.

    Raises:
        TypeError: If a metric or the optimizer cannot be made from its config.
    """
    if not model.compiled:
        return None
    config = dict(compile_arguments(model))
    config["optimizer"] = renew(config["optimizer"])
    for name in ("metrics", "weighted_metrics"):
        config[name] = keras.tree.map_structure(
            lambda entry: renew(entry) if isinstance(entry, keras.Metric) else entry,
            config[name],
        )
    return config


def compile_with(model, config):
    """Compiles `model` with what `copy_compile_config` returned, and returns it."""
    if config is not None:
        # Of Keras: a class of the user's may have a `compile` of other arguments.
        keras.Model.compile(model, **config)
    return model


def compile_arguments(model):
    """Returns what `compile` was called with, as a dict of the very objects.

    Keras's own `get_compile_config()` serializes them. That fails for some objects, and
    a loss that is not registered with Keras cannot be restored from it.
    """
    return model._compile_config.config


def names_outputs(model):
    """Returns whether the outputs of a model are told apart by name.

    They are in labels, losses and metrics that are dicts.

    Args:
        model: A built Sequential or functional `keras.Model`.
    """
    named = model.compiled and any(
        isinstance(value, dict) for value in compile_arguments(model).values()
    )
    return len(model.outputs) > 1 or named


def renew(configurable):
    """Returns a new object from the config of another.

    Args:
        configurable: A metric, an optimizer, or what has no config: it is returned.
    """
    # Such as the name of an optimizer, of which `compile` makes a new one.
    if not hasattr(configurable, "get_config"):
        return configurable
    if type(configurable) is keras.metrics.MeanMetricWrapper:
        return type(configurable)(  # its config holds the function by name
            configurable._fn,
            name=configurable.name,
            dtype=configurable.dtype,
            **configurable._fn_kwargs,
        )
    # Classes of the user's own need not be registered with Keras: they are at hand.
    schedule = getattr(configurable, "_learning_rate", None)
    used = [type(configurable), type(schedule)]
    with keras.saving.custom_object_scope({cls.__name__: cls for cls in used}):
        return type(configurable).from_config(configurable.get_config())
