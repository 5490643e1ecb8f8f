"""Times are read as they are meant, written back as they stood, and refused where they could mean two things."""

import logging
import re
from datetime import date
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.calendar.inference import looks_like_times
from forecast.calendar.parsing import ParsedTimes, format_times, parse_times, parse_timestamp
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.errors import BadData, UsageError
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Table


@pytest.fixture
def csv(tmp_path: Path) -> Any:
    def write(*times: str, name: str = "date") -> Table:
        path = tmp_path / "sales.csv"
        rows = [f'"{text}",{i}' for i, text in enumerate(times)]
        path.write_text("\n".join([f"{name},y", *rows, ""]))
        return read_table(str(path), TextSettings())

    return write


def parsed(table: Table, column: str = "date", **settings: Any) -> ParsedTimes:
    return parse_times(table, (column,), TimeSettings.at_fit(TableSettings.check(settings)))


def wall(times: ParsedTimes) -> list[str]:
    return [str(text) for text in times.timestamps.astype("datetime64[s]")]


@pytest.mark.parametrize(
    "texts",
    [
        ("2024-01-31", "2024-02-01"),
        ("2024/01/31", "2024/02/01"),
        ("20240131", "20240201", "20240202"),
        ("31.01.2024", "01.02.2024"),
        ("31.1.2024", "1.2.2024"),
        ("1/31/2024", "2/1/2024"),
        ("2024-01-31T13:00", "2024-01-31T14:00"),
        ("2024-01-31 13:00:00", "2024-01-31 14:00:00"),
        ("2024-01-31 13:00:00.000", "2024-01-31 14:00:00.000"),
        ("2024-01-31T13:00:00Z", "2024-01-31T14:00:00Z"),
        ("2024-01-31T13:00:00+02:00", "2024-01-31T14:00:00+02:00"),
        ("2024-01-31 13:00:00-0530", "2024-01-31 14:00:00-0530"),
        ("2024-01-31 13:00:00+02", "2024-01-31 14:00:00+02"),
        ("2024-01-31 1:30 PM", "2024-01-31 2:30 PM"),
        ("2024-01", "2024-02"),
        ("202401", "202402", "202403"),
        ("2024", "2025"),
        ("2024Q1", "2024Q2"),
        ("2024-Q1", "2024-Q2"),
        ("Q1 2024", "Q2 2024"),
        ("2024-W05", "2024-W06"),
        ("Jan 2024", "Feb 2024"),
        ("JAN-2024", "FEB-2024"),
        ("January 2024", "February 2024"),
        ("31-Jan-2024", "01-Feb-2024"),
        ("Jan 31, 2024", "Feb 1, 2024"),
    ],
    ids=lambda texts: texts[0],
)
def test_times_are_written_back_as_they_stood(csv, texts):
    times = parsed(csv(*texts))
    assert times.timestamps[1] > times.timestamps[0]
    assert [str(text) for text in format_times(times.timestamps, times.format).index()] == list(
        texts
    )


def test_the_same_instant_is_read_from_every_way_to_write_it(csv):
    expected = ["2024-01-31T00:00:00", "2024-02-01T00:00:00"]
    for texts in (
        ("2024-01-31", "2024-02-01"),
        ("31/1/2024", "1/2/2024"),
        ("Jan 31, 2024", "Feb 1, 2024"),
    ):
        assert wall(parsed(csv(*texts))) == expected


def test_iso_week_is_its_monday(csv):
    assert wall(parsed(csv("2020-W53", "2021-W01"))) == [
        "2020-12-28T00:00:00",
        "2021-01-04T00:00:00",
    ]


def test_week_53_of_a_year_of_52_weeks_is_refused(csv):
    with pytest.raises(
        BadData, match=r"sales\.csv line 3, column 'date': '2021-W53' does not exist"
    ):
        parsed(csv("2021-W52", "2021-W53"))


@pytest.mark.parametrize(
    "wrong", ["2024-02-30", "2023-02-29", "2024-13-01", "2024-00-10", "0000-01-01"]
)
def test_date_that_does_not_exist_is_refused_with_its_line(csv, wrong):
    with pytest.raises(
        BadData, match=rf"sales\.csv line 3, column 'date': '{wrong}' does not exist"
    ):
        parsed(csv("2024-01-31", wrong))


