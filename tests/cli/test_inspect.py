"""What `forecast inspect` says of a version."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

Run = Callable[..., Any]


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


@pytest.mark.parametrize(("column", "said"), [("Summe", True), ("sold", True), ("other", False)])
def test_a_column_or_row_that_is_the_sum_of_the_others_is_named(
    forecast: Run, tmp_path: Path, column: str, said: bool
) -> None:
    values = np.random.default_rng(0).uniform(1, 9, (2, 40)).round(1)
    values = np.vstack([values, values.sum(0).round(1) + (not said)])
    table = pd.DataFrame(values.T, columns=["north", "south", column])
    table.iloc[:5, 0] = np.nan
    table.insert(0, "day", pd.date_range("2024-01-01", periods=40).astype(str))
    table.to_csv(tmp_path / "wide.csv", index=False)
    assert (
        f"total    {column} is the sum of the other columns"
        in forecast("inspect", tmp_path / "wide.csv").out
    ) == said
    rows = pd.DataFrame(values, columns=[f"V{step}" for step in range(1, 41)])
    rows.insert(0, "id", ["north", "south", column])
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert (
        f"total    {column} is the sum of the other rows"
        in forecast("inspect", tmp_path / "rows.csv").out
    ) == said
