"""The reconstruction game, whose values are known in closed form."""
