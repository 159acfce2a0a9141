"""Latency: how long one inference takes, on the runtime that will run it."""
