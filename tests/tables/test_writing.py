"""Forecasts are written as CSV, Parquet or a workbook."""

import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import python_calamine

from forecast.errors import CannotCreate
from forecast.tables import writing
from forecast.tables.writing import write_frames

Run = Callable[..., Any]


def cells(path: Path) -> list[list[Any]]:
    return python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()


def test_a_workbook_has_numbers_and_times_in_its_cells_and_runs_no_formula(tmp_path: Path) -> None:
    hours = pd.date_range("2024-01-01", periods=5000, freq="h")
    frame = pd.DataFrame(
        {
            "shop": np.repeat(["=1+1", "007"], 2500),
            "at": hours,
            "day": hours.strftime("%Y-%m-%d"),
            "text": hours.strftime("%d.%m.%Y"),
            "zone": hours.tz_localize("Europe/Berlin", ambiguous="NaT", nonexistent="NaT").fillna(
                pd.Timestamp("2024-01-01", tz="Europe/Berlin")
            ),
            "forecast": np.arange(5000) / 8,
            "count": np.arange(5000),
        }
    )
    write_frames([frame[:7], frame[7:]], str(tmp_path / "f.XLSX"))
    header, first, second, *others = cells(tmp_path / "f.XLSX")
    assert header == list(frame.columns)
    assert len(others) == 4998
    assert first[:4] == ["=1+1", date(2024, 1, 1), date(2024, 1, 1), "01.01.2024"]
    assert second[1:] == [
        datetime(2024, 1, 1, 1),
        date(2024, 1, 1),
        "01.01.2024",
        "2024-01-01 01:00:00+01:00",
        0.125,
        1,
    ]
    assert others[-1][0] == "007"
    write_frames([frame], str(tmp_path / "again.xlsx"))
    assert (tmp_path / "again.xlsx").read_bytes() == (tmp_path / "f.XLSX").read_bytes()


def test_times_that_no_sheet_has_stay_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"month": pd.to_datetime(["1749-01-01", "1749-02-01"]), "code": ["2024-02-31", "2024-02-01"]})
    write_frames([frame], str(tmp_path / "old.xlsx"))
    assert cells(tmp_path / "old.xlsx")[1] == ["1749-01-01", "2024-02-31"]


def test_more_rows_than_a_sheet_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SHEET_ROWS", 3)
    with pytest.raises(CannotCreate, match="at most 3 rows, and these are 4"):
        write_frames([pd.DataFrame({"y": range(4)})], str(tmp_path / "f.xlsx"))
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_extra_is_named(forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = forecast("synth", "seasonal", "--output", tmp_path / "s.xlsx")
    assert (done.code, len(cells(tmp_path / "s.xlsx")) > 100) == (0, True)
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    refused = forecast("synth", "seasonal", "--output", tmp_path / "t.xlsx")
    assert (refused.code, "pip install '.[excel]'" in refused.err) == (69, True)
    assert not (tmp_path / "t.xlsx").exists()
