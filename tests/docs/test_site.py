"""The site builds without a warning and fetches nothing; its reference names every option, setting and model."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest

import forecast
from forecast.baselines import baseline_names
from forecast.cli import cli
from forecast.jobs.pipeline import SECTIONS, JobSettings
from forecast.models import model_knobs, model_names
from tests.docs._pages import ROOT

LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "object": "data"}
ELSEWHERE = re.compile(r"(?:https?:)?//")
IN_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
BESIDE = ("README.md", "CHANGES.md", "benchmarks", "data", "pipelines")  # what pages show or offer
NO_PAGES = {"genindex", "search", "py-modindex"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from a copy, since the examples are turned into pages beside the others; none is run."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("gallery"))
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-D", "plot_gallery=0", "docs", "built"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder / "built"


class Loads(HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if LOADED.get(tag) == name]


def text_of(page: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def names_of(folder: Path) -> set[str]:
    found = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.html")}
    return {name for name in found - NO_PAGES if not name.startswith("_static/")}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.found
        assert [value for value in loads.found if ELSEWHERE.match(value)] == [], page
    for style in [*pages, *site.rglob("*.css")]:
        assert not IN_STYLE.search(style.read_text(encoding="utf-8")), style


def test_every_option_of_every_command_is_in_the_reference(site: Path) -> None:
    shared, page = text_of(site / "settings.html"), text_of(site / "commands.html")
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        for option in command.params:
            for flag in (*option.opts, *option.secondary_opts) if isinstance(option, click.Option) else ():
                written = re.compile(rf"(?<![\w-]){re.escape(flag)}(?![\w-])")
                assert written.search(shared) or written.search(page), f"{name} {flag}"


def settings() -> Iterator[tuple[str, str]]:
    """Keys of pipeline files and settings of models, each with its page."""
    for group in (JobSettings, *SECTIONS.values()):
        yield from (("jobs.html settings.html", key) for key in group.model_fields)
    for model in model_names():
        yield from (("models.html", key) for key in (model, *model_knobs(model).model_fields))
    yield from (("models.html", name) for name in baseline_names())


def test_every_key_and_every_setting_of_a_model_is_in_the_reference(site: Path) -> None:
    texts = {name: text_of(site / name) for name in ("jobs.html", "settings.html", "models.html")}
    wanted = list(settings())
    assert len(wanted) > 100
    for pages, key in wanted:
        written = re.compile(rf"(?<![\w-])(?:--)?{re.escape(key).replace('_', '[-_]')}(?![\w-])")
        assert any(written.search(texts[page]) for page in pages.split()), key


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    assert [name for name in forecast.__all__ if f'id="forecast.{name}"' not in page] == []


def test_llms_txt_has_a_line_for_each_page(site: Path) -> None:
    index = (site / "llms.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^- \[.+\]\((.+)\.html\): .+\.$", index, re.MULTILINE)
    assert sorted(lines) == sorted(names_of(site))
    assert "forecast predict --output forecasts.csv" in (site / "llms-full.txt").read_text(encoding="utf-8")
