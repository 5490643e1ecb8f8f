"""Public holidays are features of daily and finer grids."""

import sys

import pytest

from forecast.calendar.calendar import Calendar
from forecast.calendar.spec import CalendarSpec
from forecast.errors import Unavailable, UsageError
from tests.calendar._times import seconds


class TestHolidays:
    DAYS = CalendarSpec(kind="seconds", every=86_400, name="D")

    def flags(self, day: str, country: str = "DE", spec: CalendarSpec = DAYS) -> list[float]:
        pytest.importorskip("holidays")
        calendar = Calendar(spec, None, country)
        first = calendar.feature_names.index("holiday")
        return calendar.features(calendar.positions(seconds([day])))[0, first:].tolist()

    def test_holiday_and_its_neighbours_are_flagged(self):
        assert self.flags("2024-05-01") == [1, 0, 0]
        assert self.flags("2024-04-30") == [0, 1, 0]
        assert self.flags("2024-05-02") == [0, 0, 1]
        assert self.flags("2024-05-06") == [0, 0, 0]

    def test_every_hour_of_a_holiday_is_flagged(self):
        hours = CalendarSpec(kind="seconds", every=3600, name="h")
        assert self.flags("2024-05-01 23:00", spec=hours) == [1, 0, 0]

    def test_subdivision_has_its_own(self):
        assert self.flags("2024-11-01", "DE-BY")[0] == 1
        assert self.flags("2024-11-01", "DE-BE")[0] == 0

    def test_unknown_country_is_a_usage_error(self):
        with pytest.raises(UsageError, match="holidays='XQ': no such country"):
            self.flags("2024-05-01", "XQ")

    def test_names_of_the_package_that_are_no_countries_are_usage_errors(self):
        for name in ("HolidayBase", "list_supported_countries", "utils", "__doc__", "x" * 10_000_000):
            with pytest.raises(UsageError, match="no such country"):
                self.flags("2024-05-01", name)

    def test_unknown_subdivision_is_a_usage_error(self):
        with pytest.raises(UsageError, match="holidays='DE-XX': no such part"):
            self.flags("2024-05-01", "DE-XX")

    def test_months_have_no_holidays(self):
        pytest.importorskip("holidays")
        assert "holiday" not in Calendar(CalendarSpec(kind="months"), None, "DE").feature_names

    def test_missing_package_is_said_with_the_command_that_installs_it(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "holidays", None)
        with pytest.raises(Unavailable, match=r"pip install '.\[holidays\]'"):
            Calendar(self.DAYS, None, "AT")
