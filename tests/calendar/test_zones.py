"""Local times follow the zone database; the order of the rows says which of two equal hours is the first."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.calendar.parsing import parse_times
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import find_zone, offsets_at, timestamps_at, wall_clock
from forecast.errors import BadData, UsageError
from forecast.tables.reading import table_from_frame

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Freetown",
    "Asia/Gaza",
    "Africa/Casablanca",
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.sampled_from(ZONES), st.lists(st.integers(-5_000_000_000, 6_000_000_000), max_size=20))
def test_offsets_are_those_of_the_database(zone: str, seconds: list[int]) -> None:
    expected = [
        (EPOCH + timedelta(seconds=at)).astimezone(ZoneInfo(zone)).utcoffset() for at in seconds
    ]
    assert offsets_at(np.array(seconds, np.int64), zone).tolist() == [
        int(offset.total_seconds()) for offset in expected if offset is not None
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_the_seconds_around_a_change_have_the_right_offset(zone: str) -> None:
    hours = np.arange(1_700_000_000 // 3600, 1_735_000_000 // 3600) * 3600
    changes = hours[1:][np.diff(offsets_at(hours, zone)) != 0]
    for around in (changes - 1, changes, changes + 1):
        expected = [
            (EPOCH + timedelta(seconds=at)).astimezone(ZoneInfo(zone)).utcoffset()
            for at in around.tolist()
        ]
        assert [
            timedelta(seconds=offset) for offset in offsets_at(around, zone).tolist()
        ] == expected


def test_timestamps_and_readings_lead_to_each_other() -> None:
    wall = np.arange(1_710_000_000, 1_740_000_000, 1800)
    timestamps, unclear = timestamps_at(wall, "Europe/Berlin", "earlier")
    assert (wall_clock(timestamps, "Europe/Berlin") == wall)[~unclear].all()
    assert unclear.sum() == 4  # two half hours that come twice, two that do not exist


def test_years_that_no_date_has_keep_the_nearest_offset() -> None:
    far = np.array([-(10**13), 10**13])
    assert offsets_at(far, "Europe/Berlin").tolist() == [3208, 3600]
    assert offsets_at(far, "+02:00").tolist() == [7200, 7200]


class TestZones:
    @pytest.mark.parametrize(
        "name", ["Europe/Berlim", "+99:99", "", "America", "../etc/passwd", "a\0b", "x" * 1_000_000]
    )
    def test_an_unknown_zone_is_a_usage_error(self, name):
        with pytest.raises(UsageError, match="no such time zone"):
            find_zone(name)

    def test_the_nearest_zone_is_named(self):
        with pytest.raises(UsageError, match="did you mean 'Europe/Berlin'"):
            find_zone("Europe/Berlim")


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
    times = parse_times(table, ("time",), TimeSettings(timezone=zone), series)
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


def test_times_of_several_offsets_are_converted_to_any_zone_and_so_are_later_ones_of_one_offset() -> (
    None
):
    hours = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"time": [hour.isoformat() for hour in hours], "load": np.arange(72.0)})
    model = Forecaster(model="last", horizon=2, timezone="America/New_York").fit(frame)
    assert model.predict()["time"].tolist() == [
        "2024-10-28T18:00:00-04:00",
        "2024-10-28T19:00:00-04:00",
    ]
    later = model.predict(frame[-24:])  # all of winter time
    assert later["time"].tolist() == ["2024-10-28T18:00:00-04:00", "2024-10-28T19:00:00-04:00"]


@pytest.mark.parametrize(
    ("start", "zone"), [("2023-10-29", "Europe/Berlin"), ("2023-11-05", "America/New_York")]
)
def test_the_zone_is_the_first_cure_of_an_hour_that_comes_twice_by_the_clock(
    start: str, zone: str
) -> None:
    hours = pd.date_range(start, periods=72, freq="30min", tz=zone).strftime("%Y-%m-%d %H:%M")
    frame = pd.DataFrame({"time": hours, "load": np.arange(72.0)})
    with pytest.raises(
        BadData,
        match=f"2 rows like that.; fit with timezone='{zone}' or the table's own.*id=.*on_duplicate=",
    ):
        Forecaster(model="last").fit(frame)
    assert len(Forecaster(model="last", horizon=2, timezone=zone).fit(frame).predict()) == 2
    with pytest.raises(BadData) as refused:
        Forecaster(model="last").fit(pd.concat([frame, frame[-1:]]))
    assert "timezone" not in str(refused.value)  # one of the times comes twice by no clock
