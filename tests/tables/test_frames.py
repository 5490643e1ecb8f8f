"""Columns become what pandas users expect, with the types of the input."""

from datetime import timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.tables.writing import Column, frame_of

TIMES = np.array(["2024-01-01T00", "2024-01-02T00"], "datetime64[s]")
EAST = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("column", "index", "texts"),
    [
        (Column(np.array(["a", "b"], object)), pd.Index(["a", "b"]), ["a", "b"]),
        (Column(np.array([1, 2])), pd.Index([1, 2]), ["1", "2"]),
        (Column(TIMES, "ns"), pd.DatetimeIndex(TIMES).as_unit("ns"), ["2024-01-01 00:00:00", "2024-01-02 00:00:00"]),
        (
            Column(TIMES, zone=EAST),
            pd.DatetimeIndex(TIMES).tz_localize("UTC").tz_convert(EAST),
            ["2024-01-01 01:00:00+01:00", "2024-01-02 01:00:00+01:00"],
        ),
        (Column(TIMES, period="D"), pd.PeriodIndex(TIMES, freq="D"), ["2024-01-01", "2024-01-02"]),
    ],
)
def test_a_column_has_the_type_of_the_input(column: Column, index: "pd.Index[Any]", texts: list[str]) -> None:
    pd.testing.assert_index_equal(column.index(), index)
    assert column.texts() == texts


def test_columns_of_both_kinds_become_a_frame_in_their_order() -> None:
    frame = frame_of(
        {"id": Column(np.array(["a", "a"], object)), "step": Column(np.array([1, 2])), "y": np.arange(2.0)}
    )
    assert list(frame.columns) == ["id", "step", "y"]
    assert frame.to_numpy().tolist() == [["a", 1, 0.0], ["a", 2, 1.0]]
