"""Times written as numbers: each notation is recognised, read, and written back."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.calendar.spec import TimeFormat
from forecast.calendar.time_cells import is_number, read_numbers, write_numbers
from forecast.panel.infer import read
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table


@pytest.mark.parametrize(
    ("text", "time_format", "day"),
    [
        ("1704067200000", {"kind": "epoch", "unit": "ms"}, "2024-01-01"),
        ("7", {"kind": "integer"}, None),
    ],
)
def test_each_notation_is_found_by_its_kind_and_writes_what_it_read(
    text: str, time_format: dict[str, Any], day: str | None
) -> None:
    stored = TimeFormat.model_validate(time_format)
    assert is_number(stored)
    read = read_numbers([text], stored)
    assert read.tolist() == ([7] if day is None else [np.datetime64(day, "s").astype(np.int64)])
    assert [str(value) for value in write_numbers(read, stored)] == [text]


def test_a_format_with_a_pattern_has_no_notation() -> None:
    assert not is_number(TimeFormat(kind="epoch", pattern="%Y%m%d"))


def test_months_after_a_point_stay_months(tmp_path: Path) -> None:
    texts = [f"{1960 + i // 12}.{i % 12 + 1:02d}" for i in range(60)]
    pd.DataFrame({"time": texts, "y": range(60)}).to_csv(tmp_path / "data.csv", index=False)
    model = Forecaster(model="last", horizon=2)
    found = model.fit(read_table(str(tmp_path / "data.csv"), TextSettings())).predict()
    assert model.schema_.calendar.name == "MS"
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
