"""Layouts: how an operation is re-made where its axes come in another order.

Rules say it: each is a function `fn(call, placed)` of a recorded `Call` and the
`Placed` tensors it reads, and returns a `Recipe`. `None` where the call has to read
what it did before.
"""
