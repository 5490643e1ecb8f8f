"""Tables of public sites as they come: a bare command reads them, or says at once what to pass."""

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run

HOURS = pd.date_range("2024-01-01", periods=24 * 20, freq="h")
DAYS = pd.date_range("2024-01-01", periods=200)


def noise(count: int, low: int = 3, high: int = 30, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(low, high, count)


@pytest.fixture
def inspect(forecast: Run, tmp_path: Path) -> Callable[..., Any]:
    def run(frame: pd.DataFrame, *flags: str) -> Any:
        frame.to_csv(tmp_path / "export.csv", index=False)
        return forecast("inspect", tmp_path / "export.csv", *flags)

    return run


def test_a_question_mark_is_a_missing_value(inspect: Run) -> None:
    frame = pd.DataFrame({"day": DAYS, "visits": noise(200).astype(str)})
    frame.loc[[5, 60], "visits"] = "?"
    read = inspect(frame)
    assert read.code == 0
    assert "198 values" in read.out
    assert "read as missing: 2 in column 'visits'" in read.err


class TestTimes:
    def counter(self, **columns: Any) -> pd.DataFrame:
        frame = pd.DataFrame({"date": HOURS.strftime("%d.%m.%Y"), "ts": HOURS})
        return frame.assign(**columns, count=noise(len(HOURS)))

    def test_the_day_beside_a_finer_time_has_no_role(self, inspect: Run) -> None:
        read = inspect(self.counter())
        assert "time     ts: 2024-01-01 to 2024-01-20 23:00:00, every h" in read.out
        assert "layout   wide: 1 series" in read.out
        assert "left out date" in read.out

    @pytest.mark.parametrize("flags", [(), ("--id", "sensor")])
    def test_so_it_is_within_series(self, inspect: Run, flags: tuple[str, ...]) -> None:
        frame = pd.concat([self.counter(sensor=sensor) for sensor in (11, 12)])
        read = inspect(frame, *flags)
        assert "2 series (ids: sensor)" in read.out
        assert "time     ts:" in read.out

    def test_a_time_of_loading_is_not_the_time(self, inspect: Run) -> None:
        frame = pd.DataFrame({"date": DAYS, "shop": "a", "sales": noise(200)})
        frame = pd.concat([frame, frame.assign(shop="b")])
        closing = pd.to_datetime(frame["date"]) + pd.to_timedelta(79_000 + noise(400), "s")
        assert "time     date:" in inspect(frame.assign(ts=closing)).out
        assert "time     date:" in inspect(frame.assign(ts=closing), "--id", "shop").out

    def test_hours_with_points_belong_to_the_date(self, inspect: Run) -> None:
        frame = pd.DataFrame(
            {"Date": HOURS.strftime("%d/%m/%Y"), "Time": HOURS.strftime("%H.%M.%S")}
        )
        read = inspect(frame.assign(level=noise(len(HOURS), 800, 1500)))
        assert "time     Date, Time: 01/01/2024 00.00.00 to" in read.out

    @pytest.mark.parametrize(
        ("months", "month"),
        [("Jan 24,Feb 24,Mrz 24", "Mrz"), ("Januar 2024,März 2024,April 2024", "März")],
    )
    def test_a_german_month_is_said_to_be_one(self, inspect: Run, months: str, month: str) -> None:
        read = inspect(pd.DataFrame({"Monat": months.split(","), "y": [1, 2, 3]}))
        assert read.code == 65
        assert f"has the German month '{month}'; write months as numbers" in read.err


class TestIds:
    def hourly(self) -> pd.DataFrame:
        words = np.random.default_rng(1).choice(["rain", "sun", "fog", "snow"], len(HOURS))
        return pd.DataFrame(
            {"hour_of": HOURS, "weather": words, "riders": noise(len(HOURS), 0, 999)}
        )

    def test_words_for_the_weather_name_no_series(self, inspect: Run) -> None:
        frame = self.hourly()
        assert "layout   wide: 1 series" in inspect(frame).out
        more = frame.iloc[::9].assign(weather="drizzle")
        frame = pd.concat([frame, more]).sort_values("hour_of", kind="stable")
        read = inspect(frame)
        assert read.code == 65
        assert "comes twice, first in" in read.err
        assert "layout   wide: 1 series" in inspect(frame, "--on-duplicate", "mean").out

    def test_sparse_series_are_told_apart_by_words(self, inspect: Run) -> None:
        sold = np.random.default_rng(2).random((len(DAYS), 6)) < 0.3
        day, item = np.nonzero(sold)
        frame = pd.DataFrame({"day": DAYS[day], "item": np.array(list("abcdef"))[item]})
        assert (
            "6 series (ids: item)"
            in inspect(frame.assign(units=noise(len(day))), "--missing", "zero").out
        )

    def test_a_series_of_a_few_days_is_one(self, inspect: Run) -> None:
        frame = pd.DataFrame({"day": DAYS, "shop": "old", "units": noise(200)})
        frame = pd.concat([frame, frame.tail(9).assign(shop="new")])
        assert "2 series (ids: shop)" in inspect(frame).out

    def test_counts_name_no_series(self, inspect: Run) -> None:
        frame = pd.DataFrame(
            {"day": DAYS, "north": noise(200, 10, 90), "south": noise(200, 10, 90)}
        )
        read = inspect(pd.concat([frame.iloc[:80], frame.iloc[78:]]))
        assert read.code == 65
        assert "2024-03-20 comes twice, first in line 81 (2 rows like that)" not in read.err
        assert "comes twice, first in line 80 (2 rows like that)" in read.err
        assert "south" not in read.err

    def test_a_row_for_each_sale_is_to_be_aggregated(self, inspect: Run) -> None:
        day = np.sort(noise(900, 0, 200))
        frame = pd.DataFrame({"day": DAYS[day], "amount": noise(900, 1, 500) / 10})
        said = "if each row is an event, such as a sale, pass --freq D --aggregate sum, too"
        assert said in inspect(frame).err
        cure = ("--freq", "D", "--aggregate", "sum")
        assert inspect(frame, *cure).code == 0
        products = frame.assign(product=np.random.default_rng(3).choice(list("ab"), 900))
        refused = inspect(products).err
        assert f"(product), --layout wide if no column does; {said}" in refused
        assert inspect(products, *cure, "--layout", "wide").code == 0
        assert inspect(products, *cure, "--id", "product").code == 0


def test_what_stands_in_the_way_is_said_at_once(inspect: Run) -> None:
    """A table of car parks: rows that repeat, two columns of numbers, times of no grid."""
    times = [day + pd.Timedelta(minutes=30 * step) for day in DAYS[:40] for step in range(16, 34)]
    parks = []
    for number, park in enumerate("abc"):
        late = pd.to_timedelta(noise(len(times), 0, 1200, seed=number), "s")
        parks.append(
            pd.DataFrame(
                {"park": park, "capacity": 500, "cars": noise(720, 0, 500), "updated": times + late}
            )
        )
    frame = pd.concat([*parks, parks[0].iloc[100:105]])
    read = inspect(frame)
    assert read.code == 65
    for part in (
        "comes twice for park 'a', first in line 102 (5 rows like that)",
        "also, export.csv: several columns can be the target: capacity, cars; pass --target",
        "column 'updated': the times lie on no regular grid",
        "--freq D --aggregate mean",
    ):
        assert part in read.err
    cure = ["--id", "park", "--target", "cars", "--freq", "D", "--aggregate", "mean"]
    assert inspect(frame, *cure).code == 0


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packed_tables_are_read_no_further_than_they_fit(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "export.csv.packed"
    rows = b"".join(b"%s,%d\n" % (day.strftime("%Y-%m-%d").encode(), day.day) for day in DAYS)
    path.write_bytes(pack(b"day,y\n" + rows))
    assert "200 values" in forecast("inspect", path).out
    path.write_bytes(pack(b"day,y\n" + rows)[:-12])
    cut = forecast("inspect", path)
    assert cut.code == 65
    assert "is cut, damaged or encrypted" in cut.err
    path.write_bytes(pack(b"day,y\n" + 40_000 * b"2024-01-01,1\n"))
    monkeypatch.setattr("forecast.tables.reading.free_memory", lambda: 2_000_000)
    assert forecast("inspect", path).code == 69
