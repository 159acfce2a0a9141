"""Games on the outputs of the network, whose values are sampled."""
