"""The pages of the documentation are complete: generated tables, rows, links, and the picture of the code."""

import re
from pathlib import Path

import pytest

from forecast.models import model_names
from tests.docs._tables import GENERATED, ROOT, tables, updated

README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [
    ROOT / "README.md",
    *DOCS,
    *(ROOT / folder / "README.md" for folder in ("pipelines", "data", "benchmarks", "tests/bad_input")),
]


def test_the_generated_tables_are_up_to_date() -> None:
    pages = [page.read_text(encoding="utf-8") for page in DOCS]
    assert all(page == updated(page) for page in pages), "run python -m tests.docs"
    assert sorted(match[1] for page in pages for match in GENERATED.finditer(page)) == sorted(tables())


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_row(name: str) -> None:
    assert f"| `{name}`" in README


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_page_begins_with_what_it_answers_and_is_in_the_index(page: Path) -> None:
    title, first = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert first.startswith("This page ")
    if page.name != "README.md":
        assert f"]({page.name})" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
        assert f"](docs/{page.name})" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in _anchors(there.read_text(encoding="utf-8")), f"{page}: {target}"


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_picture_of_the_code_is_the_code() -> None:
    picture = README[README.index("\n    forecast/\n") :]
    rooms = set(re.findall(r"^      (\S+)  ", picture, re.MULTILINE))
    code = {f"{path.name}/" if path.is_dir() else path.name for path in (ROOT / "forecast").iterdir()}
    assert rooms == {name for name in code if not name.startswith("__") and name != "py.typed"}
    folders = {name.rstrip("/") for name in re.findall(r"^    (\w+/)", picture, re.MULTILINE)}
    assert folders == {"forecast", "data", "pipelines", "benchmarks", "docs", "tests"}
    assert all((ROOT / folder).is_dir() for folder in folders)
