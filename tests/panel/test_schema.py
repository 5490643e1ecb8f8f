"""A schema comes back as it was stored, names its settings, and writes times as the table has them."""

from datetime import date

import numpy as np
import pandas as pd

from forecast.panel.infer import read
from forecast.panel.schema import (
    Event,
    Schema,
    event_names,
    position_texts,
    time_columns_at,
)
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame


def schema_of(**columns: object) -> Schema:
    frame = pd.DataFrame({**columns, "sales": np.arange(36.0) % 7})
    return read(table_from_frame(frame), TableSettings(), horizon=2).schema


def daily() -> Schema:
    return schema_of(day=pd.date_range("2024-01-01", periods=36).astype(str))


def test_what_is_stored_is_what_is_read_back() -> None:
    schema = daily()
    assert Schema.model_validate_json(schema.model_dump_json()) == schema
    stored = schema.model_dump()
    assert stored["time"] == "day"
    assert Schema.model_validate({**stored, "time": ("day",)}) == schema


def test_an_event_has_a_last_day_and_a_name_with_its_kind() -> None:
    plain = Event(day=date(2024, 1, 6), name="promo")
    closed = Event(day=date(2024, 1, 7), name="strike", kind="closed", end=date(2024, 1, 8))
    assert (plain.last, closed.last) == (date(2024, 1, 6), date(2024, 1, 8))
    assert event_names((closed, plain, plain)) == ("promo", "strike (closed)")


def test_the_settings_of_a_schema_read_a_table_by_it() -> None:
    settings = daily().table_settings()
    assert (settings["time"], settings["id"], settings["target"]) == (("day",), (), ())
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-03-01", periods=30).astype(str),
            "sales": 1.0 + np.arange(30) % 7,
        }
    )
    assert read(table_from_frame(frame), TableSettings.check(settings), horizon=2).schema.time == (
        "day",
    )


def test_times_are_written_as_the_table_has_them() -> None:
    schema, months = daily(), pd.period_range("2021-01", periods=36, freq="M")
    assert position_texts(schema, np.array([0, 1])) == [
        "1970-01-01",
        "1970-01-02",
    ]
    schema = schema_of(year=months.year, month=months.month)
    columns = time_columns_at(schema, np.array([12 * 54, 12 * 54 + 1]))
    assert {name: column.texts() for name, column in columns.items()} == {
        "year": ["2024"] * 2,
        "month": ["1", "2"],
    }
