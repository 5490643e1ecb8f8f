"""Hours that come twice where clocks are put back are told by the order of the rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import TimeSettings
from forecast.errors import BadData
from forecast.tables.reading import table_from_frame

CHANGES = {
    "Europe/Berlin": "2024-10-27 00:00",
    "America/New_York": "2024-11-03 05:00",
    "Australia/Lord_Howe": "2024-04-06 14:30",  # by half an hour
}


def readings(zone: str, minutes: int, steps: int, before: int) -> tuple[list[str], np.ndarray]:
    """Times around a clock change as the clocks of the zone show them, and the timestamps, [steps]."""
    start = pd.Timestamp(CHANGES[zone], tz="UTC") - before * pd.Timedelta(minutes=minutes)
    index = pd.date_range(start, periods=steps, freq=f"{minutes}min")
    return index.tz_convert(zone).strftime("%Y-%m-%d %H:%M").tolist(), index.as_unit("s").asi8


def read(texts: list[str], zone: str, series: np.ndarray | None = None) -> np.ndarray:
    table = table_from_frame(pd.DataFrame({"time": texts, "y": 1.0}))
    times = parse_times(table, "time", TimeSettings(timezone=zone), series)
    assert times.unresolved is None
    return times.timestamps


@settings(deadline=None, max_examples=60)
@given(
    zone=st.sampled_from(sorted(CHANGES)),
    minutes=st.sampled_from([10, 15, 30]),
    before=st.integers(10, 40),
    count=st.integers(1, 4),
    layout=st.sampled_from(["one after the other", "by time"]),
    backward=st.booleans(),
)
def test_any_series_in_order_get_their_own_timestamps_back(
    zone: str, minutes: int, before: int, count: int, layout: str, backward: bool
) -> None:
    texts, timestamps = readings(zone, minutes, before + 60, before)
    if backward:
        texts, timestamps = texts[::-1], timestamps[::-1]
    rows = np.arange(len(texts))
    row, series = np.tile(rows, count), np.repeat(np.arange(count), len(rows))
    if layout == "by time":
        row, series = np.repeat(rows, count), np.tile(np.arange(count), len(rows))
    found = read([texts[i] for i in row], zone, series)
    assert (found == timestamps[row]).all()


def test_a_missing_one_of_two_hours_is_asked_for() -> None:
    texts, _ = readings("Europe/Berlin", 60, 30, 10)
    twice = [i for i, text in enumerate(texts) if texts.count(text) > 1]
    del texts[twice[0]]
    with pytest.raises(BadData, match=r"'2024-10-27 02:00' comes twice in Europe/Berlin.*dst="):
        read(texts, "Europe/Berlin", np.zeros(len(texts), np.int64))


def test_rows_without_order_are_asked_for() -> None:
    texts, _ = readings("Europe/Berlin", 60, 30, 10)
    mixed = np.random.default_rng(0).permutation(len(texts))
    with pytest.raises(BadData, match="'2024-10-27 02:00' comes twice"):
        read([texts[i] for i in mixed], "Europe/Berlin", np.zeros(len(texts), np.int64))
