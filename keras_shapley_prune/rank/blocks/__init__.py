"""What whole blocks are worth: a game on the outputs of the network without some."""
