"""Events touch their day, its eve and the day after, in the steps that a table has."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import BadData, UsageError
from forecast.events.kinds import mark
from forecast.events.table import read_events, renewed
from forecast.reading.reading import Reading, read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame

Touched = dict[str, list[str]]


def reading(times: Any, events: dict[str, list[str]] | None = None, **settings: Any) -> Reading:
    frame = pd.DataFrame({"at": times, "y": np.arange(len(times)) % 7 + 1.0})
    table = None if events is None else table_from_frame(pd.DataFrame(events))
    return read(table_from_frame(frame), TableSettings(**settings), horizon=3, events=table)


def touched(found: Reading, times: pd.DatetimeIndex) -> Touched:
    """The times that each label touches."""
    marks = mark(found.panel, found.schema)
    days = {label: [] for label in marks.labels}
    for slot, label in zip(marks.slot, marks.label, strict=True):
        days[marks.labels[label]].append(str(times[slot]).removesuffix(" 00:00:00"))
    return {label: sorted(each) for label, each in days.items() if each}


def test_a_day_has_an_eve_and_a_day_after_it_but_not_within_an_event() -> None:
    days = pd.date_range("2024-02-20", periods=23)
    found = reading(days[:20], {"date": ["2024-03-01", "2024-03-02"], "name": ["fair", "fair"]})
    assert touched(found, days) == {
        "eve of fair": ["2024-02-29"],
        "fair": ["2024-03-01", "2024-03-02"],
        "day after fair": ["2024-03-03"],
    }


def test_holidays_that_move_and_observed_days_have_names_of_their_own() -> None:
    pytest.importorskip("holidays")
    days = pd.date_range("2019-06-01", periods=1003)
    found = touched(reading(days[:1000], holidays="US"), days)
    assert found["Thanksgiving Day"] == ["2019-11-28", "2020-11-26", "2021-11-25"]
    assert found["day after Thanksgiving Day"] == ["2019-11-29", "2020-11-27", "2021-11-26"]
    assert found["Christmas Day (observed)"] == ["2021-12-24"]


def test_on_business_days_the_eve_of_a_monday_is_a_friday() -> None:
    days = pd.bdate_range("2024-01-01", periods=63)
    found = reading(days[:60], {"date": ["2024-02-05", "2024-02-17"], "name": ["start", "saturday"]})
    assert found.schema.calendar.kind == "weekdays"
    assert touched(found, days) == {
        "eve of start": ["2024-02-02"],
        "start": ["2024-02-05"],
        "day after start": ["2024-02-06"],
        "eve of saturday": ["2024-02-16"],
        "day after saturday": ["2024-02-19"],
    }


def test_hours_of_the_local_day_are_touched() -> None:
    hours = pd.date_range("2024-01-01", periods=24 * 14 + 3, freq="h", tz="America/New_York")
    found = reading(hours[: 24 * 14], {"date": ["2024-01-08"], "name": ["fair"]})
    at = touched(found, hours)["fair"]
    assert (at[0], at[-1], len(at)) == ("2024-01-08 00:00:00-05:00", "2024-01-08 23:00:00-05:00", 24)


@pytest.mark.parametrize(("anchor", "day"), [("W-SUN", "2024-02-11"), ("W-WED", "2024-02-07")])
def test_a_week_that_holds_an_event_is_touched(anchor: str, day: str) -> None:
    weeks = pd.date_range("2024-01-01", periods=33, freq=anchor)
    found = reading(weeks[:30], {"date": ["2024-02-06"], "name": ["fair"]})
    assert touched(found, weeks) == {"fair": [day]}


def of_shops() -> Reading:
    days = pd.date_range("2024-01-01", periods=30)
    shops = [("a", "x"), ("a", "y"), ("b", "x")]
    frames = [pd.DataFrame({"shop": shop, "item": item, "day": days, "units": 1.0}) for shop, item in shops]
    settings = TableSettings(id=("shop", "item"), target="units")
    return read(table_from_frame(pd.concat(frames)), settings, horizon=3)


def test_id_columns_say_which_series_an_event_concerns() -> None:
    found = of_shops()
    rows = {"date": ["2024-01-10", "2024-01-20"], "name": ["promo", "strike"], "shop": ["a", None]}
    events = read_events(table_from_frame(pd.DataFrame(rows)), found.schema, found.panel.ids)
    marks = mark(found.panel, found.schema.model_copy(update={"dated_events": events}))
    place, series = marks.slot % 33, marks.slot // 33
    assert set(series[place == 9]) == {0, 1}
    assert set(series[place == 19]) == {0, 1, 2}


def test_events_of_unknown_series_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    found = of_shops()
    rows = {"date": ["2024-01-10", "2024-01-11"], "name": ["promo", "promo"], "shop": ["a", "zzz"]}
    events = read_events(table_from_frame(pd.DataFrame(rows)), found.schema, found.panel.ids)
    assert len(events) == 2  # it may still come
    assert "zzz" in caplog.text


def test_a_newer_table_holds_from_its_first_day_on() -> None:
    found = of_shops()

    def events(*dates: str) -> Any:
        frame = pd.DataFrame({"date": dates, "name": "promo"})
        return read_events(table_from_frame(frame), found.schema, found.panel.ids)

    after = renewed(events("2024-01-10", "2024-02-10"), events("2024-02-01", "2024-03-01"))
    assert [str(event.day) for event in after] == ["2024-01-10", "2024-02-01", "2024-03-01"]


REFUSED: list[tuple[dict[str, list[str]], str]] = [
    ({"day": ["2024-01-10"], "name": ["promo"]}, "no column 'date'"),
    ({"date": ["2024-01-10"]}, "no column 'name'"),
    (
        {"date": ["2024-01-10"], "name": ["promo"], "store": ["a"]},
        "'store' is neither date, start, end, name, kind nor",
    ),
    ({"date": ["soon"], "name": ["promo"]}, "soon"),
    ({"date": ["2024-01-10 12:00"], "name": ["promo"]}, "events are whole days"),
    ({"date": ["3"], "name": ["promo"]}, "is no date"),
    ({"date": ["2024-01-10"], "name": [""]}, "needs a name"),
    ({"date": ["2024-01-10", "2024-01-10"], "name": ["promo", "promo"]}, "comes twice"),
    ({"date": ["2024-01-10"], "name": ["promo"], "shop": ["zzz"]}, "they name zzz/any"),
]


@pytest.mark.parametrize(("rows", "problem"), REFUSED)
def test_a_table_that_is_none_of_events_is_refused(rows: dict[str, list[str]], problem: str) -> None:
    found = of_shops()
    with pytest.raises(BadData, match=problem):
        read_events(table_from_frame(pd.DataFrame(rows), "events.csv"), found.schema, found.panel.ids)


def test_series_without_days_have_no_events() -> None:
    events = {"date": ["2020-01-10"], "name": ["promo"]}
    with pytest.raises(UsageError, match="events are days, and the table has steps of MS"):
        reading(pd.date_range("2020-01-01", periods=30, freq="MS"), events)
    with pytest.raises(UsageError, match="events are days, and the table has steps of 1"):
        reading(np.arange(30), events, time=("at",), freq="1")


def test_names_that_differ_in_case_are_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    reading(pd.date_range("2024-01-01", periods=40), {"date": ["2024-01-08", "2024-01-15"], "name": ["Sale", "sale"]})
    assert "'Sale' and 'sale' differ only in blanks, case" in caplog.text
