"""Makes a Jupyter notebook of a tutorial of this folder, or runs its cells.

The tutorials have the form of those of keras.io: a script that begins with a string of
`Title: ...`, `Author: ...` and so on, and in which every other string at top level is
text to read. Each text becomes a Markdown cell, the code between two of them a code
cell.

    python -m pip install ".[examples]"
    python examples/to_notebook.py examples/own_layer.py -o own_layer.ipynb
    python examples/to_notebook.py examples/own_layer.py --run

With `--run` the cells are run in an empty folder. What they print is written to the
`.txt` file beside the script, and pictures (`.png`) that they save are put there too.
Notebooks, and the pages of the documentation, show these outputs.
"""

import argparse
import ast
import contextlib
import io
import os
import pathlib
import re
import shutil
import tempfile

HEADER_FIELDS = (
    "Title",
    "Author",
    "Date created",
    "Last modified",
    "Description",
    "Accelerator",
)
_OUTPUT = re.compile(r"^Out\[(\d+)\]:\n", re.MULTILINE)


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
            f"Argument `source` should begin with a string of {HEADER_FIELDS}. "
            f"Received: source={source[:60]!r}"
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
    """Returns the Markdown of a header: its title, the other fields, and the rest."""
    fields, _, rest = header.strip().partition("\n\n")
    values = dict(line.split(": ", 1) for line in fields.splitlines() if ": " in line)
    if tuple(values) != HEADER_FIELDS:
        raise ValueError(
            f"Argument `source` should begin with a string of {HEADER_FIELDS}. "
            f"Received: {fields!r}"
        )
    title = values.pop("Title")
    shown = "<br>\n".join(f"**{name}:** {value}" for name, value in values.items())
    return f"# {title}\n\n{shown}\n\n{rest.strip()}".rstrip()


def call_without_command_line(code):
    """Replaces what a command does when it is run by what a notebook can do."""
    return code.replace('if __name__ == "__main__":\n    main()', "main([])")


def run_cells(cells):
    """Runs the code of a tutorial, cell by cell, in the current folder.

    Args:
        cells: What `split_cells` returned.

    Returns:
        Dict: number of a code cell, counted from 1 -> what it printed, if anything.
    """
    namespace, outputs = {"__name__": "tutorial"}, {}
    codes = [text for kind, text in cells if kind == "code"]
    for number, code in enumerate(codes, start=1):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"<cell {number}>", "exec"), namespace)
        if printed.getvalue():
            outputs[number] = printed.getvalue()
    return outputs


def format_outputs(outputs):
    """Returns what `run_cells` returned as the text of one file."""
    return "".join(f"Out[{n}]:\n{text.rstrip()}\n" for n, text in outputs.items())


def read_outputs(script):
    """Returns what the cells of a script printed, as `run_cells`, if it is kept."""
    path = pathlib.Path(script).with_suffix(".txt")
    if not path.exists():
        return {}
    _, *parts = _OUTPUT.split(path.read_text(encoding="utf-8"))
    return {int(n): text for n, text in zip(parts[::2], parts[1::2], strict=True)}


def keep_outputs(script):
    """Runs a tutorial, and writes what its cells print and draw beside the script."""
    script = pathlib.Path(script).resolve()
    cells = split_cells(script.read_text(encoding="utf-8"))
    before = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            outputs = run_cells(cells)
        finally:
            os.chdir(before)
        for picture in pathlib.Path(folder).glob("*.png"):
            shutil.copy(picture, script.parent)
    target = script.with_suffix(".txt")
    target.write_text(format_outputs(outputs), encoding="utf-8")
    return target


def build_notebook(source, outputs=None):
    """Returns the notebook of a tutorial.

    Args:
        source: String, the code of the script.
        outputs: What `read_outputs` returned, or `None` for a notebook without outputs.

    Returns:
        An `nbformat.NotebookNode`. The same arguments give the same notebook.

    Raises:
        ValueError: If the script does not begin with a header.
    """
    from nbformat import v4  # not above: running the cells needs no notebook

    cells, count = [], 0
    for position, (kind, text) in enumerate(split_cells(source), start=1):
        name = f"cell-{position}"
        if kind == "markdown":
            cells.append(v4.new_markdown_cell(text, id=name))
            continue
        count += 1
        cell = v4.new_code_cell(text, id=name)
        if outputs and count in outputs:
            cell.outputs = [v4.new_output("stream", text=outputs[count])]
        cells.append(cell)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def main(argv=None):
    parser = argparse.ArgumentParser(description="Makes a notebook of a tutorial.")
    parser.add_argument("script", type=pathlib.Path, help="such as own_layer.py")
    parser.add_argument(
        "-o", "--output", type=pathlib.Path, help="default: NAME.ipynb right here"
    )
    parser.add_argument(
        "--run", action="store_true", help="run it, and keep its outputs beside it"
    )
    args = parser.parse_args(argv)
    import nbformat

    try:
        if args.run:
            print(f"wrote {keep_outputs(args.script).name}")
            return
        source = args.script.read_text(encoding="utf-8")
        notebook = build_notebook(source, read_outputs(args.script))
    except (OSError, SyntaxError, ValueError) as error:
        parser.error(str(error))
    output = args.output or pathlib.Path(f"{args.script.stem}.ipynb")
    nbformat.write(notebook, output)
    print(f"wrote {output}")


if __name__ == "__main__":
    main()
