"""The documentation: what is in it, its links, and the site that is made of it."""

import collections
import html.parser
import inspect
import re
import subprocess
import sys
import urllib.parse

import pytest
from scripts import EXAMPLES, ROOT, TUTORIALS, load

import keras_shapley_prune

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
SHOWN = {
    name: getattr(keras_shapley_prune, name) for name in keras_shapley_prune.__all__
}
for _name in ("estimators", "games"):  # of a namespace, its classes are shown
    _module = SHOWN.pop(_name)
    SHOWN |= {name: getattr(_module, name) for name in _module.__all__}
# Results that functions return are shown where these are, but have no public name.
RESULTS = {
    "AblationCurve",
    "ChannelGroup",
    "FrontierPoint",
    "GroupComparison",
    "Inspection",
    "RankingCost",
    "RuntimeComparison",
}


def text_of(path):
    return path.read_text(encoding="utf-8")


def without_code(markdown):
    """Blocks of code and inline code hold no links and no headings."""
    markdown = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "code", markdown)


def anchors_of(path):
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", text_of(path), flags=re.MULTILINE | re.DOTALL)
    count, anchors = collections.Counter(), set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{count[slug]}" if count[slug] else slug)
        count[slug] += 1
    return anchors


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")),
        *PAGES,
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(text_of(path))):
        target, _, anchor = link.partition("#")
        if re.match(r"\w+:", target):
            continue
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), link
        assert not anchor or anchor in anchors_of(linked), link


def test_every_public_name_is_on_one_page_once():
    shown = re.findall(
        r"^::: keras_shapley_prune\.(?:\w+\.)*(\w+)$",
        "\n".join(text_of(path) for path in PAGES),
        re.MULTILINE,
    )
    assert sorted(shown) == sorted([*SHOWN, *RESULTS])


def test_every_public_name_has_a_counterpart_in_keras_or_none():
    page = text_of(DOCS / "if_you_know_keras.md")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert set(keras_shapley_prune.__all__) <= named


def entries(nav):
    """The pages of a `nav`, at any depth."""
    for entry in nav:
        (target,) = entry.values() if isinstance(entry, dict) else [entry]
        yield from entries(target) if isinstance(target, list) else [target]


def test_every_page_is_in_the_navigation_once():
    yaml = pytest.importorskip("yaml", reason='needs pip install ".[docs]"')
    found = list(entries(yaml.safe_load(text_of(ROOT / "mkdocs.yml"))["nav"]))
    pages = [path.relative_to(DOCS).as_posix() for path in PAGES]
    made = [
        "index.md",
        "changelog.md",
        "contributing.md",
        *(f"examples/{n}.md" for n in TUTORIALS),
    ]
    assert sorted(found) == sorted(pages + made)


class Page(html.parser.HTMLParser):
    """The ids and the links of a page, and its text."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.text = [], [], ""
        self.feed(text_of(path))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs[name] for name in ("href", "src") if attrs.get(name)]

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Dict: path of a page, in the site that is built of this repository -> `Page`."""
    for package in ("mkdocs", "mkdocstrings_handlers.python", "nbformat"):
        pytest.importorskip(package, reason='needs pip install ".[docs]"')
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {path: Page(path) for path in folder.rglob("*.html")}


def page_named(site, name):
    (page,) = [page for path, page in site.items() if path.as_posix().endswith(name)]
    return page


def test_links_of_the_site_lead_somewhere(site):
    for path, page in site.items():
        if path.name == "404.html":  # its links are absolute
            continue
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme:
                continue
            target = urllib.parse.unquote(parts.path)
            linked = (path.parent / target).resolve() if target else path
            assert linked.is_file(), f"{path.name}: {link}"
            if parts.fragment and linked in site:
                assert parts.fragment in site[linked].ids, f"{path.name}: {link}"


def test_the_site_loads_nothing_from_elsewhere(site):
    for path in site:
        loaded = re.findall(r'<(?:script|link|img)[^>]*?"(https?:[^"]+)', text_of(path))
        assert not loaded


@pytest.mark.parametrize("name", SHOWN)
def test_reference_shows_the_whole_docstring(name, site):
    owner = SHOWN[name]
    identifier = re.compile(rf"keras_shapley_prune\.(\w+\.)*{name}")
    pages = [p for p in site.values() if any(map(identifier.fullmatch, p.ids))]
    (page,) = pages
    shown = "".join(page.text.split())
    for line in inspect.getdoc(owner).splitlines():
        plain = re.sub(r"^(\w[\w ]*):$|^- |^```.*|`", r"\1", line.strip())
        assert "".join(plain.split()) in shown, line


@pytest.mark.parametrize("name", TUTORIALS)
def test_tutorial_is_a_page_with_its_output(name, site):
    page = page_named(site, f"examples/{name}.html")
    shown = "".join(page.text.split())
    script = EXAMPLES / f"{name}.py"
    assert f"{name}.ipynb" in page.links
    converter = load(script.with_name("to_notebook.py"))
    for kind, text in converter.split_cells(text_of(script)):
        assert kind == "markdown" or "".join(text.split()) in shown
    for output in converter.read_outputs(script).values():
        assert "".join(output.split()) in shown


def test_readme_is_the_home_page(site):
    page = page_named(site, "index.html")
    assert {"accuracy.html", "examples/quickstart.html"} <= set(page.links)
    assert any(link.endswith("#keras_shapley_prune.prune") for link in page.links)


@pytest.fixture(scope="module")
def keras_docstrings():
    pytest.importorskip("griffe", reason='needs pip install ".[docs]"')
    return load(DOCS / "keras_docstrings.py")


def test_docstrings_become_markdown(keras_docstrings):
    docstring = """Does it.

Args:
    x: Float, a
        number.
    **options: Others.

Returns:
    A `Ranking`: print it.

Example:

```python
Args: {"x": 1}
```"""
    expected = """Does it.

**Args**

- **`x`**: Float, a
    number.
- **`**options`**: Others.

**Returns**

A `Ranking`: print it.

**Example**

```python
Args: {"x": 1}
```"""
    assert keras_docstrings.to_markdown(docstring) == expected
