"""Every command and example of the documentation runs, short; `pytest --slow` runs the commands in a shell too."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import benchmarks.__main__
import benchmarks.samples
import benchmarks.windows
import benchmarks.work
from benchmarks import speed_steps
from benchmarks.processes import Cost
from forecast.cli import cli
from tests.conftest import Run
from tests.docs._blocks import Command, blocks, commands
from tests.docs._pages import PAGES, ROOT, blocks_of_pages
from tests.docs._shrinking import NOT_RUN, UnknownCommand, reason, short
from tests.docs._standins import write_missing

# the examples of each command stand alone, not in the order of the page
TOLD = [page for page in PAGES if page != "docs/commands.md"]
# tests/benchmarks runs most of the first, and the rooms of the commands what the others show
SLOWEST_PAGES = (
    "benchmarks/README.md",
    "docs/forecasts.md",
    "docs/how-to/machines.md",
    "docs/how-to/totals.md",
)


def all_commands() -> list[tuple[str, Command]]:
    found = [(page, block) for page, block in blocks_of_pages() if block.is_commands]
    return [(page, command) for page, block in found for command in commands(block)]


@pytest.fixture
def perform(
    forecast: Run, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Sequence[str]], "tuple[int, str, str]"]:
    """Run a command in this process, those that it measures too: start-up takes longer than the work."""

    def measured(command: Sequence[str], folder: Path) -> Cost:
        code, _, err = perform([*command[1:]] if command[0] == sys.executable else command)
        assert code == 0, err
        return Cost(1.0, 1.0)

    def perform(words: Sequence[str]) -> "tuple[int, str, str]":
        match [*words]:
            case ["forecast", *rest] | ["-m", "forecast", *rest]:
                ran = forecast(*rest)
                return ran.code, ran.out, ran.err
            case ["python", "-m", "benchmarks", *rest]:
                ended = CliRunner().invoke(benchmarks.__main__.cli, rest)
                return ended.exit_code, ended.stdout, ended.output + repr(ended.exception or "")
            case ["-m", "benchmarks.windows", store, table, output, first, last]:
                benchmarks.windows.main(store, table, output, range(int(first), int(last)))
                return 0, "", ""
        raise UnknownCommand(" ".join(words))

    for module in (benchmarks.work, benchmarks.samples):
        monkeypatch.setattr(module, "run_measured", measured)
    for name, value in {"LOOKBACK": 24, "HORIZON": 6, "BATCH": 8, "HIDDEN": 8}.items():
        monkeypatch.setattr(speed_steps, name, value)
    return perform


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow) if page in SLOWEST_PAGES else page
        for page in TOLD
    ],
)
def test_commands_of_a_page_run(
    page: str, checkout: Path, perform: Callable[..., "tuple[int, str, str]"]
) -> None:
    for command in [
        command for where, command in all_commands() if where == page and not reason(command.text)
    ]:
        place = f"{page} line {command.line}: {command.text}"
        out = ""
        for before, words in command.parts():
            if before == "|":
                assert words[0] == "head", f"{place}: what does `{words[0]}` do with the output?"
                continue
            write_missing(checkout, words)
            code, out, err = perform(short(words))
            assert code == 0, f"{place}: ended with {code}: {err}"
        if words[0] == "head" and command.shown:
            assert out.splitlines()[0].rstrip() == command.shown[0], (
                f"{place}: shows another header"
            )


@pytest.mark.slow
def test_commands_of_all_pages_run_in_a_shell(checkout: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    for page, command in [
        one for one in all_commands() if one[0] in TOLD and not reason(one[1].text)
    ]:
        line = ""
        for before, words in command.parts():
            write_missing(checkout, words)
            line += f" {before} {shlex.join(words if before == '|' else short(words))}"
        ended = subprocess.run(
            ["bash", "-c", line], cwd=checkout, env=environment, capture_output=True, text=True
        )
        assert ended.returncode == 0, f"{page} line {command.line}: {line}: {ended.stderr}"


def test_commands_that_are_not_run_are_those_with_a_reason() -> None:
    shown = [command.text for _, command in all_commands()]
    assert [start for start in NOT_RUN if not any(text.startswith(start) for text in shown)] == []


def test_command_that_nobody_can_shorten_is_found_out() -> None:
    block = next(blocks("Text.\n\n    $ docker run it\n    output\n"))
    ((_, words),) = commands(block)[0].parts()
    with pytest.raises(UnknownCommand, match="how to shorten `docker run it`"):
        short(words)


@pytest.mark.parametrize(
    "page", [*PAGES, "pipelines/crontab", "pipelines/forecast-nightly.service"]
)
def test_commands_within_the_text_name_commands_and_flags_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    inline = re.findall(r"(?:`|bin/|&& )(forecast [a-z][^`|>\n]*)", text)
    for found in inline:
        words = found.split()
        command = cli.commands.get(words[1]) or cli.get_command(click.Context(cli), words[1])
        assert command is not None, f"{page}: `{found}`"
        flags = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)} | {
            "--help",
            "-h",
        }
        assert {word for word in words if word.startswith("-") and word != "-"} <= flags, (
            f"{page}: `{found}`"
        )


def test_crontab_has_five_fields_and_a_command() -> None:
    lines = (ROOT / "pipelines" / "crontab").read_text(encoding="utf-8").splitlines()
    jobs = [
        line
        for line in lines
        if line and not line.startswith("#") and not re.match(r"[A-Z]+=", line)
    ]
    assert jobs
    for line in jobs:
        assert re.fullmatch(r"([\d*,/-]+ +){5}cd /srv/forecast && forecast .*", line), line
        assert "%" not in line  # cron takes it for the end of the command


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_units_of_systemd_are_valid(tmp_path: Path) -> None:
    units = sorted((ROOT / "pipelines").glob("forecast-nightly.*"))
    assert len(units) == 2
    for unit in units:
        text = unit.read_text(encoding="utf-8").replace(
            "/srv/forecast/venv/bin/forecast", sys.executable
        )
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    names = [str(tmp_path / unit.name) for unit in units]
    ended = subprocess.run(
        ["systemd-analyze", "verify", *names], capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
