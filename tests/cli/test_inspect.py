"""What `forecast inspect` says of a version."""

import json
import re
from pathlib import Path

from tests.conftest import Run


def test_networks_are_named_with_the_steps_of_each(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    words = ("--model", "linear", "--members", 2, "--steps", 4, "--no-guard", "--quiet")
    assert forecast("fit", passengers, "--artifact", tmp_path / "s", *words).code == 0
    shown = forecast("inspect", "--artifact", tmp_path / "s").out
    line = r"^trained  2 networks with [0-9,]+ weights: linear 4 steps, linear 4 steps$"
    assert re.search(line, shown, re.M), shown


def test_networks_that_were_tried_and_do_not_forecast_are_counted(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    assert (
        forecast("fit", passengers, "--artifact", tmp_path / "s", "--budget", 5, "--quiet").code
        == 0
    )
    config = json.loads(forecast("inspect", "--artifact", tmp_path / "s", "--json").out)
    line = next(
        row
        for row in forecast("inspect", "--artifact", tmp_path / "s").out.splitlines()
        if "trained  " in row
    )
    tried, found = len(config["plan"]["members"]), re.match("trained  ([0-9]+) network", line)
    used = int(found[1]) if found else 0
    others = f"; {tried} were tried, {sum(config['trained_steps']):,} steps in all"
    assert line.endswith(others) == (0 < used < tried), line


def test_a_version_without_networks_says_so(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    assert (
        forecast("fit", passengers, "--artifact", tmp_path / "s", "--model", "last", "--quiet").code
        == 0
    )
    assert "\ntrained  no network\n" in forecast("inspect", "--artifact", tmp_path / "s").out


def test_a_table_says_how_long_a_fit_of_it_trains(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    short = forecast("inspect", passengers).out
    assert "\nfit      about 3 s of training at most\n" in short
    long = json.loads(forecast("inspect", "synth:seasonal", "--json").out)
    assert long["training_seconds"] >= 3
