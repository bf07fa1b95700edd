"""The documentation tells of everything that there is to tell of. That it builds and that its examples run, `.ci/run` sees."""

import re
from pathlib import Path

import pytest

import routines
from routines import context, stages, testing

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path.stem for path in DOCS.glob("*.rst") if path.stem != "index")


def text(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(routines.__all__))
def test_every_public_name_has_an_entry_in_the_reference(name):
    entry = rf"^\.\. auto(function|class|exception|module)::\s+(routines\.)?{name}(\(|$)"
    assert re.search(entry, text(DOCS / "api.rst"), re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "module"),
    [("api", testing), ("api", context), ("stages", stages)],
    ids=["testing", "context", "stages"],
)
def test_every_name_of_the_other_modules_has_an_entry(page, module):
    described = text(DOCS / f"{page}.rst")
    for name in module.__all__:
        entry = rf"^\.\. auto(function|class|exception)::\s+({re.escape(module.__name__)}\.)?{name}(\(|$)"
        assert re.search(entry, described, re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_in_the_table_of_contents(page):
    assert re.search(rf"^   {page}$", text(DOCS / "index.rst"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_code_that_can_run_is_run(page):
    """A `code-block` in Python is not: only where it needs what is not installed for the documentation."""
    left_out = {"services": {"fastapi", "aiohttp"}}.get(page, set())
    for block in re.findall(
        r"^\.\. code-block:: python\n((?:\n|   .*\n)+)", text(DOCS / f"{page}.rst"), re.MULTILINE
    ):
        assert any(module in block for module in left_out), block


def test_every_example_is_told_of():
    told = text(DOCS / "examples.rst")
    for path in (ROOT / "examples").glob("*.py"):
        assert f"``{path.name}``" in told


def test_every_picture_is_shown_and_says_what_it_shows():
    page = text(DOCS / "concepts.rst")
    pictures = sorted((DOCS / "_static").glob("*.svg"))
    assert pictures
    for picture in pictures:
        assert f":file: _static/{picture.name}" in page
        assert re.search(r"<title .*>.+</title>\s*<desc .*>.+</desc>", text(picture))


def test_the_figures_that_the_page_on_performance_shows_are_marked():
    assert ".. readme-figures::" in text(DOCS / "performance.rst")
    assert len(re.findall(r"<!-- (?:end of )?benchmark table -->", text(ROOT / "README.md"))) == 2
