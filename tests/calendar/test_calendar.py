"""A grid is found from the times on it, and positions, timestamps and features follow from the grid."""

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar.calendar import Calendar, default_horizon, season_candidates
from forecast.calendar.frequency import infer_calendar, parse_frequency
from forecast.calendar.spec import CalendarSpec, TimeFormat
from forecast.calendar.zones import Integers, zone_of
from forecast.errors import BadData, Unavailable, UsageError

NAIVE = TimeFormat(kind="text", pattern="%Y-%m-%d %H:%M:%S")
BERLIN = TimeFormat(kind="text", pattern="%Y-%m-%d %H:%M:%S", zone="Europe/Berlin")
STEPS = TimeFormat(kind="integer")


def seconds(index: Any) -> Integers:
    """Seconds since 1970 of datetimes: UTC where they have a zone."""
    return np.asarray(pd.DatetimeIndex(index).as_unit("s").asi8, np.int64)


def inferred(timestamps: Integers, freq: str | None = None, form: TimeFormat = NAIVE, **options: Any) -> CalendarSpec:
    return infer_calendar(timestamps, np.zeros(len(timestamps), np.int64), freq, form, **options)


@pytest.mark.parametrize(
    ("freq", "name"),
    [
        ("s", "s"), ("30s", "30s"), ("min", "min"), ("15min", "15min"), ("30min", "30min"), ("h", "h"), ("6h", "6h"),
        ("D", "D"), ("2D", "2D"), ("W-SUN", "W-SUN"), ("W-MON", "W-MON"), ("2W-SUN", "2W-SUN"), ("MS", "MS"),
        ("ME", "ME"), ("QS", "QS"), ("QE", "QE"), ("QS-FEB", "QS"), ("YS", "YS"), ("YE", "YE"), ("B", "B"),
    ],
)  # fmt: skip
def test_grid_is_found_with_a_gap_in_it_and_goes_on_as_pandas_does(freq, name):
    index = pd.date_range("2021-01-04", periods=60, freq=freq)
    spec = inferred(np.delete(seconds(index), 20))
    assert spec.name == name
    calendar = Calendar(spec)
    positions = calendar.positions(seconds(index))
    assert np.diff(positions).tolist() == [1] * 59
    assert calendar.on_grid(seconds(index)).all()
    assert (
        calendar.times(positions[-1] + np.arange(1, 6)) == seconds(pd.date_range(index[-1], periods=6, freq=freq)[1:])
    ).all()


def test_fixed_day_of_the_month_is_a_grid():
    spec = inferred(seconds(pd.date_range("2021-01-01", periods=20, freq="MS") + pd.Timedelta(days=14)))
    assert (spec.kind, spec.every, spec.day) == ("months", 1, 15)


def test_any_pattern_of_weekdays_is_a_grid():
    index = pd.date_range("2021-01-04", periods=70, freq="D")
    spec = inferred(seconds(index[index.day_of_week.isin([0, 2, 5])]))
    assert (spec.kind, spec.weekdays, spec.name) == ("weekdays", (0, 2, 5), "Mon-Wed-Sat")


def test_business_days_with_holidays_missing_are_business_days():
    index = pd.bdate_range("2021-01-04", periods=100).delete([10, 11, 50, 75])
    assert inferred(seconds(index)).name == "B"


def test_days_that_miss_a_sunday_by_chance_in_two_weeks_stay_days():
    index = pd.date_range("2021-01-04", periods=12, freq="D").delete([6])
    assert inferred(seconds(index)).name == "D"


def test_time_of_day_of_daily_values_is_kept():
    index = pd.date_range("2021-01-04 06:00", periods=30, freq="D")
    calendar = Calendar(inferred(seconds(index)))
    assert (calendar.times(calendar.positions(seconds(index))) == seconds(index)).all()


def test_steps_have_the_common_divisor():
    spec = inferred(np.array([10, 15, 20, 30, 35]), form=STEPS)
    assert (spec.kind, spec.every, spec.name) == ("steps", 5, "5")
    assert Calendar(spec).positions(np.array([15, 20])).tolist() == [3, 4]


