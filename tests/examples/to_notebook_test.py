"""The tutorials as notebooks."""

import ast
import contextlib
import io

import pytest
from scripts import EXAMPLES, TUTORIALS, load

from keras_shapley_prune.layer_types import registry

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
    assert lines[-2:] == ['if __name__ == "__main__":', "    main()"]
    return [line for line in [*lines[:-2], "main([])"] if line]


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
    title, description, heading = first.split("\n\n")[:3]
    assert f"Title: {title[2:]}\nDescription: {description}\n" in source
    assert heading == "## Introduction"
    assert len(texts) >= 3
    for text in texts:
        assert text.startswith("## ")
        assert f'\n"""\n{text}\n"""\n' in source


def test_notebook_is_the_same_each_time(converter):
    source = source_of("own_layer")
    assert converter.build_notebook(source) == converter.build_notebook(source)


@pytest.mark.slow
def test_notebook_runs(converter, monkeypatch):
    monkeypatch.setattr(registry, "LAYER_TYPES", dict(registry.LAYER_TYPES))
    *cells, last = [
        cell.source
        for cell in converter.build_notebook(source_of("own_layer")).cells
        if cell.cell_type == "code"
    ]
    assert last.endswith("\nmain([])")
    cells.append(last.replace("main([])", 'main(["--epochs=1"])'))
    namespace, printed = {"__name__": "__main__"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in cells:
            exec(cell, namespace)
    assert "stem            32 →     16" in printed.getvalue()


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
    assert first == second == converter.build_notebook(source_of("own_layer"))


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
