"""What `forecast` says of itself."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from forecast.cli import cli
from forecast.cli._command import Command, Option
from forecast.settings import SHOWN_FIRST, TrainSettings
from tests.cli._terminal import on_a_terminal
from tests.conftest import Run

COMMANDS = cli.list_commands(click.Context(cli))
NEXT = re.compile(r"^next     (.*)$", re.MULTILINE)


def command(name: str) -> Command:
    found = cli.get_command(click.Context(cli), name)
    assert isinstance(found, Command)
    return found


def parse(line: str) -> None:
    """Parse a command line without running it; raises where it does not parse."""
    program, name, *words = shlex.split(line)
    assert program == "forecast"
    command(name).make_context(name, words, parent=click.Context(cli, info_name="forecast"))


def test_forecast_alone_prints_its_help_on_lines(forecast: Run) -> None:
    alone = forecast()
    assert (alone.code, alone.err) == (0, "")
    assert "\\n" not in alone.out
    assert "\n  fit       Train on a table and save the forecaster.\n" in alone.out
    assert alone.out == forecast("--help").out
    assert max(map(len, alone.out.splitlines())) <= 80
    assert sorted(re.findall(r"^  ([a-z]+)  ", alone.out, re.MULTILINE)) == COMMANDS
    assert "Other" not in alone.out  # each has its place in PURPOSES
    examples = re.findall(r"^    (forecast .*?)(?:  .*)?$", alone.out, re.MULTILINE)
    assert len(examples) >= 3
    for line in examples:
        parse(line)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_80_columns_and_shows_examples_that_parse(forecast: Run, name: str) -> None:
    short, whole = forecast(name, "--help").out, forecast(name, "--help-all")
    options = [
        each for each in command(name).params if isinstance(each, Option) and not each.hidden
    ]
    rare = [each for each in options if not each.first]
    assert (whole.code == 0) == bool(rare)
    shown = short + (whole.out if rare else "")
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    examples = re.findall(r"\nExamples:\n((?:  forecast .*\n)+)", short)
    assert [line.strip() for line in examples[0].splitlines()] == list(command(name).examples)
    for line in command(name).examples:
        parse(line)
    assert any(line.startswith(f"forecast {name}") for line in command(name).examples)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_all_lists_every_option_and_help_those_that_matter(forecast: Run, name: str) -> None:
    options = [
        each for each in command(name).params if isinstance(each, click.Option) and not each.hidden
    ]
    assert all(isinstance(each, Option) and each.heading for each in options)
    short = forecast(name, "--help").out
    rare = [each.opts[0] for each in options if isinstance(each, Option) and not each.first]
    whole = forecast(name, "--help-all").out if rare else short
    for each in options:
        assert re.search(rf"^  {each.opts[0]}\b", whole, re.MULTILINE), each.opts
        assert (each.opts[0] in rare) != bool(
            re.search(rf"^  {each.opts[0]}\b", short, re.MULTILINE)
        ), each.opts
    assert (f"--help-all lists {len(rare)} more options." in short) == bool(rare)
    assert (
        short.index("\nMessages:\n")
        > max(short.find(f"\n{each.heading}:\n") for each in options) - 1
    )


def test_the_declaration_of_a_setting_decides_where_help_lists_it(forecast: Run) -> None:
    short, whole = forecast("fit", "--help").out, forecast("fit", "--help-all").out
    sections = dict(re.findall(r"^(\w+):\n((?:  .*\n)+)", whole, re.MULTILINE))
    assert "--learning-rate" in sections["Optimizer"]
    assert "--horizon" in sections["Model"]
    assert "--budget" in sections["Training"]
    first = [
        name for name, field in TrainSettings.model_fields.items() if SHOWN_FIRST in field.metadata
    ]
    assert first == ["model", "horizon", "budget"]
    assert all(f"--{name} " in short for name in first)
    assert "--learning-rate" not in short
    assert len(short.splitlines()) <= 50


def test_help_imports_little() -> None:
    words = ("-X", "importtime", "-m", "forecast", "fit", "--help")
    ended = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}
    assert "forecast.settings" in imported
    assert not imported & {
        "numpy",
        "pandas",
        "rich",
        "difflib",
        "importlib.metadata",
        "click.shell_completion",
    }


@pytest.mark.parametrize("torch", [True, False])
def test_the_version_names_python_and_torch_and_does_not_import_it(
    forecast: Run, torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch:
        monkeypatch.setattr("importlib.metadata.distributions", lambda **name: iter(()))
    monkeypatch.setitem(sys.modules, "torch", None)  # an import would fail
    shown = forecast("--version")
    assert shown.code == 0
    python = ".".join(map(str, sys.version_info[:3]))
    end = f"torch {version('torch')}" if torch else "torch not installed"
    assert shown.out == f"forecast {version('forecast')}, Python {python}, {end}\n"


COMPLETED = [
    ("bash", "forecast fi", 1, "plain,fit"),
    ("bash", "forecast fit data.csv --los", 3, "plain,--loss"),
    ("bash", "forecast fit data.csv --loss hu", 4, "plain,huber"),
    ("bash", "forecast fit da", 2, "file,da"),
    ("bash", "forecast fit data.csv --events pro", 4, "file,pro"),
    ("zsh", "forecast bac", 1, "plain\nbacktest\n"),
    ("fish", "forecast sc", "sc", "plain,score"),
]


@pytest.mark.parametrize(("shell", "words", "place", "answer"), COMPLETED)
def test_shells_complete_commands_options_choices_and_files(
    shell: str, words: str, place: object, answer: str
) -> None:
    more = {
        "_FORECAST_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(place),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "forecast"],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer in ended.stdout
    assert ended.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_loads_the_completion(shell: str, tmp_path: Path) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    assert f"_FORECAST_COMPLETE={shell}_source forecast" in docs
    environment = {**os.environ, "_FORECAST_COMPLETE": f"{shell}_source"}
    run = [sys.executable, "-m", "forecast"]
    script = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
    assert "_forecast_completion" in script
    if shell != "bash" or shutil.which("bash") is None:
        return
    program = tmp_path / "forecast"  # completion runs the command by its name
    program.write_text(f'#!/bin/sh\nexec {shlex.join(run)} "$@"\n')
    program.chmod(0o755)
    ask = "COMP_WORDS=(forecast back); COMP_CWORD=1; _forecast_completion forecast back forecast; echo ${COMPREPLY[@]}"
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    found = subprocess.run(
        ["bash", "-c", f"{script}\n{ask}"],
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "backtest\n"


@pytest.mark.slow
def test_at_a_terminal_each_command_names_the_next(passengers: Path, tmp_path: Path) -> None:
    naive = ["--model", "seasonal-naive"]
    table = str(passengers)
    job = 'store = "kept"\n[source]\npath = "in.csv"\n[train]\nmodel = "seasonal-naive"\n[sink]\npath = "out.csv"\n'
    (tmp_path / "job.toml").write_text(job)
    shutil.copy(passengers, tmp_path / "in.csv")
    rows = [f"2024-01-{day:02},{day % 7},{day % 2}\n" for day in range(1, 31)]
    (tmp_path / "known.csv").write_text("day,units,promo\n" + "".join(rows))
    steps = [
        (["now", table], f"forecast fit {table}"),
        (
            ["now", table, "--freq", "MS", "--season", "6,12", "--horizon", "3", "--levels", "80"],
            f"forecast fit {table} --freq MS --season 6,12 --horizon 3",
        ),
        (
            ["fit", table, "--artifact", "my store", *naive],
            "forecast predict --artifact 'my store'",
        ),
        (["fit", table, *naive], "forecast predict"),
        (["predict", "--output", "f.csv"], "forecast plot"),
        (["predict", table], f"forecast plot {table}"),
        (
            ["predict", table, "--origin", "1960-06", "--on-duplicate", "last"],
            f"forecast plot {table} --origin 1960-06 --on-duplicate last",
        ),
        (["plot", "--output", "p.svg"], "forecast predict"),
        (["plot", table, "--forecast", "f.csv"], f"forecast score f.csv {table}"),
        (["plot", table, "--now"], f"forecast fit {table}"),
        (["backtest", table, "--windows", "1", *naive], f"forecast fit {table}"),
        (["backtest", table, "--windows", "1", "--artifact", "forecast-model"], "forecast predict"),
        (
            ["fit", "known.csv", "--known", "promo", "--artifact", "known", *naive],
            "forecast predict --artifact known --future FILE",
        ),
        (["inspect", "--artifact", "known"], "forecast predict --artifact known --future FILE"),
        (["inspect", table], f"forecast fit {table}"),
        (["inspect"], "forecast predict"),
        (["models"], "forecast models attention-lstm"),
        (["models", "theta"], "forecast fit DATA --model theta"),
        (["synth"], "forecast synth seasonal"),
        (["synth", "noise", "--output", "noise.csv"], "forecast now noise.csv"),
        (["versions"], "forecast inspect"),
        (["run", "job.toml", "--check"], "forecast run job.toml"),
        (["run", "job.toml"], None),
        (["status", "job.toml"], "forecast versions job.toml"),
        (["fit", table, "--quiet", *naive], None),
        (["predict", "--log-format", "json"], None),
        (["inspect", "nothing.csv"], None),
    ]
    shown = on_a_terminal([words for words, _ in steps], tmp_path)
    for place, (words, expected) in enumerate(steps):
        found = NEXT.findall(
            re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown.of(place))
        )  # without the progress bar
        assert found == ([] if expected is None else [expected]), (words, shown.of(place))
        assert shown.codes[place] == (66 if "nothing.csv" in words else 0), shown.of(place)
        if expected is not None:
            parse(expected)


def test_a_pipe_gets_no_next_command(forecast: Run, passengers: Path) -> None:
    assert "next" not in forecast("now", passengers).err


def test_a_terminal_shows_how_far_forecasts_and_a_backtest_are(
    passengers: Path, tmp_path: Path
) -> None:
    table = str(tmp_path / "three.csv")
    shown = on_a_terminal(
        [
            ["synth", "seasonal", "--series", "3", "--length", "60", "--output", table],
            ["now", table],
            ["now", table, "--quiet"],
            ["backtest", table, "--model", "last", "--windows", "2"],
        ],
        tmp_path,
    )
    assert shown.codes == [0, 0, 0, 0]
    assert "3 of 3 series" in shown.of(1)
    assert "series" not in shown.of(2).replace("series,", "")
    assert re.search("backtest .*(last|seasonal-naive)", shown.of(3))
