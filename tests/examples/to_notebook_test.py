"""The tutorials as notebooks."""

import ast
import re

import pytest
from scripts import EXAMPLES, TUTORIALS, load

nbformat = pytest.importorskip("nbformat", reason='needs pip install ".[examples]"')


@pytest.fixture(scope="module")
def converter():
    return load(EXAMPLES / "to_notebook.py")


def source_of(name):
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")


def code_of(notebook):
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return "\n".join(cells)


def lines_without_texts(source):
    """What a script has but for its texts and empty lines, and what runs it."""
    lines = source.splitlines()
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Expr) and isinstance(
            statement.value, ast.Constant
        ):
            for number in range(statement.lineno - 1, statement.end_lineno):
                lines[number] = ""
    if lines[-2:] == ['if __name__ == "__main__":', "    main()"]:
        lines[-2:] = ["main([])"]
    return [line for line in lines if line]


@pytest.mark.parametrize("name", TUTORIALS)
def test_notebook_has_the_code_of_the_script(name, converter):
    source = source_of(name)
    notebook = converter.build_notebook(source)
    nbformat.validate(notebook)
    code = code_of(notebook)
    assert [line for line in code.splitlines() if line] == lines_without_texts(source)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(cell.source, name, "exec")  # no statement is torn apart


@pytest.mark.parametrize("name", TUTORIALS)
def test_notebook_has_the_texts_of_the_script(name, converter):
    source = source_of(name)
    first, *texts = [
        cell.source
        for cell in converter.build_notebook(source).cells
        if cell.cell_type == "markdown"
    ]
    title, fields, heading = first.split("\n\n")[:3]
    header = source.split('"""')[1]
    assert f"\nTitle: {title[2:]}\n" in header
    for field in fields.split("<br>\n"):
        assert f"\n{field.replace('**', '')}\n" in header
    assert heading == "## Introduction"
    assert len(texts) >= 3
    for text in texts:
        assert f'\n"""\n{text}\n"""\n' in source


@pytest.mark.parametrize("name", sorted({*TUTORIALS} - {"quickstart"}))
def test_tutorial_has_the_form_of_those_of_keras(name):
    source = source_of(name)
    title, author, created, modified, description, _ = source.split("\n")[1:7]
    day = r"20\d\d/\d\d/\d\d"
    assert re.fullmatch(f"Date created: {day}", created)
    assert re.fullmatch(f"Last modified: {day}", modified)
    assert re.fullmatch(r"Description: [A-Z].{,98}\.", description)
    assert title.startswith("Title: ") and author.startswith("Author: ")
    assert "argparse" not in source and "__main__" not in source
    # It ends with what to read next, and those pages are there.
    last = source.rsplit("## What to read next\n", 1)[1]
    links = re.findall(r"\]\(([^)#]+)", last)
    assert len(links) >= 2 and last.endswith('"""\n')
    assert all((EXAMPLES / link).is_file() for link in links)


def test_notebook_is_the_same_each_time(converter):
    source = source_of("own_layer")
    assert converter.build_notebook(source) == converter.build_notebook(source)


def test_outputs_are_kept_and_shown_behind_their_cells(
    converter, tmp_path, monkeypatch, capsys
):
    header = source_of("own_layer").partition("## Introduction")[0]
    script = tmp_path / "small.py"
    picture = 'open("drawn.png", "w").close()'
    code = f'{header}"""\nx = 1\n\n"""\nText\n"""\n{picture}\nprint(x + 1)\nprint(3)\n'
    script.write_text(code, encoding="utf-8")
    converter.main([str(script), "--run"])
    assert capsys.readouterr().out == "wrote small.txt\n"
    assert script.with_suffix(".txt").read_text() == "Out[2]:\n2\n3\n"
    assert {path.name for path in tmp_path.iterdir()} == {
        "small.py",
        "small.txt",
        "drawn.png",
    }
    monkeypatch.chdir(tmp_path)
    converter.main([str(script)])
    _, first, _, second = nbformat.read("small.ipynb", as_version=4).cells
    assert first.outputs == []
    assert [output.text for output in second.outputs] == ["2\n3\n"]


def test_command_that_runs_needs_a_tutorial_too(converter, tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text("x = 1\n")
    with pytest.raises(SystemExit):
        converter.main([str(script), "--run"])
    assert "error: " in capsys.readouterr().err
    assert not script.with_suffix(".txt").exists()


def test_command_writes_a_notebook(converter, tmp_path, monkeypatch, capsys):
    script = str(EXAMPLES / "own_layer.py")
    monkeypatch.chdir(tmp_path)
    converter.main([script])
    converter.main([script, "-o", "other.ipynb"])
    assert capsys.readouterr().out == "wrote own_layer.ipynb\nwrote other.ipynb\n"
    first, second = (
        nbformat.read(tmp_path / name, as_version=4)
        for name in ("own_layer.ipynb", "other.ipynb")
    )
    outputs = converter.read_outputs(script)
    assert outputs
    assert first == second == converter.build_notebook(source_of("own_layer"), outputs)


@pytest.mark.parametrize(
    "content", ["x = 1\n", '"""Just a docstring."""\n', "x = (\n", None]
)
def test_what_is_no_tutorial_is_refused(content, converter, tmp_path, capsys):
    script = tmp_path / "script.py"
    if content is not None:
        script.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit):
        converter.main([str(script), "-o", str(tmp_path / "script.ipynb")])
    assert "error: " in capsys.readouterr().err
    assert not (tmp_path / "script.ipynb").exists()
