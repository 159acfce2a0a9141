"""Layouts: how an operation is re-made where its axes come in another order."""