@pytest.mark.parametrize("wrong", ["2024-01-31 24:00", "2024-01-31 12:60"])
def test_time_of_day_that_does_not_exist_is_refused(csv, wrong):
    with pytest.raises(BadData, match="does not exist"):
        parsed(csv("2024-01-31 23:00", wrong))


def test_blank_time_is_refused_with_its_line(csv):
    with pytest.raises(BadData, match=r"line 3, column 'date': the time is blank"):
        parsed(csv("2024-01-31", "", "2024-02-02"))


def test_blanks_around_a_time_do_not_matter(csv):
    assert wall(parsed(csv(" 2024-01-31", "2024-02-01 "))) == [
        "2024-01-31T00:00:00",
        "2024-02-01T00:00:00",
    ]


def test_time_of_day_without_a_date_is_refused(csv):
    with pytest.raises(
        BadData, match=r"line 2, column 'date': '13:45' is a time of day without a date"
    ):
        parsed(csv("13:45", "13:46"))


def test_text_that_is_no_time_is_refused_with_its_line(csv):
    with pytest.raises(
        BadData, match=r"line 3, column 'date': 'tomorrow' is not written as '2024-01-31' is"
    ):
        parsed(csv("2024-01-31", "tomorrow"))


def test_two_ways_to_write_dates_in_one_column_are_refused(csv):
    with pytest.raises(BadData, match=r"line 4, column 'date': '02/02/2024' is not written as"):
        parsed(csv("2024-01-31", "2024-02-01", "02/02/2024"))


class TestDayOrMonthFirst:
    def test_date_that_no_row_decides_is_refused_and_both_formats_are_named(self, csv):
        with pytest.raises(
            BadData, match=r"'03/04/2024' can be.*date_format='%d/%m/%Y' or date_format='%m/%d/%Y'"
        ):
            parsed(csv("03/04/2024", "04/04/2024"))

    def test_a_day_above_12_decides_for_all_rows(self, csv):
        assert wall(parsed(csv("03/04/2024", "13/04/2024")))[0] == "2024-04-03T00:00:00"
        assert wall(parsed(csv("03/04/2024", "04/13/2024")))[0] == "2024-03-04T00:00:00"

    def test_rows_that_contradict_each_other_are_refused(self, csv):
        with pytest.raises(BadData, match=r"line 3, .*'04/13/2024' has the month first"):
            parsed(csv("13/04/2024", "04/13/2024"))

    def test_date_format_decides(self, csv):
        times = parsed(csv("03/04/2024", "04/04/2024"), date_format="%d/%m/%Y")
        assert wall(times) == ["2024-04-03T00:00:00", "2024-04-04T00:00:00"]

    def test_a_row_that_does_not_fit_the_date_format_is_refused(self, csv):
        with pytest.raises(
            BadData, match=r"line 3, .*'2024-04-04' does not fit date_format='%d/%m/%Y'"
        ):
            parsed(csv("03/04/2024", "2024-04-04"), date_format="%d/%m/%Y")

    @pytest.mark.parametrize(
        ("date_format", "why"),
        [
            ("%m/%d", "the year is missing"),
            ("%d %Y", "the month is missing"),
            ("%Y %H:%M", "the day is missing"),
            ("%Y/%Y", "'%Y' comes twice"),
            ("", "the year is missing"),
        ],
    )
    def test_date_format_that_is_no_date_is_a_usage_error(self, csv, date_format, why):
        with pytest.raises(UsageError, match=why):
            parsed(csv("03/04", "04/04"), date_format=date_format)

    @pytest.mark.parametrize("directive", ["%Q", "%2z", "%^z", "%-f", "%:Y", "%3Y", "%-b", "%0f"])
    def test_unknown_directive_is_a_usage_error(self, csv, directive):
        with pytest.raises(UsageError, match=re.escape(f"'{directive}' is not a directive")):
            parsed(csv("03/04/2024"), date_format=f"%d/%m/{directive}")


