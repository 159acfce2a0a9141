"""Makes a Jupyter notebook of a tutorial of this folder.

The tutorials are in the style of those of keras.io: a script that begins with a string
of `Title: ...` and `Description: ...`, and in which every other string at top level is
text to read. Each text becomes a Markdown cell, the code between two of them a code
cell, and what the script does when it is run, `main()`, becomes `main([])`: a notebook
has no command line.

    python -m pip install ".[examples]"
    python examples/to_notebook.py examples/own_layer.py -o own_layer.ipynb
"""

import argparse
import ast
import pathlib

HEADER_FIELDS = ("Title", "Description")


def split_cells(source):
    """Splits a tutorial into its cells.

    Args:
        source: String, the code of the script.

    Returns:
        List of tuples `(kind, text)`, kind being `"markdown"` or `"code"`.

    Raises:
        ValueError: If the script does not begin with a header.
    """
    statements = ast.parse(source).body
    texts = [statement for statement in statements if is_text(statement)]
    if not texts or texts[0] is not statements[0]:
        raise ValueError(
            "Argument `source` should begin with a string of 'Title: ...' and "
            f"'Description: ...'. Received: source={source[:60]!r}"
        )
    cells = [("markdown", format_header(texts[0].value.value))]
    ends = [text.lineno - 1 for text in texts[1:]] + [None]
    lines = source.splitlines()
    for text, end in zip(texts, ends, strict=True):
        if text is not texts[0]:
            cells.append(("markdown", text.value.value.strip()))
        code = call_without_command_line("\n".join(lines[text.end_lineno : end]))
        if code.strip():
            cells.append(("code", code.strip("\n")))
    return cells


def is_text(statement):
    """Whether a statement is a string and nothing else."""
    constant = isinstance(statement, ast.Expr) and isinstance(
        statement.value, ast.Constant
    )
    return constant and isinstance(statement.value.value, str)


def format_header(header):
    """Returns the Markdown of a header: its title, its description, and the rest."""
    fields, _, rest = header.strip().partition("\n\n")
    values = dict(line.split(": ", 1) for line in fields.splitlines() if ": " in line)
    if not all(name in values for name in HEADER_FIELDS):
        raise ValueError(
            "Argument `source` should begin with a string of 'Title: ...' and "
            f"'Description: ...'. Received: {fields!r}"
        )
    title, description = (values[name] for name in HEADER_FIELDS)
    return f"# {title}\n\n{description}\n\n{rest.strip()}".rstrip()


def call_without_command_line(code):
    """Replaces what a script does when it is run by what a notebook can do."""
    return code.replace('if __name__ == "__main__":\n    main()', "main([])")


def build_notebook(source):
    """Returns the notebook of a tutorial.

    Args:
        source: String, the code of the script.

    Returns:
        An `nbformat.NotebookNode` without outputs. The same code gives the same
        notebook.

    Raises:
        ValueError: If the script does not begin with a header.
    """
    import nbformat.v4  # not above: the pages of the documentation need no notebook

    makers = {
        "markdown": nbformat.v4.new_markdown_cell,
        "code": nbformat.v4.new_code_cell,
    }
    cells = [
        makers[kind](text, id=f"cell-{position}")
        for position, (kind, text) in enumerate(split_cells(source), start=1)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def main(argv=None):
    parser = argparse.ArgumentParser(description="Makes a notebook of a tutorial.")
    parser.add_argument("script", type=pathlib.Path, help="such as own_layer.py")
    parser.add_argument(
        "-o", "--output", type=pathlib.Path, help="default: NAME.ipynb right here"
    )
    args = parser.parse_args(argv)
    import nbformat

    try:
        notebook = build_notebook(args.script.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        parser.error(str(error))
    output = args.output or pathlib.Path(f"{args.script.stem}.ipynb")
    nbformat.write(notebook, output)
    print(f"wrote {output}")


if __name__ == "__main__":
    main()
