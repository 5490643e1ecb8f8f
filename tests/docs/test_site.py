"""The site builds without a warning and fetches nothing; its reference names every option, setting and model."""

import os
import re
import shutil
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from shlex import split

import click
import pytest

import forecast
from forecast.cli import cli
from forecast.jobs.pipeline import SECTIONS, JobSettings
from forecast.models import model_class, model_names
from forecast.registry import baseline_names
from tests.docs._pages import ROOT

LOADED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "object": "data",
}
ELSEWHERE = re.compile(r"(?:https?:)?//")
IN_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//")
BESIDE = (
    "README.md",
    "CHANGES.md",
    ".github",
    "benchmarks",
    "data",
    "forecast",
    "pipelines",
)  # shown or offered
NO_PAGES = {"genindex", "search", "py-modindex"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from a copy, since the examples are turned into pages beside the others; none is run."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("gallery"))
    for name in BESIDE:
        (folder / name).symlink_to(ROOT / name)
    ended = subprocess.run(
        [sys.executable, *split("-m sphinx -W --keep-going -q -D plot_gallery=0 docs built")],
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


def loads_from_elsewhere(page: str) -> list[str]:
    loads = Loads()
    loads.feed(page)
    return [value for value in loads.found if ELSEWHERE.match(value)] + IN_STYLE.findall(page)


def words_of(*pages: Path) -> set[str]:
    """The words in headings and in code within the text."""
    marked = [
        re.findall(r'(?:<h\d>|<span class="pre">)([^<]*)<', page.read_text(encoding="utf-8"))
        for page in pages
    ]
    return {
        word for texts in marked for text in texts for word in re.findall(r"[\w-]+", unescape(text))
    }


def names_of(folder: Path) -> set[str]:
    found = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.html")}
    return {name for name in found - NO_PAGES if not name.startswith("_static/")}


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for file in [*pages, *site.rglob("*.css")]:
        assert loads_from_elsewhere(file.read_text(encoding="utf-8")) == [], file


@pytest.mark.parametrize(
    "page",
    [
        '<script async src="https://cdn.example/a.js"></script>',
        '<link rel="preload" href="//fonts.example/b.woff2">',
        '<img src="http://pictures.example/c.png">',
        "<style>@import 'https://styles.example/d.css'</style>",
        "<style>p { background: url(https://pictures.example/e.png) }</style>",
    ],
)
def test_a_load_from_elsewhere_is_found(page: str) -> None:
    assert loads_from_elsewhere(page)
    assert not loads_from_elsewhere('<a href="https://elsewhere.example">a link loads nothing</a>')


def test_every_option_of_every_command_is_in_the_reference(site: Path) -> None:
    words, context = words_of(site / "settings.html", site / "commands.html"), click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert {
            flag for option in options for flag in (*option.opts, *option.secondary_opts)
        } <= words, name


def test_every_key_of_a_pipeline_file_is_in_the_reference(site: Path) -> None:
    words = words_of(site / "settings.html", site / "jobs.html")
    keys = {key for group in (JobSettings, *SECTIONS.values()) for key in group.model_fields}
    assert {
        key for key in keys if key not in words and f"--{key.replace('_', '-')}" not in words
    } == set()


def test_every_model_and_each_of_its_settings_is_in_the_reference(site: Path) -> None:
    words = words_of(site / "models.html")
    assert {*model_names(), *baseline_names()} <= words
    assert {
        knob for name in model_names() for knob in model_class(name).Params.model_fields
    } <= words


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    assert [name for name in forecast.__all__ if f'id="forecast.{name}"' not in page] == []


def test_llms_txt_has_a_line_for_each_page(site: Path) -> None:
    index = (site / "llms.txt").read_text(encoding="utf-8")
    lines = re.findall(r"^- \[.+\]\((.+)\.html\): .+\.$", index, re.MULTILINE)
    assert sorted(lines) == sorted(names_of(site))
    assert "forecast predict --output forecasts.csv" in (site / "llms-full.txt").read_text(
        encoding="utf-8"
    )
