"""The devices and processes over which a `tf.distribute.Strategy` spreads the work."""