class TestZones:
    def test_naive_beside_aware_is_refused_with_its_line(self, csv):
        with pytest.raises(BadData, match=r"line 3, .*all with a zone or none"):
            parsed(csv("2024-01-31T13:00:00Z", "2024-01-31T14:00:00"))

    def test_mixed_offsets_are_refused_and_timezone_is_named(self, csv):
        with pytest.raises(BadData, match=r"line 3, .*another offset from UTC.*timezone="):
            parsed(csv("2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00"))

    def test_offsets_that_follow_the_timezone_are_read_and_written_back(self, csv):
        texts = ("2024-03-31T01:00:00+01:00", "2024-03-31T03:00:00+02:00")
        times = parsed(csv(*texts), timezone="Europe/Berlin")
        assert np.diff(times.timestamps).tolist() == [3600]
        assert list(format_times(times.timestamps, times.format).index()) == list(texts)

    def test_offsets_that_do_not_follow_the_timezone_are_converted_to_it(self, csv):
        times = parsed(
            csv("2024-01-31T01:00:00+03:00", "2024-01-31T03:00:00+02:00"), timezone="Europe/Berlin"
        )
        written = ["2024-01-30T23:00:00+01:00", "2024-01-31T02:00:00+01:00"]
        assert list(format_times(times.timestamps, times.format).index()) == written

    def test_timezone_beside_one_offset_is_not_used_and_that_is_said(self, csv, caplog):
        times = parsed(
            csv("2024-01-31T01:00:00+05:00", "2024-01-31T02:00:00+05:00"), timezone="Europe/Berlin"
        )
        assert times.format.zone == "+05:00"
        assert "timezone='Europe/Berlin' is not used" in caplog.text

    @pytest.mark.parametrize("utc", ["Z", " UTC", "+00:00", "+0000", "+00", " +00:00"])
    def test_times_of_utc_keep_their_form_and_take_the_days_of_the_timezone(self, csv, utc, caplog):
        texts = (
            f"2024-03-30 23:00:00{utc}",
            f"2024-03-31 22:00:00{utc}",
            f"2024-04-01 22:00:00{utc}",
        )
        times = parsed(csv(*texts), timezone="Europe/Berlin")
        assert times.format.zone == "Europe/Berlin"
        assert np.diff(times.timestamps).tolist() == [23 * 3600, 24 * 3600]
        assert list(format_times(times.timestamps, times.format).index()) == list(texts)
        assert caplog.text == ""

    def test_z_is_utc(self, csv):
        assert (
            wall(parsed(csv("2024-01-31T13:00:00Z", "2024-01-31T14:00:00Z")))[0]
            == "2024-01-31T13:00:00"
        )

    def test_an_offset_is_taken_off(self, csv):
        times = parsed(csv("2024-01-31T13:00:00+02:00", "2024-01-31T14:00:00+02:00"))
        assert (wall(times)[0], times.format.zone) == ("2024-01-31T11:00:00", "+02:00")

    def test_unknown_zone_is_a_usage_error_with_the_nearest(self, csv):
        with pytest.raises(UsageError, match="did you mean 'Europe/Berlin'"):
            parsed(csv("2024-01-31 13:00"), timezone="Europe/Berln")


class TestClockChanges:
    @pytest.mark.parametrize(
        "hour", ["2024-10-27 02:30", "2024-03-31 02:30"], ids=["twice", "not at all"]
    )
    def test_unclear_hour_is_refused_and_dst_is_named(self, csv, hour):
        with pytest.raises(BadData, match=rf"line 3, .*'{hour}'.*dst='earlier' or dst='later'"):
            parsed(csv(f"{hour[:10]} 00:30", hour), timezone="Europe/Berlin")

    def test_dst_says_which_of_two_hours_is_meant(self, csv):
        table = csv("2024-10-27 01:30", "2024-10-27 02:30", "2024-10-27 03:30")
        steps = {
            choice: np.diff(parsed(table, timezone="Europe/Berlin", dst=choice).timestamps).tolist()
            for choice in ("earlier", "later")
        }
        assert steps == {"earlier": [3600, 7200], "later": [7200, 3600]}

    def test_without_a_zone_every_hour_is_taken_as_it_is(self, csv):
        assert np.diff(parsed(csv("2024-10-27 01:30", "2024-10-27 02:30")).timestamps).tolist() == [
            3600
        ]

    def test_a_date_without_a_clock_has_no_zone(self, csv):
        assert (
            parsed(csv("2024-03-31", "2024-04-01"), timezone="America/Santiago").format.zone is None
        )


