"""A table of years by months or quarters is one series, not twelve."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, RollingOrigin
from forecast.errors import BadData, UsageError
from forecast.reading.dated import normalised
from forecast.settings import TextSettings
from forecast.tables.reading import read_table, table_from_frame

Run = Callable[..., Any]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November"]
MONTHS += ["December"]
YEARS = range(1990, 1998)


def by_months(headers: list[str], year: str = "Year") -> pd.DataFrame:
    """Years by months (or quarters), whose values count up."""
    values = np.arange(len(YEARS) * len(headers)).reshape(len(YEARS), -1)
    frame = pd.DataFrame(values, columns=headers)
    frame.insert(0, year, YEARS)
    return frame


def read(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    frame.to_csv(path / "data.csv", index=False)
    return normalised(read_table(str(path / "data.csv"), TextSettings())).frame


SPELLINGS = {
    "Jan": [month[:3] for month in MONTHS],
    "JAN.": [month[:3].upper() + "." for month in MONTHS],
    "January": MONTHS,
    "Sept": [month[:4] if month == "September" else month[:3] for month in MONTHS],
    "1": [str(place) for place in range(1, 13)],
    "M01": [f"M{place:02d}" for place in range(1, 13)],
    "Q1": ["Q1", "Q2", "Q3", "Q4"],
    "Qtr1": ["Qtr1", "Qtr2", "Qtr3", "Qtr4"],
    "1Q": ["1Q", "2Q", "3Q", "4Q"],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_row_for_each_month_or_quarter(spelling: str, tmp_path: Path) -> None:
    headers = SPELLINGS[spelling]
    found = read(by_months(headers), tmp_path)
    time = "month" if len(headers) == 12 else "quarter"
    assert list(found.columns) == [time, "value"]
    assert found[time].iloc[[0, len(headers)]].tolist() == (
        ["1990-01", "1991-01"] if time == "month" else ["1990Q1", "1991Q1"]
    )
    assert found["value"].astype(int).tolist() == list(range(len(YEARS) * len(headers)))


def test_the_commands_take_it(forecast: Run, tmp_path: Path) -> None:
    data, past, made = (tmp_path / name for name in ("data.csv", "past.csv", "made.csv"))
    frame = by_months(SPELLINGS["Jan"]).assign(Annual=5)
    frame.to_csv(data, index=False)
    frame = frame.astype(object)
    frame.loc[7, ["Nov", "Dec"]] = ""
    frame.to_csv(past, index=False)
    store = ("--artifact", tmp_path / "store")
    fit = forecast("fit", past, "--model", "drift", "--horizon", 2, *store)
    assert fit.code == 0
    assert "data.csv" not in fit.err
    said = "a table of years by months (Jan to Dec) is read with a row for each month: 'value' by 'month'"
    assert f"{said}; left out: Annual" in fit.err
    assert "time     month: 1990-01 to 1997-10, every MS" in fit.err
    assert forecast("predict", past, *store, "--output", made).code == 0
    found = pd.read_csv(made)
    assert found["month"].tolist() == ["1997-11", "1997-12"]
    assert found["forecast"].tolist() == [94, 95]
    assert "scored   2 forecasts" in forecast("score", made, data).err
    assert forecast("backtest", data, "--model", "last", "--windows", 2).code == 0


def test_years_in_the_header_are_unfolded_too(tmp_path: Path) -> None:
    frame = by_months(SPELLINGS["Jan"]).set_index("Year").T.rename_axis("month").reset_index()
    found = read(frame, tmp_path)
    assert found["month"].iloc[[0, 1, 12]].tolist() == ["1990-01", "1990-02", "1991-01"]
    assert found["value"].astype(int).tolist() == list(range(96))


def test_a_workbook_is_unfolded_as_a_text_is(tmp_path: Path) -> None:
    pytest.importorskip("python_calamine")
    by_months(SPELLINGS["Jan"]).to_excel(tmp_path / "book.xlsx", engine="xlsxwriter", index=False)
    table = normalised(read_table(str(tmp_path / "book.xlsx"), TextSettings()))
    assert table.names == ["month", "value"]
    assert table.frame["value"].tolist() == list(range(96))
    assert table.place(14, "value") == "book.xlsx row 3, column 'Mar'"


def test_stations_stay_series_of_their_own(tmp_path: Path) -> None:
    frame = by_months(SPELLINGS["Jan"])
    both = pd.concat([frame.assign(station="a"), frame.assign(station="b")])
    both.to_csv(tmp_path / "data.csv", index=False)
    model = Forecaster(model="last", horizon=1).fit(normalised(read_table(str(tmp_path / "data.csv"), TextSettings())))
    assert model.schema_.ids == ("station",)
    assert model.predict()["month"].tolist() == ["1998-01", "1998-01"]


def test_a_frame_keeps_its_numbers() -> None:
    table = normalised(table_from_frame(by_months(SPELLINGS["Jan"]).astype({"Jan": float})))
    assert table.frame["value"].tolist() == list(range(96))
    with pytest.raises(UsageError, match="unfold it before it is split"):
        next(RollingOrigin().split(by_months(SPELLINGS["Jan"])))


def test_twelve_columns_of_something_else_stay() -> None:
    rows = pd.DataFrame(np.ones((8, 12)), columns=[str(place) for place in range(1, 13)]).assign(id=range(2001, 2009))
    assert len(normalised(table_from_frame(rows[["id", *rows.columns[:-1]]])).frame) == 8
    months = by_months(SPELLINGS["Jan"]).assign(Year="north")
    assert len(normalised(table_from_frame(months)).frame) == 8


def test_a_cell_is_named_by_its_own_column(tmp_path: Path) -> None:
    frame = by_months(SPELLINGS["Jan"]).astype(object)
    frame.loc[2, "Mar"] = "12x"
    frame.to_csv(tmp_path / "data.csv", index=False)
    with pytest.raises(BadData, match=r"data\.csv line 4, column 'Mar': '12x' is not a number"):
        Forecaster(model="last").fit(normalised(read_table(str(tmp_path / "data.csv"), TextSettings())))
