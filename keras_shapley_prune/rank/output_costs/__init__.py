"""What the outputs of the network lose as the units of a group are removed."""