class TestNumbers:
    @pytest.mark.parametrize(
        ("unit", "size"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)]
    )
    def test_epoch_numbers_are_read_by_their_size_and_written_back(self, csv, unit, size):
        texts = [str((1_704_067_200 + 3600 * i) * size) for i in range(3)]
        times = parsed(csv(*texts, name="timestamp"), "timestamp")
        assert (times.format.kind, times.format.unit) == ("epoch", unit)
        assert wall(times)[:2] == ["2024-01-01T00:00:00", "2024-01-01T01:00:00"]
        assert [
            str(number) for number in format_times(times.timestamps, times.format).index()
        ] == texts

    def test_epoch_numbers_under_a_name_that_says_nothing_are_no_times(self, csv):
        assert not looks_like_times(csv("1704067200", "1704067201", name="amount"), "amount")

    def test_yyyymmdd_is_a_date(self, csv):
        assert wall(parsed(csv("20240131", "20240201", "20240202")))[1] == "2024-02-01T00:00:00"

    def test_yyyymmdd_numbers_of_a_frame_come_back_as_numbers(self):
        table = table_from_frame(
            pd.DataFrame({"date": [20240131, 20240201, 20240202], "y": [1.0, 2.0, 3.0]})
        )
        times = parsed(table)
        assert wall(times)[1] == "2024-02-01T00:00:00"
        assert format_times(times.timestamps, times.format).index().tolist() == [
            20240131,
            20240201,
            20240202,
        ]

    @pytest.mark.parametrize("first", [45_000, 60_000_000])
    def test_number_that_is_not_certain_asks_for_the_format(self, csv, first):
        with pytest.raises(BadData, match=r"line 2, column 'date': .*freq='1'"):
            parsed(csv(*(str(first + i) for i in range(3))))

    def test_freq_1_counts_steps(self, csv):
        times = parsed(csv("45000", "45001"), freq="1")
        assert (times.format.kind, times.timestamps.tolist()) == ("integer", [45_000, 45_001])

    def test_column_called_step_counts(self, csv):
        times = parsed(csv("1", "2", "4", name="step"), "step")
        assert (times.format.kind, times.timestamps.tolist()) == ("integer", [1, 2, 4])
        assert format_times(times.timestamps, times.format).index().tolist() == [1, 2, 4]

    def test_years_are_dates(self, csv):
        assert wall(parsed(csv("1999", "2000", name="year"), "year"))[1] == "2000-01-01T00:00:00"

    def test_a_step_that_is_no_number_is_refused(self, csv):
        with pytest.raises(BadData, match="line 4, column 'step': 'x' is not a whole number"):
            parsed(csv("1", "2", "x", name="step"), "step")

    def test_number_too_large_for_any_time_is_refused(self, csv):
        with pytest.raises(BadData, match="line 2, column 'date'"):
            parsed(csv("9999999999999999999", "9999999999999999998"))


