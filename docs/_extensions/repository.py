"""Files of the repository beside docs/ as pages, and links to them.

A page that is nothing but a link to a Markdown file outside docs/ shows that file. Links of all pages to such a file
lead to its page, links to an example to its page in the gallery, and other files of the repository are downloads.
"""

import os.path
import re
from pathlib import Path

from sphinx.application import Sphinx

LINK = re.compile(r"(?<=\]\()([^)\s#]+)((?:#[^)\s]*)?)(?=\))")
ONLY_LINK = re.compile(r"\s*\[[^\]]*\]\(([^)\s]+)\)\s*")


def shown_file(page: Path) -> Path | None:
    """The file outside docs/ that a page shows; None for an ordinary page."""
    link = ONLY_LINK.fullmatch(page.read_text(encoding="utf-8"))
    return None if link is None else Path(os.path.normpath(page.parent / link[1]))


def page_text(app: Sphinx, page: Path) -> str:
    """The text of a page, its links as the site has them."""
    source = shown_file(page) or page
    folder = Path(app.srcdir)
    pages = {shown: each for each in folder.rglob("*.md") if (shown := shown_file(each))}

    def mended(match: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / match[1]))
        there = pages.get(target) or pages.get(target / "README.md") or target
        if "://" in match[1] or not there.exists():
            return match[0]
        if there == folder / "examples":
            return "/gallery/index.rst"
        if there.parent == folder / "examples":
            return f"/gallery/{there.stem}.rst"
        if there.is_relative_to(folder):
            return f"/{there.relative_to(folder).as_posix()}{match[2]}"
        return os.path.relpath(there, page.parent)

    return LINK.sub(mended, source.read_text(encoding="utf-8"))


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if path.suffix == ".md":
        source[0] = page_text(app, path)
        if shown := shown_file(path):
            app.env.note_dependency(str(shown))


def setup(app: Sphinx) -> dict[str, bool]:
    """Read pages by these rules."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True}
