"""The numbers that options give, as argparse takes them."""

import argparse
import fractions


def positive_integer(text):
    """Returns the integer that an option gives, at least 1."""
    return _integer(text, 1)


def seed(text):
    """Returns the integer that an option gives, at least 0."""
    return _integer(text, 0)


def number(text):
    """Returns a number or a fraction, of numbers such as `1/127.5`."""
    # A fraction of exact numbers: it is rounded once.
    above, _, below = text.partition("/")
    try:
        return float(fractions.Fraction(above) / fractions.Fraction(below or "1"))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"should be a number or a fraction such as 1/255. Received: {text!r}"
        ) from None


def positive_number(text):
    """Returns the number, or fraction, that an option gives, above 0."""
    found = number(text)
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(
            f"should be a number above 0. Received: {text!r}"
        )
    return found


def share(text):
    """Returns the number, or fraction, that an option gives, in [0, 1)."""
    try:
        found = number(text.removesuffix("%"))
    except argparse.ArgumentTypeError:
        found = None
    if found is None or text.endswith("%") or not 0 <= found < 1:
        raise argparse.ArgumentTypeError(
            f"should be a share in [0, 1). Received: {text!r}{suggest_share(text)}"
        )
    return found


def allowed_drop(text):
    """Returns the number that an option gives, at least 0."""
    if text.endswith("%"):
        raise argparse.ArgumentTypeError(
            f"should be a number of at least 0. Received: {text!r}{suggest_share(text)}"
        )
    found = number(text)
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(
            f"should be a number of at least 0. Received: {text!r}"
        )
    return found


def suggest_share(text):
    """Returns the question whether a percentage was meant, the end of a message.

    Args:
        text: String, what was given in the place of a share.

    Returns:
        String, empty unless it may be a percentage.
    """
    given = text.removesuffix("%")
    try:
        percent = float(given)
    except ValueError:
        return ""
    # 1.5 may be anything; 2 and 50 are hardly meant for more than the whole.
    if not (2 <= percent < 100 or (given != text and 0 <= percent < 100)):
        return ""
    return f". Did you mean {percent / 100:g}, {percent:g} percent?"


def _integer(text, least):
    # By itself `int` takes " 7 ", "1_000" and digits of other scripts too.
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"should be an integer of at least {least}. Received: {text!r}"
        )
    return int(text)
