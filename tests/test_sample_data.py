"""The sample data are the files that their README describes."""

import hashlib
import re
from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).parent.parent / "data"
README = (DATA / "README.md").read_text(encoding="utf-8")
FILES = sorted(path.name for path in DATA.glob("*.csv"))


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(DATA / name, keep_default_na=False, na_values=[""])


def missing_times(times: pd.Series, step: str) -> int:
    """Count the times that the grid from first to last has and the column lacks; times must ascend."""
    parsed = pd.to_datetime(times)
    assert parsed.is_monotonic_increasing
    assert parsed.is_unique
    return len(pd.date_range(parsed.iloc[0], parsed.iloc[-1], freq=step)) - len(parsed)


def test_readme_lists_every_file_with_its_sha256() -> None:
    listed = dict(re.findall(r"^\| `(\w+\.csv)` .*`([0-9a-f]{64})` \|$", README, re.MULTILINE))
    assert listed == {
        name: hashlib.sha256((DATA / name).read_bytes()).hexdigest() for name in FILES
    }


@pytest.mark.parametrize("name", FILES)
def test_readme_gives_source_and_command_of_every_file(name: str) -> None:
    assert README.count(f"| `{name}` |") == 2
    assert f"forecast fit data/{name}" in README


@pytest.mark.parametrize("name", FILES)
def test_file_is_plain_text_of_moderate_size(name: str) -> None:
    content = (DATA / name).read_bytes()
    assert len(content) < 500_000
    assert content.isascii()
    assert b"\r" not in content
    assert content.endswith(b"\n")


def test_all_files_together_stay_below_a_megabyte() -> None:
    assert sum((DATA / name).stat().st_size for name in FILES) < 1_000_000


def test_air_passengers_are_twelve_whole_years() -> None:
    table = read("air_passengers.csv")
    assert list(table.columns) == ["month", "passengers"]
    assert (len(table), table["month"].iloc[0], table["month"].iloc[-1]) == (
        144,
        "1949-01",
        "1960-12",
    )
    assert missing_times(table["month"], "MS") == 0
    assert table["passengers"].iloc[[0, 1, 2, -1]].tolist() == [112, 118, 132, 432]


def test_unemployment_is_a_wide_table_without_blanks() -> None:
    table = read("us_unemployment.csv")
    assert table.shape == (122, 1 + 14)
    assert (table["month"].iloc[0], table["month"].iloc[-1]) == ("2000-01", "2010-02")
    assert missing_times(table["month"], "MS") == 0
    assert table.notna().all(axis=None)
    assert all(pd.api.types.is_integer_dtype(kind) for kind in table.dtypes[1:])


def test_carbon_dioxide_has_all_weeks_and_blanks_in_59() -> None:
    table = read("mauna_loa_co2.csv")
    assert list(table.columns) == ["week", "co2"]
    assert len(table) == 2284
    assert (table["week"].iloc[0], table["week"].iloc[-1]) == ("1958-03-29", "2001-12-29")
    assert missing_times(table["week"], "W-SAT") == 0
    blank = table["co2"].isna()
    assert blank.sum() == 59
    assert blank.groupby((~blank).cumsum()).sum().max() == 18
    assert table["co2"].dropna().between(310, 375).all()


def test_flight_delays_are_a_full_panel_with_the_timetable_beside_it() -> None:
    table = read("nyc_flight_delays.csv")
    assert list(table.columns) == ["airport", "airline", "day", "scheduled", "delayed"]
    assert table.notna().all(axis=None)
    groups = table.groupby(["airport", "airline"])["day"]
    assert len(groups) == 26
    for _, days in groups:
        assert (len(days), days.iloc[0], days.iloc[-1]) == (365, "2013-01-01", "2013-12-31")
        assert missing_times(days, "D") == 0
    assert (table["scheduled"] >= 1).all()
    assert table["delayed"].between(0, table["scheduled"]).all()


def test_temperature_lacks_24_hours_and_keeps_the_odd_reading() -> None:
    table = read("jfk_temperature.csv")
    assert list(table.columns) == ["time_utc", "temperature"]
    assert len(table) == 8706
    assert (table["time_utc"].iloc[0], table["time_utc"].iloc[-1]) == (
        "2013-01-01 06:00",
        "2013-12-30 23:00",
    )
    assert missing_times(table["time_utc"], "h") == 24
    assert table["temperature"].between(10, 100).all()
    assert table.set_index("time_utc")["temperature"]["2013-05-09 02:00"] == 13.1