class TestTypedColumns:
    def test_datetimes_come_back_as_datetimes(self):
        index = pd.date_range("2024-01-31", periods=3, freq="D")
        times = parsed(table_from_frame(pd.DataFrame({"date": index, "y": 1.0})))
        assert times.format.kind == "datetime"
        assert (format_times(times.timestamps, times.format).index() == index).all()

    def test_datetimes_with_a_zone_keep_it_through_the_clock_change(self):
        index = pd.date_range("2024-03-30 22:00", periods=8, freq="h", tz="Europe/Berlin")
        times = parsed(table_from_frame(pd.DataFrame({"date": index, "y": 1.0})))
        written = format_times(times.timestamps, times.format).index()
        assert times.format.zone == "Europe/Berlin"
        assert (written == index).all()
        assert str(written.tz) == "Europe/Berlin"

    def test_periods_come_back_as_periods(self):
        index = pd.period_range("2024-01", periods=3, freq="M")
        times = parsed(table_from_frame(pd.DataFrame({"date": index, "y": 1.0})))
        assert wall(times)[1] == "2024-02-01T00:00:00"
        assert (format_times(times.timestamps, times.format).index() == index).all()

    def test_python_dates_are_times(self):
        table = table_from_frame(
            pd.DataFrame({"date": [date(2024, 1, 31), date(2024, 2, 1)], "y": [1.0, 2.0]})
        )
        assert looks_like_times(table, "date")
        assert wall(parsed(table)) == ["2024-01-31T00:00:00", "2024-02-01T00:00:00"]

    def test_categorical_texts_come_back_as_texts(self):
        table = table_from_frame(
            pd.DataFrame({"date": pd.Categorical(["2024-01-31", "2024-02-01"]), "y": [1.0, 2.0]})
        )
        times = parsed(table)
        assert list(format_times(times.timestamps, times.format).index()) == [
            "2024-01-31",
            "2024-02-01",
        ]

    def test_missing_datetime_is_refused_with_its_row(self):
        table = table_from_frame(
            pd.DataFrame({"date": pd.to_datetime(["2024-01-31", None]), "y": [1.0, 2.0]})
        )
        with pytest.raises(BadData, match="DataFrame row 2, column 'date': the time is blank"):
            parsed(table)

    def test_clock_change_hour_of_naive_datetimes_is_refused(self):
        index = pd.to_datetime(["2024-10-27 01:30", "2024-10-27 02:30"])
        with pytest.raises(BadData, match=r"row 2, .*dst="):
            parsed(
                table_from_frame(pd.DataFrame({"date": index, "y": 1.0})), timezone="Europe/Berlin"
            )


def test_fractions_of_a_second_are_refused_unless_aggregated(csv):
    table = csv("2024-01-31 13:00:00.25", "2024-01-31 13:00:00.50")
    with pytest.raises(BadData, match="finer than a second"):
        parsed(table)
    assert np.diff(parsed(table, freq="s", aggregate="mean").timestamps).tolist() == [0]


def test_times_after_the_year_9999_are_not_written():
    with pytest.raises(BadData, match="after the year 9999"):
        format_times(np.array([253_402_300_800]), TimeFormat(kind="text", pattern="%Y-%m-%d"))


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        (("2024-01-31", "2024-02-01"), True),
        (("2024-01-31", "shop"), False),
        (("shop", "office"), False),
        (("1.5", "2.5"), False),
        (("12", "13"), False),
        (("2024-01-31", ""), False),
        (("13:45", "13:46"), False),
    ],
)
def test_only_columns_of_times_look_like_times(csv, cells, answer):
    assert looks_like_times(csv(*cells, name="column"), "column") is answer


class TestArguments:
    def test_origin_is_read_on_the_clock_of_the_table(self):
        text = TimeFormat(kind="text", pattern="%Y-%m-%d %H:%M", zone="Europe/Berlin")
        expected = int(pd.Timestamp("2024-07-01 00:00", tz="Europe/Berlin").timestamp())
        assert parse_timestamp("2024-07-01", text) == expected
        assert parse_timestamp("2024-07-01T00:00:00+02:00", text) == expected

    def test_origin_is_read_in_the_format_of_the_table_first(self):
        text = TimeFormat(kind="text", pattern="%d/%m/%Y")
        assert np.datetime64(parse_timestamp("03/04/2024", text), "s") == np.datetime64(
            "2024-04-03"
        )

    def test_origin_that_could_mean_two_days_is_refused(self):
        with pytest.raises(UsageError, match="origin='03/04/2024': can mean two times"):
            parse_timestamp("03/04/2024", TimeFormat(kind="text", pattern="%Y-%m-%d"))

    @pytest.mark.parametrize("text", ["soon", "2024-02-30", ""])
    def test_origin_that_is_no_time_is_refused(self, text):
        with pytest.raises(UsageError, match="not a time"):
            parse_timestamp(text, TimeFormat(kind="text", pattern="%Y-%m-%d"))

    def test_step_must_be_a_whole_number(self):
        with pytest.raises(UsageError, match="not a whole number"):
            parse_timestamp("2024-01-31", TimeFormat(kind="integer"))


