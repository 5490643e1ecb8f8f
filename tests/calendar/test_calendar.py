"""A grid is found from the times on it; positions, timestamps, features and holidays follow from the grid."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar.calendar import Calendar, default_horizon, season_candidates
from forecast.calendar.frequency import infer_calendar
from forecast.calendar.spec import CalendarSpec
from forecast.errors import Unavailable, UsageError
from tests.calendar._times import BERLIN, NAIVE, inferred, seconds


def test_series_that_never_overlap_share_their_step():
    times = np.concatenate(
        [
            seconds(pd.date_range("2021-01-01", periods=20)),
            seconds(pd.date_range("2023-01-01", periods=20)),
        ]
    )
    assert infer_calendar(times, np.repeat([0, 1], 20), None, NAIVE).name == "D"


class TestClockChanges:
    def test_days_follow_the_local_midnight(self):
        index = pd.date_range("2024-03-25", periods=14, freq="D", tz="Europe/Berlin")
        calendar = Calendar(inferred(seconds(index), form=BERLIN), "Europe/Berlin")
        positions = calendar.positions(seconds(index))
        assert calendar.spec.name == "D"
        assert np.diff(positions).tolist() == [1] * 13
        assert (calendar.times(positions) == seconds(index)).all()

    def test_hours_go_on_through_the_change(self):
        index = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
        calendar = Calendar(inferred(seconds(index), form=BERLIN), "Europe/Berlin")
        assert calendar.spec.name == "h"
        assert np.diff(calendar.positions(seconds(index))).tolist() == [1] * 71

    def test_months_follow_the_local_midnight(self):
        index = pd.date_range("2024-01-01", periods=14, freq="MS", tz="Europe/Berlin")
        calendar = Calendar(inferred(seconds(index), form=BERLIN), "Europe/Berlin")
        assert calendar.spec.name == "MS"
        assert (calendar.times(calendar.positions(seconds(index))) == seconds(index)).all()

    def test_midnight_that_the_change_skips_is_still_a_day(self):
        zone = "America/Santiago"
        days = pd.date_range("2024-09-01", periods=14)
        index = days.tz_localize(zone, nonexistent="shift_forward")
        form = BERLIN.model_copy(update={"zone": zone})
        calendar = Calendar(inferred(seconds(index), form=form), zone)
        assert calendar.spec.name == "D"
        assert np.diff(calendar.positions(seconds(index))).tolist() == [1] * 13
        assert calendar.on_grid(seconds(index)).all()

    def test_hour_of_the_day_is_the_local_one(self):
        index = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
        calendar = Calendar(inferred(seconds(index), form=BERLIN), "Europe/Berlin")
        sine = calendar.features(calendar.positions(seconds(index)))[
            :, calendar.feature_names.index("day_sin")
        ]
        np.testing.assert_allclose(sine, np.sin(2 * np.pi * index.hour / 24), atol=1e-6)


GRIDS = (
    CalendarSpec(kind="steps", every=3, anchor=1),
    CalendarSpec(kind="seconds", every=900, anchor=60),
    CalendarSpec(kind="seconds", every=86_400, anchor=3_600),
    CalendarSpec(kind="seconds", every=604_800, anchor=3 * 86_400),
    CalendarSpec(kind="seconds", every=2 * 604_800, anchor=10 * 86_400),
    CalendarSpec(kind="months", every=1, day=-1),
    CalendarSpec(kind="months", every=1, day=15, offset=7_200),
    CalendarSpec(kind="months", every=3, anchor=1),
    CalendarSpec(kind="months", every=3, anchor=2, day=-1),
    CalendarSpec(kind="months", every=12, day=1),
    CalendarSpec(kind="weekdays", weekdays=(0, 1, 2, 3, 4)),
    CalendarSpec(kind="weekdays", weekdays=(1, 6), offset=3_600),
)


@given(
    spec=st.sampled_from(GRIDS),
    start=st.integers(-500, 500),
    zone=st.sampled_from([None, "UTC", "Europe/Berlin"]),
)
def test_positions_and_times_are_each_others_inverse(spec, start, zone):
    calendar = Calendar(spec, None if spec.kind == "steps" else zone)
    positions = start + np.arange(40)
    times = calendar.times(positions)
    assert (np.diff(times) > 0).all()
    assert (calendar.positions(times) == positions).all()
    assert calendar.on_grid(times).all()


@given(spec=st.sampled_from(GRIDS), start=st.integers(-500, 500))
def test_features_are_bounded_and_named(spec, start):
    calendar = Calendar(spec)
    features = calendar.features(start + np.arange(50))
    assert features.shape == (50, len(calendar.feature_names))
    assert features.dtype == np.float32
    assert np.abs(features).max(initial=0) <= 1


@pytest.mark.parametrize(
    ("freq", "names"),
    [
        ("min", {"hour", "day", "week"}),
        ("h", {"day", "week"}),
        ("D", {"week", "day_of_month", "year"}),
        ("B", {"week", "day_of_month", "year"}),
        ("W-SUN", {"day_of_month", "year"}),
        ("MS", {"month"}),
        ("QS", {"month"}),
        ("YS", set()),
    ],
)
def test_features_fit_the_frequency(freq, names):
    calendar = Calendar(inferred(seconds(pd.date_range("2021-01-04", periods=40, freq=freq))))
    assert {
        name.removesuffix("_sin").removesuffix("_cos") for name in calendar.feature_names
    } == names


def test_features_do_not_tell_years_apart():
    calendar = Calendar(CalendarSpec(kind="months"))
    np.testing.assert_allclose(
        calendar.features(np.arange(12)), calendar.features(np.arange(12) + 1200), atol=1e-6
    )


@pytest.mark.parametrize(
    ("freq", "seasons", "horizon"),
    [
        ("min", (60, 1440), 60), ("15min", (96, 672), 96), ("30min", (48, 336), 48), ("h", (24, 168), 48),
        ("D", (7, 365), 14), ("B", (5,), 14), ("W-SUN", (52,), 13), ("MS", (12,), 18), ("QS", (4,), 8), ("YS", (), 6),
    ],
)  # fmt: skip
def test_season_and_horizon_are_those_usual_for_the_frequency(freq, seasons, horizon):
    spec = inferred(seconds(pd.date_range("2021-01-04", periods=40, freq=freq)))
    assert season_candidates(spec) == seasons
    assert default_horizon(spec, ()) == horizon


def test_steps_have_no_usual_season_and_a_horizon_of_one_season():
    spec = CalendarSpec(kind="steps")
    assert season_candidates(spec) == ()
    assert default_horizon(spec, (9,)) == 9
    assert default_horizon(spec, ()) == 10


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
        for name in (
            "HolidayBase",
            "list_supported_countries",
            "utils",
            "__doc__",
            "x" * 10_000_000,
        ):
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
