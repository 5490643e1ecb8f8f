"""What `forecast inspect` says may need an event, and that it is quiet on ordinary tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import DATA

Run = Callable[..., Any]

DAYS = pd.date_range("2023-01-02", periods=200)


def shops() -> pd.DataFrame:
    draw, week = np.random.default_rng(0), np.array([0.8, 0.9, 0.9, 1.0, 1.1, 1.3, 0.0])[DAYS.day_of_week]
    sold = {shop: draw.poisson(60 * week) for shop in "abc"}
    return pd.concat([pd.DataFrame({"day": DAYS, "shop": shop, "sold": of}) for shop, of in sold.items()])


def test_runs_and_outliers_are_named_as_lines_of_events_that_can_be_pasted(forecast: Run, tmp_path: Path) -> None:
    data = shops()
    a, b = data["shop"] == "a", data["shop"] == "b"
    data.loc[data["day"].between("2023-02-06", "2023-02-11"), "sold"] = 0  # all are closed, on Sundays as ever
    data.loc[a & data["day"].between("2023-03-06", "2023-03-20") & (data["day"].dt.day_name() != "Sunday"), "sold"] = 41
    data.loc[b & (data["day"] == "2023-05-10"), "sold"] = 6000
    data.to_csv(tmp_path / "shops.csv", index=False)
    shown = forecast("inspect", tmp_path / "shops.csv", "--id", "shop")
    lines = shown.out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("suspects "))
    assert lines[start].startswith("suspects 3 runs of one value, or lone outliers; all are used")
    pasted = "\n".join(line.strip() for line in lines[start + 1 :] if line.startswith("   "))
    assert pasted.splitlines() == [
        "start,end,name,kind,shop",
        "2023-02-06,2023-02-11,zeros,closed,",
        "2023-03-06,2023-03-20,one value,ignore,a",
        "2023-05-10,2023-05-10,outlier,ignore,b",
    ]
    (tmp_path / "events.csv").write_text(pasted + "\n")
    known = forecast("inspect", tmp_path / "shops.csv", "--id", "shop", "--events", tmp_path / "events.csv", "--json")
    facts = json.loads(known.out)
    assert facts["suspects"] == []
    assert {event["kind"] for event in facts["table"]["dated_events"]} == {"closed", "ignore"}


@pytest.mark.parametrize("name", ["air_passengers.csv", "jfk_temperature.csv", "us_unemployment.csv", "lumpy", "shops"])
def test_ordinary_tables_and_lumpy_sales_have_no_suspects(forecast: Run, tmp_path: Path, name: str) -> None:
    path = DATA / name
    if name == "lumpy":
        draw, months = np.random.default_rng(3), pd.date_range("2018-01-01", periods=51, freq="MS")
        sold = draw.poisson(3, (51, 60)) * (draw.random((51, 60)) < np.linspace(0.05, 0.6, 60))
        table = pd.DataFrame(sold, columns=[f"part {n}" for n in range(60)])
        table.insert(0, "month", months)
    if name in ("lumpy", "shops"):
        path = tmp_path / "data.csv"
        path.write_text((table if name == "lumpy" else shops()).to_csv(index=False))
    words = ("--id", "shop") if name == "shops" else ()
    assert "suspects" not in forecast("inspect", path, *words).out