def test_series_that_never_overlap_share_their_step():
    times = np.concatenate(
        [seconds(pd.date_range("2021-01-01", periods=20)), seconds(pd.date_range("2023-01-01", periods=20))]
    )
    assert infer_calendar(times, np.repeat([0, 1], 20), None, NAIVE).name == "D"


def test_irregular_times_are_refused_and_aggregate_is_named():
    times = seconds(pd.to_datetime(["2021-01-01 00:00", "2021-01-01 00:07", "2021-01-01 01:13", "2021-01-02 05:00"]))
    with pytest.raises(BadData, match=r"no regular grid: 2021-01-01 01:13:00 follows .*freq=.*aggregate="):
        inferred(times)


def test_a_single_time_needs_freq():
    with pytest.raises(BadData, match=r"only one time.*freq="):
        inferred(seconds(["2021-01-01"]))
    assert inferred(seconds(["2021-01-01"]), "D").name == "D"


def test_times_off_the_grid_of_freq_are_refused_with_the_first():
    times = seconds(pd.date_range("2021-01-01", periods=48, freq="30min"))
    with pytest.raises(
        BadData, match="24 of 48 times do not lie on the grid of freq='h', the first is 2021-01-01 00:30:00"
    ):
        inferred(times, "h")
    assert inferred(times, "h", aggregate="sum").name == "h"


@pytest.mark.parametrize(
    ("alias", "kind", "every"),
    [
        ("H", "seconds", 3600), ("h", "seconds", 3600), ("2h", "seconds", 7200), ("T", "seconds", 60),
        ("15T", "seconds", 900), ("15min", "seconds", 900), ("S", "seconds", 1), ("D", "seconds", 86400),
        ("W", "seconds", 604800), ("W-SUN", "seconds", 604800), ("B", "weekdays", 1), ("M", "months", 1),
        ("MS", "months", 1), ("ME", "months", 1), ("Q", "months", 3), ("QS", "months", 3), ("QE", "months", 3),
        ("QS-FEB", "months", 3), ("Y", "months", 12), ("A", "months", 12), ("YS", "months", 12), ("AS", "months", 12),
        ("YE", "months", 12), ("A-DEC", "months", 12), ("1", "steps", 1), ("5", "steps", 5),
    ],
)  # fmt: skip
def test_old_and_new_aliases_are_read(alias, kind, every):
    found = parse_frequency(alias)
    assert (found.kind, found.every) == (kind, every)


@pytest.mark.parametrize(
    "alias", ["", "0", "-1", "0D", "hourly", "W-XXX", "MSS", "D-MON", "1.5h", "2B", "h h", "99999999999999999999D"]
)
def test_other_words_are_no_frequency(alias):
    with pytest.raises(UsageError, match="not a frequency"):
        parse_frequency(alias)


def test_freq_of_another_nature_than_the_times_is_a_usage_error():
    with pytest.raises(UsageError, match="freq='D': pass a number"):
        inferred(np.arange(5), "D", STEPS)
    with pytest.raises(UsageError, match="freq='1': pass a frequency"):
        inferred(seconds(pd.date_range("2021-01-01", periods=5)), "1")


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
        sine = calendar.features(calendar.positions(seconds(index)))[:, calendar.feature_names.index("day_sin")]
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


@given(spec=st.sampled_from(GRIDS), start=st.integers(-500, 500), zone=st.sampled_from([None, "UTC", "Europe/Berlin"]))
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
    assert {name.removesuffix("_sin").removesuffix("_cos") for name in calendar.feature_names} == names


def test_features_do_not_tell_years_apart():
    calendar = Calendar(CalendarSpec(kind="months"))
    np.testing.assert_allclose(calendar.features(np.arange(12)), calendar.features(np.arange(12) + 1200), atol=1e-6)


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
        with pytest.raises(Unavailable, match=r"pip install forecast\[holidays\]"):
            Calendar(self.DAYS, None, "AT")


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
