"""Layer types: what is known of each layer, and the registry of it."""
