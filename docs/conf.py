"""Sphinx's settings, and a check that every public name has its place in the reference."""

import re
from importlib.metadata import version as installed_version
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import routines

project = "routines"
author = "the routines authors"
project_copyright = "the routines authors"
release = installed_version("asyncio-routines")
version = release

extensions = ["sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
templates_path: list[str] = []
nitpicky = True
# `name` in a docstring is a link where there is one to make, and code elsewhere; explicit roles have to resolve.
default_role = "py:obj"
# The types of a dataclass's fields are Python's own: no links, as the build needs no network.
nitpick_ignore_regex = [(r"py:obj", r".*"), (r"py:class", r"(collections|asyncio)\..*")]
primary_domain = "py"
highlight_language = "python3"

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "add_note, with_traceback"}
autodoc_typehints = "none"  # the stubs hold the types; compiled signatures have none
napoleon_numpy_docstring = False
napoleon_use_rtype = False

doctest_test_doctest_blocks = "default"
trim_doctest_flags = True

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_title = f"routines {release}"
html_show_copyright = False
html_copy_source = False


def check_public_names(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of public names that no page documents; with ``-W`` a warning fails the build."""
    documented = {name.removeprefix("routines.") for name in env.domains["py"].objects}
    for name in sorted(set(routines.__all__) - documented):
        logging.getLogger(__name__).warning("routines.%s is public and has no place in the reference", name)


class ReadmeFigures(SphinxDirective):
    """What stands between README's two marks of the benchmark table, so that its figures stand in one place."""

    def run(self) -> list[nodes.Node]:
        readme = Path(__file__).parents[1] / "README.md"
        self.env.note_dependency(str(readme))
        marked = re.search(
            r"<!-- benchmark table -->\n(.*)<!-- end of benchmark table -->",
            readme.read_text("utf-8"),
            re.DOTALL,
        )
        if marked is None:
            raise self.error("README.md has no benchmark table")
        # From Markdown: what is code there is code here, and links lose their address, but for those to a page of this documentation.
        text = re.sub(r"\[([^]]*)\]\((?!docs/)[^)]*\)", r"\1", marked[1].replace("`", "``"))
        text = re.sub(r"\[[^]]*\]\(docs/(\w+)\.rst\)", r":doc:`\1`", text)
        lines: list[str] = []
        for row in text.splitlines():
            if not row.startswith("|"):
                lines.append(row)
            elif re.fullmatch(r"[|\s:-]+", row):
                continue
            else:
                if not lines or not lines[-1].startswith("   "):
                    lines += [".. list-table::", "   :header-rows: 1", "   :class: figures", ""]
                first, *others = (cell.strip() for cell in row.strip("|").split("|"))
                lines += [f"   * - {first}", *(f"     - {cell}".rstrip() for cell in others)]
        return self.parse_text_to_nodes("\n".join(lines))


# Napoleon takes "What it counts: how" in an attribute's docstring for a type and a description; ours have no types there.
attribute_docstrings: dict[str, list[str]] = {}


def keep_attribute_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    if what in ("attribute", "property"):
        attribute_docstrings[name] = list(lines)


def restore_attribute_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    if name in attribute_docstrings:
        lines[:] = attribute_docstrings.pop(name)


def setup(app: Sphinx) -> None:
    app.add_directive("readme-figures", ReadmeFigures)
    app.connect("autodoc-process-docstring", keep_attribute_docstring, priority=400)
    app.connect("autodoc-process-docstring", restore_attribute_docstring, priority=600)
    app.connect("env-check-consistency", check_public_names)
