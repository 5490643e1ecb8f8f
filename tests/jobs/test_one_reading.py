"""A run parses the time column of its table once, whatever it does with it."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.calendar.parsing import parse_times
from forecast.jobs.instant import parse_as_of, until
from forecast.reading.dated import dated_table
from forecast.reading.reading import read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[tuple[str, ...]]:
    """How often each column was parsed."""
    counts: Counter[tuple[str, ...]] = Counter()

    def counting(table: Any, columns: Any, *arguments: Any) -> Any:
        counts[table.name, *columns] += 1
        return parse_times(table, columns, *arguments)

    for name, module in list(sys.modules.items()):
        if name.startswith("forecast") and getattr(module, "parse_times", None) is parse_times:
            monkeypatch.setattr(module, "parse_times", counting)
    return counts


def test_a_gated_refit_parses_the_time_column_once(
    job: Job, forecast: Run, at: At, parsed: Counter[tuple[str, ...]]
) -> None:
    frame = job.table()
    frame = frame.assign(promo=np.arange(len(frame)) % 3, kind=np.where(frame["day"] < "2024-06-05", "a", "b"))
    frame.to_csv(job.folder / "sales.csv", index=False)
    frame.iloc[-40:, [0, 1, 3, 4]].to_csv(job.folder / "future.csv", index=False)
    job.write(
        top='refit = "daily"',
        source='future = "future.csv"',
        table='known = ["promo", "kind"]',
        checks='error_after = "9d"',
    )
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    parsed.clear()
    ran = forecast("run", job.file, "--as-of", at(170))
    assert ran.code == 0, ran.err
    assert "on what came since" in job.record()["fit"]["verdict"]
    assert parsed == {("sales.csv", "day"): 1, ("future.csv", "day"): 1}
    parsed.clear()
    assert forecast("run", job.file, "--as-of", at(170)).code == 0
    assert parsed == {("sales.csv", "day"): 1, ("future.csv", "day"): 1}


@pytest.mark.parametrize("pivoted", [False, True])
def test_fit_predict_backtest_and_score_parse_it_once_each(
    job: Job, forecast: Run, parsed: Counter[tuple[str, ...]], pivoted: bool
) -> None:
    frame = job.table()
    path: Path = job.folder / "sales.csv"
    if pivoted:
        frame.pivot(index="day", columns="shop", values="units").to_csv(path)
    other = job.folder / "sales of tonight" / "sales.csv"
    other.parent.mkdir()
    pd.read_csv(path).assign(day=lambda table: table["day"].str.replace("-", "/")).to_csv(other, index=False)
    model = ("--model", "seasonal-naive", "--horizon", 7)
    commands: list[tuple[Any, ...]] = [
        ("fit", path, *model, "--artifact", job.store),
        ("predict", path, "--artifact", job.store, "--output", job.output),
        ("backtest", path, *model),
        ("inspect", path),
        ("predict", other, "--artifact", job.store, "--output", job.output),
    ]
    for command in commands:
        parsed.clear()
        ran = forecast(*command)
        assert ran.code == 0, ran.err
        assert parsed == {("sales.csv", "day"): 1}, command[0]


def test_values_after_the_instant_are_blank_in_new_columns_too() -> None:
    day = pd.date_range("2024-01-01", periods=30).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": day, "a": np.arange(30.0), "promo": np.arange(30) % 2})
    schema = read(table_from_frame(frame), TableSettings(known=("promo",))).schema
    tonight = dated_table(table_from_frame(frame.assign(b=frame["a"])), schema)
    known_then = until(tonight, schema, parse_as_of("2024-01-20T12:00:00+00:00"))
    assert len(known_then.table.frame) == 30
    assert known_then.table.frame[["a", "b"]].notna().sum().tolist() == [20, 20]
    assert known_then.table.frame["promo"].notna().all()


@pytest.mark.parametrize("model", ["seasonal-naive", "mean"])
def test_a_gated_refit_gives_each_warning_once(job: Job, forecast: Run, at: At, model: str) -> None:
    frame = job.table()
    ended = frame[(frame["shop"] == "south") & (frame["day"] < "2024-03-05")].assign(shop="ended")
    constant = frame[frame["shop"] == "south"].assign(shop="constant", units=5)
    sparse = frame[frame["shop"] == "south"].assign(shop="sparse").iloc[::7]
    gap = frame[(frame["shop"] != "south") | (frame["day"] != "2024-02-03")]
    frame = pd.concat([gap, ended, constant, sparse]).iloc[::-1].assign(price=1.0)
    frame.loc[frame["day"] == "2024-02-05", "price"] = np.nan
    frame.assign(price=frame["price"].astype(object).where(frame["day"] != "2024-02-06", "n/a")).to_csv(
        job.folder / "sales.csv", index=False
    )
    job.write(top='refit = "daily"', table='id = ["shop"]\ntarget = ["units"]\npast = ["price"]')
    assert forecast("run", job.file, "--as-of", at(150)).code == 3
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', f'"{model}"'))
    ran = forecast("run", job.file, "--as-of", at(170))
    assert ran.code == 3, ran.err
    record = job.record()
    assert record["fit"]["promoted"] is (model == "seasonal-naive")
    assert len(record["warnings"]) > 5
    assert sorted(record["warnings"]) == sorted(set(record["warnings"]))
