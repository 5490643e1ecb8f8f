"""Forecasts become columns and frames with the types of the input, and are written as CSV, Parquet or a workbook."""

import sys
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import python_calamine

from forecast.errors import CannotCreate
from forecast.tables import writing
from forecast.tables.writing import Column, build_frame, write_frames
from tests.conftest import Run


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


def test_parquet_codes_what_repeats_and_no_number_with_a_fraction(tmp_path: Path) -> None:
    shops, numbers = np.repeat(["a", "b"], 500), np.random.default_rng(0).normal(size=1000)
    frame = pd.DataFrame({"shop": shops, "day": np.tile(np.arange(500), 2), "forecast": numbers})
    write_frames([frame], str(tmp_path / "f.parquet"))
    (group,) = pq.ParquetFile(tmp_path / "f.parquet").metadata.to_dict()["row_groups"]
    coded = {
        column["path_in_schema"] for column in group["columns"] if column["has_dictionary_page"]
    }
    assert coded == {"shop", "day"}
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "f.parquet"), frame)


def test_times_that_no_sheet_has_stay_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "month": pd.to_datetime(["1749-01-01", "1749-02-01"]),
            "code": ["2024-02-31", "2024-02-01"],
        }
    )
    write_frames([frame], str(tmp_path / "old.xlsx"))
    assert cells(tmp_path / "old.xlsx")[1] == ["1749-01-01", "2024-02-31"]


def test_more_rows_than_a_sheet_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SHEET_ROWS", 3)
    with pytest.raises(CannotCreate, match="at most 3 rows, and these are 4"):
        write_frames([pd.DataFrame({"y": range(4)})], str(tmp_path / "f.xlsx"))
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_extra_is_named(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = forecast("synth", "seasonal", "--output", tmp_path / "s.xlsx")
    assert (done.code, len(cells(tmp_path / "s.xlsx")) > 100) == (0, True)
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    refused = forecast("synth", "seasonal", "--output", tmp_path / "t.xlsx")
    assert (refused.code, "pip install '.[excel]'" in refused.err) == (69, True)
    assert not (tmp_path / "t.xlsx").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("now", "synth:seasonal", "--output"),
        ("now", "synth:seasonal", "--sum-by", "all", "--totals"),
        ("backtest", "synth:seasonal", "--output"),
        ("score", "f.csv", "t.csv", "--output"),
        ("synth", "seasonal", "--output"),
    ],
)
def test_a_suffix_of_no_table_is_refused_before_any_work(
    forecast: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    refused = forecast(*words, tmp_path / "s.exe")
    assert refused.code == 73
    assert "written as .csv, .parquet or .xlsx" in refused.err
    assert refused.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


TIMES = np.array(["2024-01-01T00", "2024-01-02T00"], "datetime64[s]")
EAST = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("column", "index", "texts"),
    [
        (Column(np.array(["a", "b"], object)), pd.Index(["a", "b"]), ["a", "b"]),
        (Column(np.array([1, 2])), pd.Index([1, 2]), ["1", "2"]),
        (
            Column(TIMES, "ns"),
            pd.DatetimeIndex(TIMES).as_unit("ns"),
            ["2024-01-01 00:00:00", "2024-01-02 00:00:00"],
        ),
        (
            Column(TIMES, zone=EAST),
            pd.DatetimeIndex(TIMES).tz_localize("UTC").tz_convert(EAST),
            ["2024-01-01 01:00:00+01:00", "2024-01-02 01:00:00+01:00"],
        ),
        (Column(TIMES, period="D"), pd.PeriodIndex(TIMES, freq="D"), ["2024-01-01", "2024-01-02"]),
    ],
)
def test_a_column_has_the_type_of_the_input(
    column: Column, index: "pd.Index[Any]", texts: list[str]
) -> None:
    pd.testing.assert_index_equal(column.index(), index)
    assert column.texts() == texts


def test_columns_of_both_kinds_become_a_frame_in_their_order() -> None:
    frame = build_frame(
        {
            "id": Column(np.array(["a", "a"], object)),
            "step": Column(np.array([1, 2])),
            "y": np.arange(2.0),
        }
    )
    assert list(frame.columns) == ["id", "step", "y"]
    assert frame.to_numpy().tolist() == [["a", 1, 0.0], ["a", 2, 1.0]]
