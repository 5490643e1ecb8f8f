"""The table of a job as of its instant: nothing later is read, and times are parsed once."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import parse_as_of
from forecast.jobs.as_of import until
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
    assert "; the live version, v-" in job.record()["fit"]["verdict"]
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


def test_no_row_later_than_the_as_of_is_read(job: Job, forecast: Run, at: At) -> None:
    forecast("run", job.file, "--as-of", at(120))
    first = job.output.read_bytes()
    frame = job.table()
    late = frame["day"] > "2024-04-30"
    frame.loc[late, "units"] = 10_000.0
    frame.to_csv(job.folder / "sales.csv", index=False)
    other = Job(job.folder)
    other.write(top='name = "other"')
    assert forecast("run", job.file, "--as-of", at(120)).code == 0
    assert job.output.read_bytes() == first


def test_columns_known_in_advance_are_read_beyond_the_as_of_and_targets_are_not(
    job: Job, forecast: Run, at: At
) -> None:
    frame = job.table()
    frame["promo"] = frame["day"].str[-1].isin(["1", "5"]).astype(int)
    frame.to_csv(job.folder / "sales.csv", index=False)
    job.write(train="steps = 3", table='known = ["promo"]')
    job.file.write_text(job.file.read_text().replace("seasonal-naive", "linear"))
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    first = job.output.read_bytes()
    frame.loc[frame["day"] > "2024-05-30", "units"] = -77.0
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert job.output.read_bytes() == first


def test_a_value_of_a_day_that_is_not_over_is_left_out_unless_the_file_says_otherwise(
    job: Job, forecast: Run, at: At
) -> None:
    ran = forecast("run", job.file, "--as-of", at(150))
    assert "values of a period that is not over at 2024-05-31T12:00:00Z are left out: 2;" in ran.err
    assert pd.read_csv(job.output)["day"].min() == "2024-05-31"
    assert job.record()["data_age"] == 12 * 3600
    assert job.record()["warnings"] == []
    for word, said in (("keep", False), ("warn", True)):
        job.write(source=f'unfinished = "{word}"')
        assert ("after the time of the run" in forecast("run", job.file, "--as-of", at(151)).err) is said
        assert pd.read_csv(job.output)["day"].min() == "2024-06-02"


@pytest.mark.parametrize("every", ["D", "h"])
def test_a_simulated_night_sees_no_later_hour_of_its_day(job: Job, forecast: Run, every: str) -> None:
    times = pd.date_range("2024-01-01", "2024-02-29", freq=every)
    frame = pd.DataFrame({"time": times, "units": 10 + np.arange(len(times)) % 5})
    job.write(table='freq = "D"\naggregate = "sum"' if every == "h" else "")
    left = []
    for later in (0, 9_999):  # what the day of the run, and those after it, are to bring
        frame.loc[frame["time"] > ("2024-02-20 02:10" if every == "h" else "2024-02-19"), "units"] += later
        frame.to_csv(job.folder / "sales.csv", index=False)
        ran = forecast("run", job.file, "--as-of", "2024-02-20T02:10:00", "--output", job.folder / f"{later}.csv")
        assert ran.code == 0, ran.err
        left.append((job.folder / f"{later}.csv").read_bytes())
    assert left[0] == left[1]
    assert pd.read_csv(job.folder / "0.csv")["time"].min()[:10] == "2024-02-20"


def test_a_table_of_one_unfinished_day_is_refused_with_the_reason(job: Job, forecast: Run) -> None:
    frame = job.table()
    frame[frame["day"] == "2024-05-31"].to_csv(job.folder / "sales.csv", index=False)
    job.write(table='freq = "D"\nid = "shop"')
    ran = forecast("run", job.file, "--as-of", "2024-05-31T12:00:00+00:00")
    assert ran.code == 65
    assert "every row belongs to a period that is not over at 2024-05-31T12:00:00Z" in ran.err
