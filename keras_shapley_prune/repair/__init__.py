"""Repair: what is kept makes up for what is removed, in closed form."""
