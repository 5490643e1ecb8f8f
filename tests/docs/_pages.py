"""The pages of the documentation."""

import re
from pathlib import Path

from tests.docs._blocks import Block, blocks

ROOT = Path(__file__).parents[2]
ONLY_LINK = re.compile(r"\[[^\]]*\]\([^)\s]+\)\s*")  # a page that shows a file beside docs/

SITE = [
    page
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if not ONLY_LINK.fullmatch(page.read_text(encoding="utf-8"))
]
OTHERS = [
    ROOT / "README.md",
    *(ROOT / folder / "README.md" for folder in ("pipelines", "benchmarks", "data")),
]
PAGES = {page.relative_to(ROOT).as_posix(): page for page in (*OTHERS, *SITE)}


def name_of(page: Path) -> str:
    """The path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks_of_pages() -> list[tuple[str, Block]]:
    """All blocks with the names of their pages, but for those that tell Sphinx what to do."""
    found = [
        (name, block)
        for name, page in PAGES.items()
        for block in blocks(page.read_text(encoding="utf-8"))
    ]
    return [(name, block) for name, block in found if not block.is_directive]
