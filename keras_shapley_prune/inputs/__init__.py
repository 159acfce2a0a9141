"""Inputs: what users hand in, checked and brought into one form."""
