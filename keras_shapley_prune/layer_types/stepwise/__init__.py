"""Time wrappers: an operation at every step of a sequence by itself."""
