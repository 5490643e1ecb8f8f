"""The pages of the documentation are complete: generated tables, rows, links, and the picture of the code."""

import configparser
import re
from pathlib import Path

import pytest

from forecast.models import model_names
from forecast.version import __version__
from tests.docs._pages import OTHERS, ROOT, SITE, name_of
from tests.docs._tables import GENERATED, tables, updated

README = (ROOT / "README.md").read_text(encoding="utf-8")
GITHUB = sorted((ROOT / ".github").glob("*.md"))
PAGES = [*OTHERS, *SITE, *GITHUB, ROOT / "tests" / "bad_input" / "README.md"]


def test_the_generated_tables_are_up_to_date() -> None:
    pages = [page.read_text(encoding="utf-8") for page in SITE]
    assert all(page == updated(page) for page in pages), "run python -m tests.docs"
    assert sorted(match[1] for page in pages for match in GENERATED.finditer(page)) == sorted(
        tables()
    )


def test_the_readme_is_short_and_names_the_version() -> None:
    assert len(README.splitlines()) < 200
    assert f"version {__version__}." in README


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_row(name: str) -> None:
    assert f"| `{name}`" in (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", SITE, ids=name_of)
def test_every_page_begins_with_what_it_is_for_and_an_index_names_it(page: Path) -> None:
    title, first = page.read_text(encoding="utf-8").split("\n\n")[:2]
    assert title.startswith("# ")
    assert first.startswith("This page ") or page.name == "index.md"
    indexes = [other for other in SITE if "{toctree}" in other.read_text(encoding="utf-8")]
    linked = [(index.parent / link).resolve() for index in indexes for link in _links(index)]
    assert page.name == "index.md" or page in linked


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_exists(page: Path) -> None:
    for target in _links(page):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = page.parent / file if file else page
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in _anchors(there.read_text(encoding="utf-8")), f"{page}: {target}"


def _links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_citation_names_the_version() -> None:
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_changes_of_this_version_are_sorted_and_short() -> None:
    changes = (ROOT / "CHANGES.md").read_text(encoding="utf-8")
    assert len(changes.splitlines()) < 80
    newest = changes.split("\n## ")[1]
    assert newest.startswith(__version__)
    kinds = re.findall(r"^### (.*)$", newest, re.MULTILINE)
    assert {"Added", "Changed", "Fixed"} <= set(kinds)


def test_the_picture_of_the_code_is_the_code_and_its_contract() -> None:
    picture = README[README.index("\n    faces ") :]
    floors = re.split(r"\n    (?=[a-z]+  )", picture[: picture.index("\n\n")])[1:]
    drawn = [set(re.findall(r"(\w+)(?:/|\.py)(?= |$)", floor, re.MULTILINE)) for floor in floors]
    contract = configparser.ConfigParser()
    contract.read(ROOT / "setup.cfg")
    layers = contract["importlinter:contract:floors"]["layers"].split("\n")[2:]
    assert drawn == [set(layer.split(" : ")) for layer in layers]
    folders = set(re.findall(r"^    (\w+/)", picture, re.MULTILINE))
    folders |= set(re.findall(r"^    \w+/ (\w+/)", picture, re.MULTILINE))
    assert folders == {
        "data/",
        "pipelines/",
        "predict/",
        "benchmarks/",
        "workshop/",
        "docs/",
        "tests/",
    }
    assert all((ROOT / folder).is_dir() for folder in folders)