PATTERNS = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%:z",
    "%Y-%m-%dT%H:%M:%SZ",
    "%d.%m.%Y %H:%M:%S",
    "%d %b %Y %I:%M:%S %p",
    "%Y%m%d %H:%M:%S",
)


@given(
    seconds=st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=20),
    pattern=st.sampled_from(PATTERNS),
    zone=st.sampled_from(["UTC", "+05:30", "-08:00"]),
)
def test_any_instant_survives_being_written_and_read(seconds, pattern, zone):
    timestamps = np.array(seconds, np.int64)
    aware = "z" in pattern
    texts = format_times(
        timestamps, TimeFormat(kind="text", pattern=pattern, zone=zone if aware else None)
    ).index()
    table = Table("sales.csv", pd.DataFrame({"date": pd.Series(list(texts), dtype="str")}), True)
    date_format = pattern if "%:z" not in pattern else None
    assert parsed(table, date_format=date_format).timestamps.tolist() == seconds


@given(
    st.lists(
        st.integers(1_700_000_000, 1_800_000_000).map(lambda hour: hour // 3600 * 3600),
        min_size=1,
        max_size=30,
    )
)
def test_local_times_with_offsets_survive_being_written_and_read(seconds):
    berlin = TimeFormat(kind="text", pattern="%Y-%m-%dT%H:%M:%S%:z", zone="Europe/Berlin")
    texts = format_times(np.array(seconds, np.int64), berlin).index()
    table = Table("sales.csv", pd.DataFrame({"date": pd.Series(list(texts), dtype="str")}), True)
    assert parsed(table, timezone="Europe/Berlin").timestamps.tolist() == seconds


def test_a_million_times_are_read_at_the_cost_of_their_different_values():
    index = pd.date_range("2024-01-01", periods=1000, freq="h").strftime("%Y-%m-%d %H:%M").to_list()
    table = Table("sales.csv", pd.DataFrame({"date": pd.Series(index * 100, dtype="str")}), True)
    assert len(np.unique(parsed(table).timestamps)) == 1000


@pytest.fixture(autouse=True)
def _listen(caplog):
    caplog.set_level(logging.WARNING, "forecast")


class TestYearsOfTwoDigits:
    FIT = split("fit past.csv --target units --known promo --horizon 5 --model regression")

    def days(self, first: str, periods: int) -> pd.DataFrame:
        days = pd.date_range(first, periods=periods)
        promo = np.arange(periods) % 5 == 0
        return pd.DataFrame(
            {
                "day": days.strftime("%d.%m.%y"),
                "units": 10.0 + 5 * promo,
                "promo": promo.astype(int),
            }
        )

    @pytest.mark.parametrize("flags", [(), ("--date-format", "%d.%m.%y")])
    def test_a_future_of_other_years_is_of_the_century_of_the_history(
        self, forecast: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        self.days("2029-10-01", 92).to_csv("past.csv", index=False)
        self.days("2030-01-01", 5).drop(columns="units").to_csv("future.csv", index=False)
        assert forecast(*self.FIT, *flags).code == 0
        found = forecast("predict", "--future", "future.csv")
        assert found.code == 0, found.err
        assert found.frame["day"].tolist() == [f"0{day}.01.30" for day in range(1, 6)]

    def test_later_tables_are_of_the_century_of_the_fit(self, csv: Any) -> None:
        history = parse_times(csv("31.12.27", "31.12.28", "31.12.29"), ("date",), TimeSettings())
        settings = TimeSettings(fitted=history.format, pivot=history.format.pivot)
        for year in (1990, 2027, 2030, 2049, 2070):
            later = parse_times(csv(f"31.12.{year % 100:02d}"), ("date",), settings)
            assert str(later.timestamps.astype("datetime64[s]")[0]) == f"{year}-12-31T00:00:00"
            assert parse_timestamp(f"31.12.{year % 100:02d}", history.format) == later.timestamps[0]
