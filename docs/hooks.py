"""What MkDocs does for this site: pages made of files that live elsewhere.

The site has the layout of the repository: the README is its home, `docs/` its top
level, and a tutorial of `examples/` is a page of its text, its code and its output.
Nothing is kept twice; links between files are those that work in the repository.
"""

import functools
import importlib.util
import pathlib
import posixpath
import re

import nbformat
from mkdocs.structure.files import File
from pygments.formatters import HtmlFormatter

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(?=\))")


@functools.cache
def load_converter():
    """The converter to notebooks, which is a script and in no package."""
    path = ROOT / "examples" / "to_notebook.py"
    spec = importlib.util.spec_from_file_location("to_notebook", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path):
    return path.read_text(encoding="utf-8")


def tutorials():
    """The paths of the tutorials, by the place of their page in the site."""
    paths = (ROOT / "examples").glob("*.py")
    return {f"examples/{p.stem}.md": p for p in paths if p.stem != "to_notebook"}


def format_tutorial(path):
    """Returns the Markdown of a tutorial: texts, code, and what each cell printed."""
    converter = load_converter()
    (_, header), *cells = converter.split_cells(read(path))
    outputs, count = converter.read_outputs(path), 0
    head, _, rest = header.partition("\n\n## ")
    parts = [head, f"[This page as a notebook]({path.stem}.ipynb)", f"## {rest}"]
    for kind, text in cells:
        if kind == "markdown":
            parts.append(text)
            continue
        count += 1
        parts.append(f"```python\n{text}\n```")
        if count in outputs:
            parts.append(f"```\n{outputs[count].rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def on_files(files, config):
    """Adds the pages that are not in `docs/`, and the files that pages link to."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=read(ROOT / source)))
    for page, path in tutorials().items():
        converter = load_converter()
        outputs = converter.read_outputs(path)
        notebook = nbformat.writes(converter.build_notebook(read(path), outputs))
        place = page.replace(".md", ".ipynb")
        files.append(File.generated(config, page, content=format_tutorial(path)))
        files.append(File.generated(config, place, content=notebook))
    colours = HtmlFormatter().get_style_defs(".highlight")
    files.append(File.generated(config, "pygments.css", content=colours))
    for page in list(files.documentation_pages()):
        for _, target, _ in LINK.findall(page.content_string):
            place, path = locate(page.src_uri, target)
            if path and path.is_file() and not files.get_file_from_path(place):
                files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, **_):
    """Turns links between files of the repository to the pages of the site."""

    def replace(match):
        before, target, anchor = match.groups()
        place, path = locate(page.file.src_uri, target)
        if path is None or not (path.is_file() or place.endswith(".ipynb")):
            return match[0]  # or code that looks like a link: `layers[0](inputs)`
        folder = posixpath.dirname(page.file.src_uri)
        return before + posixpath.relpath(place, folder or ".") + (anchor or "")

    return LINK.sub(replace, markdown)


def on_page_content(html, **_):
    """Links names of the package to their reference, and pictures to their files.

    A phone shows a picture as wide as its screen; its file can be enlarged. Code in a
    table may break after signs, for a column that is narrower than a name.
    """
    html = re.sub(r'(<img [^>]*src="([^"]+)"[^>]*>)', r'<a href="\2">\1</a>', html)
    paths = api_paths()
    code = re.compile(rf'(?<!">)<code>({"|".join(paths)})(\([^<]*\))?</code>')
    html = code.sub(
        lambda match: f'<autoref identifier="{paths[match[1]]}">{match[0]}</autoref>',
        html,
    )
    cell = re.compile(r"<td.*?</td>", re.DOTALL)
    return cell.sub(lambda match: re.sub(r"<code>[^<]*", allow_breaks, match[0]), html)


def allow_breaks(code):
    """Returns code, a match; if it is long, lines may end where its words do."""
    if len(code[0]) < len("<code>") + 20:
        return code[0]
    return re.sub(r"(?<=\w)([._(/=]+)(?=[\w&])", r"\1<wbr>", code[0])


def api_paths():
    """Returns a dict: public name -> the path under which its page has it."""
    pages = sorted((ROOT / "docs" / "api").glob("*.md"))
    text = "\n".join(read(page) for page in pages)
    paths = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    return {path.rpartition(".")[2]: path for path in paths}


def locate(page, target):
    """Finds what a relative link means.

    Args:
        page: String, the place in the site of the page that has the link.
        target: String, the link, without an anchor.

    Returns:
        Tuple of the place in the site and the path in the repository, both `None`
        if the link is not relative.
    """
    if re.match(r"\w+:", target):
        return None, None
    sources = {place: source for source, place in PAGES.items()}
    source = sources.get(page, page if page in tutorials() else f"docs/{page}")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    place = PAGES.get(path, path.removeprefix("docs/"))
    stem, ending = posixpath.splitext(path)
    if ending in (".py", ".txt") and f"{stem}.md" in tutorials():
        place = f"{stem}.md"
    return place, ROOT / path
