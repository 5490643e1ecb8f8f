"""Local times follow the zone database."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
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


def test_an_hour_that_comes_twice_is_asked_for() -> None:
    hours = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
    texts = hours.strftime("%Y-%m-%d %H:%M")
    table = table_from_frame(pd.DataFrame({"time": texts, "y": 1.0}))
    offset = r"write times with their offset from UTC, such as \+01:00, or pass dst="
    with pytest.raises(BadData, match=f"'2024-10-27 02:00' comes twice in Europe/Berlin.*{offset}"):
        parse_times(table, "time", TimeSettings(timezone="Europe/Berlin"))
    for dst, hour in (("earlier", 26), ("later", 27)):
        settings = TimeSettings(timezone="Europe/Berlin", dst=dst)
        found = parse_times(table, "time", settings).timestamps
        assert found[26:28].tolist() == [hours[hour].timestamp()] * 2


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
def test_the_clocks_that_show_an_hour_twice_are_named(start: str, zone: str) -> None:
    hours = pd.date_range(start, periods=72, freq="30min", tz=zone).strftime("%Y-%m-%d %H:%M")
    frame = pd.DataFrame({"time": hours, "load": np.arange(72.0)})
    offset = rf"write times with their offset from UTC, such as \+01:00, as the clocks of {zone}"
    with pytest.raises(BadData, match=f"2 rows like that.; {offset}.*id=.*on_duplicate="):
        Forecaster(model="last").fit(frame)
    with pytest.raises(BadData) as refused:
        Forecaster(model="last").fit(pd.concat([frame, frame[-1:]]))
    assert "offset" not in str(refused.value)  # one of the times comes twice by no clock
