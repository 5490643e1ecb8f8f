"""Times written as numbers: each notation is recognised, read, and written back."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.calendar.cells import NUMBERS, is_number, read_numbers, write_numbers
from forecast.calendar.parsing import format_times, parse_times
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.panel.schema import Schema
from forecast.reading.reading import read
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table, table_from_frame


def fitted(frame: pd.DataFrame, path: Path, **settings: Any) -> tuple[Schema, pd.DataFrame]:
    """The schema, and the first forecasts of each series, of a frame that is written and read as CSV."""
    frame.to_csv(path / "data.csv", index=False)
    table = read_table(str(path / "data.csv"), TextSettings())
    model = Forecaster(model="seasonal-naive", horizon=2, **settings).fit(table)
    return model.schema_, model.predict(table)


YEARS = {"per_year": 4, "digits": 2, "whole": "bare", "number": False}


@pytest.mark.parametrize(
    ("text", "time_format", "day"),
    [
        ("45000", {"kind": "days"}, "2023-03-15"),
        ("1704067200000", {"kind": "epoch", "unit": "ms"}, "2024-01-01"),
        ("1960.25", {"kind": "years", "years": YEARS}, "1960-04-01"),
        ("7", {"kind": "integer"}, None),
    ],
)
def test_each_notation_is_found_by_its_kind_and_writes_what_it_read(
    text: str, time_format: dict[str, Any], day: str | None
) -> None:
    stored = TimeFormat.model_validate(time_format)
    assert is_number(stored)
    assert NUMBERS[stored.kind](text)
    assert not NUMBERS[stored.kind]("2024-01-01")
    read = read_numbers([text], stored)
    assert read.tolist() == ([7] if day is None else [np.datetime64(day, "s").astype(np.int64)])
    assert [str(value) for value in write_numbers(read, stored)] == [text]


def test_a_format_with_a_pattern_has_no_notation() -> None:
    assert not is_number(TimeFormat(kind="epoch", pattern="%Y%m%d"))


class TestDecimalYears:
    @pytest.mark.parametrize(
        ("texts", "expected", "freq"),
        [
            ([f"{1960 + i / 4:g}" for i in range(40)], ["1970", "1970.25"], "QS"),
            ([f"{1960 + i / 4}" for i in range(40)], ["1970.0", "1970.25"], "QS"),
            ([f"{1960 + i / 12:.3f}" for i in range(120)], ["1970.000", "1970.083"], "MS"),
            ([f"{1960 + i / 12:.2f}" for i in range(120)], ["1970.00", "1970.08"], "MS"),
            (
                [f"{1960 + i // 12 + i % 12 / 12:.15g}" for i in range(120)],
                ["1970", "1970.08333333333"],
                "MS",
            ),
            ([f"{1749 + (i + 0.5) / 12:.3f}" for i in range(120)], ["1759.042", "1759.125"], "MS"),
        ],
    )
    def test_they_are_read_and_written_as_they_were(
        self, texts: list[str], expected: list[str], freq: str, tmp_path: Path
    ) -> None:
        schema, found = fitted(
            pd.DataFrame({"time": texts, "y": np.arange(len(texts)) % 7}), tmp_path
        )
        assert (schema.layout, schema.calendar.name) == ("wide", freq)
        assert found["time"].tolist() == expected

    def test_a_frame_of_numbers_gets_numbers(self) -> None:
        frame = pd.DataFrame({"quarter": 1960 + np.arange(40) / 4, "y": np.arange(40) % 7})
        model = Forecaster(model="last", horizon=2).fit(frame)
        assert model.schema_.calendar.name == "QS"
        assert model.predict()["quarter"].tolist() == [1970.0, 1970.25]
        assert model.predict(frame, origin="1965.5")["quarter"].tolist() == [1965.75, 1966.0]

    def test_prices_are_no_years(self) -> None:
        prices = 1960.25 + np.random.default_rng(0).integers(0, 400, 40) / 4
        frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=40), "price": prices})
        assert read(table_from_frame(frame), TableSettings()).schema.series == ("price",)

    def test_months_after_a_point_stay_months(self, tmp_path: Path) -> None:
        texts = [f"{1960 + i // 12}.{i % 12 + 1:02d}" for i in range(60)]
        schema, found = fitted(pd.DataFrame({"time": texts, "y": range(60)}), tmp_path)
        assert schema.calendar.name == "MS"
        assert found["time"].tolist() == ["1965.01", "1965.02"]


def test_numbers_that_look_like_a_year_and_month_are_no_times(tmp_path: Path) -> None:
    quarters = pd.DataFrame({"year": np.repeat(range(1990, 2000), 4), "quarter": [1, 2, 3, 4] * 10})
    quarters["spent"] = [
        round(1707.4 + 8.1 * place, 1) for place in range(40)
    ]  # 1707.4 is no April
    quarters.to_csv(tmp_path / "macro.csv", index=False)
    found = read(read_table(str(tmp_path / "macro.csv"), TextSettings()), TableSettings()).schema
    assert found.time == ("year", "quarter")
    assert found.series == ("spent",)


class TestDayNumbers:
    @given(
        st.lists(st.integers(25_000 * 1440, 60_000 * 1440), min_size=1, max_size=20, unique=True)
    )
    def test_any_minute_survives_being_written_as_a_day_number(self, minutes):
        texts = [str(round(minute / 1440, 9)) for minute in minutes]
        table = table_from_frame(pd.DataFrame({"date": texts, "y": 1.0}))
        times = parse_times(table, ("date",), TimeSettings(date_format="spreadsheet"))
        assert (times.timestamps == (np.array(minutes) - 25_569 * 1440) * 60).all()
        written = format_times(times.timestamps, times.format).index()
        assert [float(text) for text in written] == [float(text) for text in texts]
