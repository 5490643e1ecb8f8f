"""Every command and example of the documentation runs, short; `pytest --slow` runs the commands in a shell too."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import benchmarks.__main__
import benchmarks.samples
import benchmarks.windows
import benchmarks.work
from benchmarks import speed
from benchmarks.processes import Cost
from forecast.cli import cli
from forecast.jobs.pipeline import SECTIONS, JobSettings
from tests.docs._blocks import Block, Command, blocks, commands
from tests.docs._shrinking import NOT_RUN, UnknownCommand, reason, short, short_pipeline, short_python
from tests.docs._standins import python_names, write_all, write_missing

ROOT = Path(__file__).parents[2]
PAGES = (
    *("README.md", "pipelines/README.md", "benchmarks/README.md", "data/README.md"),
    *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))),
)
# blocks that are neither commands nor examples to be run, by how they begin
SHOWN = ("table -> panel", "forecast/\n", "apt-get install chromium", '{"id": ', "date,name,", "effects  ")

Run = Callable[..., object]


def pages() -> "dict[str, list[Block]]":
    return {page: list(blocks((ROOT / page).read_text(encoding="utf-8"))) for page in PAGES}


def all_commands() -> list[tuple[str, Command]]:
    found = [(page, block) for page, inside in pages().items() for block in inside if block.is_commands]
    return [(page, command) for page, block in found for command in commands(block)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the documentation reads; pipelines have little to train."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "data", folder / "data")
    (folder / "pipelines").mkdir()
    for path in (ROOT / "pipelines").glob("*.toml"):
        text = path.read_text(encoding="utf-8")
        (folder / "pipelines" / path.name).write_text(short_pipeline(text), encoding="utf-8")
    write_all(folder)
    return folder


@pytest.fixture
def checkout(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared, tmp_path / "checkout")
    monkeypatch.chdir(tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def perform(forecast: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[str]], "tuple[int, str, str]"]:
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
        monkeypatch.setattr(speed, name, value)
    return perform


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_run(page: str, checkout: Path, perform: Callable[..., "tuple[int, str, str]"]) -> None:
    for command in [command for where, command in all_commands() if where == page and not reason(command.text)]:
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
            assert out.splitlines()[0] == command.shown[0], f"{place}: shows another header"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_run_in_a_shell(page: str, checkout: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    for command in [command for where, command in all_commands() if where == page and not reason(command.text)]:
        line = ""
        for before, words in command.parts():
            write_missing(checkout, words)
            line += f" {before} {shlex.join(words if before == '|' else short(words))}"
        ended = subprocess.run(["bash", "-c", line], cwd=checkout, env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, f"{page} line {command.line}: {line}: {ended.stderr}"


def test_every_block_is_understood() -> None:
    for page, inside in pages().items():
        for block in inside:
            known = block.is_commands or block.language in ("python", "toml") or is_toml(block)
            assert known or block.text.startswith(SHOWN), (
                f"{page} line {block.line}: neither commands nor TOML nor Python; run it, or add it to SHOWN"
            )


def test_commands_that_are_not_run_are_those_with_a_reason() -> None:
    shown = [command.text for _, command in all_commands()]
    assert [start for start in NOT_RUN if not any(text.startswith(start) for text in shown)] == []


def test_command_that_nobody_can_shorten_is_found_out() -> None:
    block = next(blocks("Text.\n\n    $ docker run it\n    output\n"))
    ((_, words),) = commands(block)[0].parts()
    with pytest.raises(UnknownCommand, match="how to shorten `docker run it`"):
        short(words)


def test_python_examples_run(checkout: Path) -> None:
    examples = [(page, block) for page, inside in pages().items() for block in inside if block.language == "python"]
    assert examples
    for page, block in examples:
        code = compile("\n" * (block.line - 1) + short_python(block.text), page, "exec")
        exec(code, python_names())


def is_toml(block: Block) -> bool:
    """Whether an indented block is a pipeline file or a part of one."""
    try:
        return block.language is None and bool(tomllib.loads(block.text))
    except tomllib.TOMLDecodeError:
        return False


def test_pipeline_examples_run(checkout: Path, forecast: Run) -> None:
    examples = [block for inside in pages().values() for block in inside if block.language == "toml" or is_toml(block)]
    assert examples
    for block in examples:
        found = tomllib.loads(block.text)
        if {"source", "sink"} <= set(found):
            Path("job.toml").write_text(short_pipeline(block.text), encoding="utf-8")
            ended = forecast("run", "job.toml")
            assert ended.code == 0, ended.err
        for name, value in found.items():
            assert (
                set(value) <= set(SECTIONS[name].model_fields) if name in SECTIONS else name in JobSettings.model_fields
            )


@pytest.mark.parametrize("page", [*PAGES, "pipelines/crontab", "pipelines/forecast-nightly.service"])
def test_commands_within_the_text_name_commands_and_flags_that_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    inline = re.findall(r"(?:`|bin/|&& )(forecast [a-z][^`|>\n]*)", text)
    for found in inline:
        words = found.split()
        command = cli.commands.get(words[1]) or cli.get_command(click.Context(cli), words[1])
        assert command is not None, f"{page}: `{found}`"
        flags = {flag for one in command.params for flag in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
        assert {word for word in words if word.startswith("-") and word != "-"} <= flags, f"{page}: `{found}`"


def test_crontab_has_five_fields_and_a_command() -> None:
    lines = (ROOT / "pipelines" / "crontab").read_text(encoding="utf-8").splitlines()
    jobs = [line for line in lines if line and not line.startswith("#") and not re.match(r"[A-Z]+=", line)]
    assert jobs
    for line in jobs:
        assert re.fullmatch(r"([\d*,/-]+ +){5}cd /srv/forecast && forecast .*", line), line
        assert "%" not in line  # cron takes it for the end of the command


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_units_of_systemd_are_valid(tmp_path: Path) -> None:
    units = sorted((ROOT / "pipelines").glob("forecast-nightly.*"))
    assert len(units) == 2
    for unit in units:
        text = unit.read_text(encoding="utf-8").replace("/srv/forecast/venv/bin/forecast", sys.executable)
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    names = [str(tmp_path / unit.name) for unit in units]
    ended = subprocess.run(["systemd-analyze", "verify", *names], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
