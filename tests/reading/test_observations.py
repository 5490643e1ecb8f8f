"""Rows of a table: ids in ascending order with a code for each row, repeated rows made one."""

import numpy as np
import pandas as pd
import pytest

from forecast.reading.observations import Rows, id_codes
from forecast.reading.reading import read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame


def rows_of(*rows: tuple[int, int, float]) -> Rows:
    series, times, values = zip(*rows, strict=True)
    return Rows(np.array(series), np.array(times), np.array(values))


@pytest.mark.parametrize(("how", "value"), [("first", 5.0), ("last", 1.0), ("mean", 3.0), ("sum", 9.0)])
def test_rows_of_one_series_and_time_become_one(how: str, value: float) -> None:
    made = rows_of((1, 20, 5.0), (0, 30, 7.0), (1, 20, 3.0), (1, 10, 2.0), (1, 20, 1.0)).combined(how)
    assert made.series.tolist() == [0, 1, 1]
    assert made.timestamps.tolist() == [30, 10, 20]
    assert made.values.tolist() == [7.0, 2.0, value]


def test_rows_in_order_stay_as_they_are() -> None:
    rows = rows_of((0, 10, 1.0), (0, 20, 2.0), (1, 10, 3.0))
    assert rows.combined("sum") is rows
    nothing = rows.select(np.zeros(3, bool))
    assert len(nothing.combined("sum").values) == 0


def test_ids_of_several_columns_are_ascending_and_coded_by_row() -> None:
    frame = pd.DataFrame({"shop": ["b", "a", "b", "a"], "item": ["x", "y", "x", "x"], "value": [1, 2, 3, 4]})
    ids, codes = id_codes(table_from_frame(frame), ("shop", "item"))
    assert ids == (("a", "x"), ("a", "y"), ("b", "x"))
    assert codes.tolist() == [2, 1, 2, 0]


def test_a_table_without_ids_is_one_series() -> None:
    ids, codes = id_codes(table_from_frame(pd.DataFrame({"value": [1, 2]})), ())
    assert ids == ((),)
    assert codes.tolist() == [0, 0]


@pytest.mark.parametrize(
    "like", ["cafe\u0301 1", " caf\xe9 1", "caf\xe9\u200b 1", "CAF\xc9 1", "caf\xe9\xa01", "caf\xe9 \uff11"]
)
def test_ids_that_look_alike_are_pointed_out(like: str, caplog: pytest.LogCaptureFixture) -> None:
    days = pd.date_range("2024-01-01", periods=20)
    frame = pd.DataFrame(
        {"id": np.repeat(["caf\xe9 1", like, "caf\xe9 2"], 20), "day": [*days] * 3, "y": np.arange(60)}
    )
    read(table_from_frame(frame), TableSettings(), horizon=2)
    assert "differ only in blanks, case or how letters are encoded" in caplog.text
    assert like in caplog.text
