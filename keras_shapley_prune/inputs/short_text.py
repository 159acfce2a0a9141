"""Texts as short as there is room for."""


def shorten(text, length, dots="…"):
    """Returns a text of at most so many characters, cut in its middle.

    What tells layers apart is at both ends of their names.

    Args:
        text: String.
        length: Integer, more than `dots` are long.
        dots: String, what stands for what is cut out.
    """
    if len(text) <= length:
        return text
    head = (length - len(dots)) // 2
    return f"{text[:head]}{dots}{text[head + len(dots) - length :]}"
