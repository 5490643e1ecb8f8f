"""Clocks are read as the zone database has them, in every zone and year."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar.zones import offsets_at, timestamps_at, wall_clock, zone_of
from forecast.errors import UsageError

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
    expected = [(EPOCH + timedelta(seconds=at)).astimezone(ZoneInfo(zone)).utcoffset() for at in seconds]
    assert offsets_at(np.array(seconds, np.int64), zone).tolist() == [
        int(offset.total_seconds()) for offset in expected if offset is not None
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_the_seconds_around_a_change_have_the_right_offset(zone: str) -> None:
    hours = np.arange(1_700_000_000 // 3600, 1_735_000_000 // 3600) * 3600
    changes = hours[1:][np.diff(offsets_at(hours, zone)) != 0]
    for around in (changes - 1, changes, changes + 1):
        expected = [(EPOCH + timedelta(seconds=at)).astimezone(ZoneInfo(zone)).utcoffset() for at in around.tolist()]
        assert [timedelta(seconds=offset) for offset in offsets_at(around, zone).tolist()] == expected


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
            zone_of(name)

    def test_the_nearest_zone_is_named(self):
        with pytest.raises(UsageError, match="did you mean 'Europe/Berlin'"):
            zone_of("Europe/Berlim")
