"""One table gives one panel: whatever its shape and order, with gaps masked and everything repaired said."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import BadData, Unavailable, UsageError
from forecast.panel import build
from forecast.panel.build import add_future
from forecast.panel.comparing import require_known, set_status, warn_status
from forecast.panel.infer import read, read_as
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, build_calendar, format_positions
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Table


@pytest.fixture
def csv(tmp_path: Path) -> Any:
    def write(text: str, name: str = "sales.csv") -> Table:
        path = tmp_path / name
        path.write_text(text)
        return read_table(str(path), TextSettings())

    return write


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "forecast")
    return caplog


def built(table: Table, ahead: int = 0, **settings: Any) -> tuple[Schema, Panel]:
    schema = read(table, TableSettings.check(settings)).schema
    return schema, read_as(table, schema, horizon=ahead).panel


def build_from(frame: pd.DataFrame, ids: tuple[str, ...]) -> Panel:
    return built(table_from_frame(frame), id=ids)[1]


def lines(*rows: str) -> str:
    return "\n".join([*rows, ""])


def days(values: list[str], start: str = "2024-01-01", freq: str = "D") -> list[str]:
    """Lines of a table with a date and a value."""
    index = pd.date_range(start, periods=len(values), freq=freq)
    return [f"{day.date()},{value}" for day, value in zip(index, values, strict=True)]


def hours(count: int) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=count, freq="h")


def past(panel: Panel, series: int = 0) -> list[float | None]:
    """The past of one series, None where it was not observed."""
    own = panel.slots(series)
    return [
        float(v) if seen else None
        for v, seen in zip(panel.values[own], panel.observed[own], strict=True)
    ]


def same(one: Panel, other: Panel, order: bool = True) -> bool:
    arrays = (
        "offsets",
        "starts",
        "values",
        "observed",
        "known",
        "past",
        "static",
        *(["order"] if order else []),
    )
    equal = all(
        np.array_equal(getattr(one, a), getattr(other, a), equal_nan=a != "observed")
        for a in arrays
    )
    return equal and one.ids == other.ids and one.status == other.status


class TestShape:
    def test_wide_and_long_form_of_a_table_are_the_same_panel(self, csv):
        wide = csv(
            lines(
                "date,b,a", "2024-01-01,1,10", "2024-01-02,2,", "2024-01-03,4,30", "2024-01-04,3,20"
            )
        )
        long = csv(lines("date,shop,y", *(f"2024-01-0{d},{s},{v}" for d, s, v in (
            (1, "b", 1), (1, "a", 10), (2, "b", 2), (3, "b", 4), (3, "a", 30), (4, "b", 3), (4, "a", 20)
        ))), "long.csv")  # fmt: skip
        (wide_schema, from_wide), (long_schema, from_long) = built(wide), built(long)
        assert (wide_schema.layout, long_schema.layout) == ("wide", "long")
        assert same(from_wide, from_long)
        assert wide_schema.calendar == long_schema.calendar

    def test_ids_ascend_and_the_order_of_the_input_is_kept(self, csv):
        _, panel = built(csv(lines("date,zoo,arc,mid", *days(["1,2,3", "2,3,4", "3,5,4"]))))
        assert panel.ids == (("arc",), ("mid",), ("zoo",))
        assert panel.order.tolist() == [2, 0, 1]

    @pytest.mark.parametrize(
        "ids", [("NA", "null"), ("007", "7"), ("12345678901234567", "12345678901234568")]
    )
    def test_ids_stay_the_strings_that_they_are(self, csv, ids):
        text = lines(
            "date,item,y",
            *(
                f"{row},{v}"
                for v, row in enumerate(f"2024-01-{d:02d},{i}" for d in range(1, 15) for i in ids)
            ),
        )
        _, panel = built(csv(text))
        assert panel.ids == tuple((one,) for one in sorted(ids))

    def test_ids_with_commas_and_newlines_stay_whole(self, csv):
        rows = [
            f'2024-01-{d:02d},"{one}",{d}' for d in range(1, 15) for one in ("a,b", "c\nd", "é")
        ]
        _, panel = built(csv(lines("date,item,y", *rows)))
        assert panel.ids == (("a,b",), ("c\nd",), ("é",))

    def test_series_of_several_id_columns_are_told_apart(self, csv):
        rows = [f"2024-01-{d:02d},{s},{i},{d}" for d in range(1, 15) for s in "ab" for i in "xy"]
        schema, panel = built(csv(lines("date,shop,item,y", *rows)))
        assert schema.ids == ("shop", "item")
        assert panel.ids == (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"))

    def test_rows_without_an_id_are_a_series_and_that_is_said(self, csv, said):
        rows = [f"2024-01-{d:02d},{one},{d}" for d in range(1, 15) for one in ("a", "")]
        assert built(csv(lines("date,item,y", *rows)))[1].ids == (("",), ("a",))
        assert "14 rows have no id in item" in said.text

    def test_whole_float_and_integer_ids_of_frames_are_the_same(self):
        frame = pd.DataFrame(
            {"date": [*pd.date_range("2024-01-01", periods=9)] * 2, "shop": [3] * 9 + [20] * 9}
        )
        frame = frame.assign(y=np.arange(18) % 5)
        whole = build_from(frame, ("shop",))
        assert whole.ids == (("20",), ("3",))
        assert same(build_from(frame.astype({"shop": "float64"}), ("shop",)), whole)

    def test_minus_zero_is_zero(self, csv):
        _, panel = built(csv(lines("date,y", *days(["-0.0", "1", "2"]))))
        assert not np.signbit(panel.values).any()


class TestOrigin:
    def test_ragged_series_start_on_their_own_and_end_together(self, csv):
        _, panel = built(
            csv(lines("date,early,late", *days(["1,", "2,", "3,7", "4,8", ",9", ",8"]))), ahead=2
        )
        assert panel.origins.tolist() == [5 + panel.starts[0]] * 2
        assert (past(panel, 0), past(panel, 1)) == ([1, 2, 3, 4, None, None], [7, 8, 9, 8])
        assert np.diff(panel.offsets).tolist() == [8, 6]
        assert not panel.observed[panel.offsets[1] - 2 : panel.offsets[1]].any()

    def test_a_gap_at_the_end_of_all_series_is_future(self, csv):
        _, panel = built(csv(lines("date,y", *days(["1", "2", "3", "", ""]))))
        assert past(panel) == [1, 2, 3]

    def test_origin_cuts_what_is_later(self, csv):
        table = csv(lines("date,a,b", *days(["1,5", "2,6", "3,7", "4,8"])))
        schema, _ = built(table)
        panel = read_as(table, schema, horizon=1, origin="2024-01-02").panel
        assert (past(panel, 0), past(panel, 1)) == ([1, 2], [5, 6])

    def test_series_that_starts_after_the_origin_is_missing(self, csv):
        table = csv(lines("date,a,b", *days(["1,", "2,", "3,7", "4,8"])))
        schema, _ = built(table)
        assert read_as(table, schema, horizon=1, origin="2024-01-02").panel.status == (
            "ok",
            "missing",
        )

    def test_origin_before_all_values_is_a_usage_error(self, csv):
        table = csv(lines("date,y", *days(["1", "2", "3"])))
        schema, _ = built(table)
        with pytest.raises(
            UsageError, match=r"origin='2023-12-31': lies before all values.*start at 2024-01-01"
        ):
            read_as(table, schema, horizon=1, origin="2023-12-31")

    def test_times_of_the_future_go_on_from_the_origin(self, csv):
        schema, panel = built(csv(lines("date,y", *days(["1", "2", "3"], start="2024-02-27"))))
        times = format_positions(schema, panel.origins[0] + 1 + np.arange(3)).index()
        assert list(times) == ["2024-03-01", "2024-03-02", "2024-03-03"]


class TestGaps:
    def test_gap_is_reported_with_its_date(self, csv, said):
        _, panel = built(
            csv(lines("date,y", "2024-01-01,1", "2024-01-02,2", "2024-01-03,4", "2024-01-05,3"))
        )
        assert past(panel) == [1, 2, 4, None, 3]
        assert (
            "sales.csv: 1 of 5 values are missing, in 1 of 1 series (the first: y at 2024-01-04)"
            in said.text
        )

    def test_blank_values_are_masked_and_counted(self, csv, said):
        _, panel = built(csv(lines("date,a,b", *days(["1,1", ",2", "3,", "4,", "5,3"]))))
        assert (past(panel, 0), past(panel, 1)) == ([1, None, 3, 4, 5], [1, 2, None, None, 3])
        assert (
            "3 of 10 values are missing, in 2 of 2 series (the first: a at 2024-01-02)" in said.text
        )

    def test_weekends_of_a_business_day_table_are_no_gaps(self, csv, said):
        schema, panel = built(
            csv(lines("date,y", *days([str(i % 7) for i in range(40)], freq="B")))
        )
        assert schema.calendar.name == "B"
        assert panel.observed.all()
        assert said.text == ""

    def test_holiday_of_a_business_day_table_is_a_gap(self, csv, said):
        rows = days([str(i % 7) for i in range(40)], freq="B")
        _, panel = built(csv(lines("date,y", *rows[:20], *rows[21:])))
        assert past(panel)[20] is None
        assert "1 of 40 values are missing" in said.text

    def test_unsorted_rows_are_sorted_and_that_is_said(self, csv, said):
        rows = days(["1", "2", "3", "4"])
        _, panel = built(csv(lines("date,y", *reversed(rows))))
        assert past(panel) == [1, 2, 3, 4]
        assert "sales.csv: sorted by time; 3 rows came after a later one" in said.text


class TestDuplicates:
    TEXT = lines("date,y", "2024-01-01,1", "2024-01-02,2", "2024-01-03,4", "2024-01-03,8")

    def test_duplicate_is_refused_with_its_line(self, csv):
        with pytest.raises(
            BadData,
            match=r"sales\.csv line 5, column 'date': 2024-01-03 comes twice.*on_duplicate=",
        ):
            built(csv(self.TEXT))

    @pytest.mark.parametrize(
        ("how", "value"), [("first", 4), ("last", 8), ("mean", 6), ("sum", 12)]
    )
    def test_on_duplicate_brings_rows_to_one(self, csv, said, how, value):
        _, panel = built(csv(self.TEXT), on_duplicate=how)
        assert past(panel) == [1, 2, value]
        assert f"times that repeat: 1 row; settled by on_duplicate='{how}'" in said.text

    def test_duplicate_at_predict_is_refused_with_its_series(self, csv):
        rows = [f"2024-01-{d:02d},{s},{d}" for d in range(1, 15) for s in "ab"]
        schema, _ = built(csv(lines("date,shop,y", *rows)))
        with pytest.raises(
            BadData,
            match=r"line 30, column 'date': 2024-01-14 comes twice for shop 'b', first in line 29 \(1 row like",
        ):
            read_as(csv(lines("date,shop,y", *rows, rows[-1])), schema, horizon=0)


class TestStatus:
    def test_constant_series_is_marked_and_said(self, csv, said):
        schema, panel = built(csv(lines("date,a,b", *days(["1,5", "2,5", "3,5"]))))
        assert panel.status == ("ok", "constant")
        warn_status(set_status(panel, schema, 1), schema, "sales.csv")
        assert "sales.csv: 1 series never change: b" in said.text

    def test_series_without_values_is_missing_and_named(self, csv, said):
        schema, panel = built(csv(lines("date,a,b", *days(["1,", "2,", "3,"]))))
        assert panel.status == ("ok", "missing")
        warn_status(set_status(panel, schema, 1), schema, "sales.csv")
        assert (
            "1 series miss more than 50% of their values (max_missing=) and get no forecast: b"
            in said.text
        )

    def test_share_of_missing_values_counts_against_max_missing(self, csv):
        table = csv(lines("date,a,b", *days(["1,1", "2,", "3,", "2,", "1,2"])))
        assert built(table)[1].status == ("ok", "missing")
        assert built(table, max_missing=0.6)[1].status == ("ok", "ok")

    def test_no_series_left_is_refused(self, csv):
        schema, panel = built(csv(lines("date,a", *days(["1", "", "", "", "1"]))))
        with pytest.raises(BadData, match="no series is left to forecast"):
            warn_status(set_status(panel, schema, 1), schema, "sales.csv")

    def test_table_without_any_value_is_refused(self, csv):
        with pytest.raises(
            BadData, match=r"no column of numbers to forecast|no series has a value"
        ):
            built(csv(lines("date,a,b", *days([",", ",", ","]))))

    def test_series_that_ended_before_a_lookback_gets_no_forecast(self, csv, said):
        rows = [f"{i % 5},{i % 3 if i < 10 else ''},{i % 3 if i > 17 else ''}" for i in range(20)]
        schema, panel = built(csv(lines("date,a,b,c", *days(rows))))
        judged = set_status(panel, schema, 5)
        warn_status(judged, schema, "sales.csv")
        assert judged.status == ("ok", "ended", "short")
        assert (
            "1 series ended more than a lookback before the last time and get no forecast: b"
            in said.text
        )
        assert set_status(panel, schema, 10).status[1] == "ok"

    def test_huge_grid_is_refused_before_memory_is_taken(self, csv, monkeypatch):
        monkeypatch.setattr(build, "MAX_PANEL_NUMBERS", 10)
        with pytest.raises(
            Unavailable, match=r"1 series on the grid D .* need 22 steps.*freq= with aggregate="
        ):
            built(csv(lines("date,y", *days(list("12345678")))))


class TestKnown:
    def test_rows_after_the_origin_with_blank_targets_give_the_future(self, csv):
        rows = days(["1,0", "2,1", "3,0", ",1", ",0"])
        schema, panel = built(csv(lines("date,y,promo", *rows)), ahead=2, known=("promo",))
        assert panel.known[:, 0].tolist() == [0, 1, 0, 1, 0]
        assert past(panel) == [1, 2, 3]
        require_known(panel, schema, 2)

    def test_each_series_has_its_own_future(self, csv):
        rows = [
            f"2024-01-{d:02d},{s},{d if d < 13 else ''},{p + d}"
            for d in range(1, 15)
            for s, p in (("a", 0), ("b", 50))
        ]
        _, panel = built(csv(lines("date,shop,y,price", *rows)), ahead=2, known=("price",))
        assert panel.known[-2:, 0].tolist() == [63, 64]
        assert panel.known[12:14, 0].tolist() == [13, 14]

    def test_missing_values_are_refused_with_their_dates(self, csv):
        rows = days(["1,0", "2,1", "3,0", ",1"])
        schema, panel = built(csv(lines("date,y,promo", *rows)), ahead=3, known=("promo",))
        with pytest.raises(
            BadData,
            match=r"column 'promo' .* 2 of the 3 steps.*: 2024-01-05, 2024-01-06; .*future=",
        ):
            require_known(panel, schema, 3)
        require_known(panel, schema, 1)

    def test_future_table_holds_for_all_series_without_ids(self, csv):
        table = csv(lines("date,a,b,promo", *days(["1,2,0", "2,1,1", "3,4,0"])))
        schema = read(table, TableSettings(known=("promo",))).schema
        future = csv(lines("promo,date", "1,2024-01-04", "0,2024-01-05"), "future.csv")
        panel = read_as(table, schema, horizon=2, future=future).panel
        assert panel.known[:, 0].tolist() == [0, 1, 0, 1, 0] * 2
        assert same(add_future(read_as(table, schema, horizon=2).panel, future, schema), panel)

    def test_future_table_of_a_long_table_is_read_by_id(self, csv, said):
        table = csv(
            lines(
                "date,shop,y,price",
                *(f"2024-01-{d:02d},{s},{d},1" for d in range(1, 15) for s in "ab"),
            )
        )
        schema = read(table, TableSettings(known=("price",))).schema
        future = csv(
            lines("shop,date,price", "b,2024-01-15,8", "a,2024-01-15,7", "c,2024-01-15,9"),
            "future.csv",
        )
        panel = read_as(table, schema, horizon=1, future=future).panel
        assert panel.known[[14, 29], 0].tolist() == [7, 8]
        assert "future.csv: 1 series are not in the table to forecast" in said.text

    def test_a_blank_cell_of_the_future_contradicts_no_other_row(self, csv):
        table = csv(lines("date,y,promo,price", *days(["1,0,5", "2,1,5", "3,0,5"])))
        schema = read(table, TableSettings(target=("y",), known=("promo", "price"))).schema
        future = csv(lines("date,promo,price", "2024-01-04,1,", "2024-01-04,,7"), "future.csv")
        assert read_as(table, schema, horizon=1, future=future).panel.known[3].tolist() == [1, 7]
        future = csv(lines("date,promo,price", "2024-01-04,1,7", "2024-01-04,,8"), "future.csv")
        with pytest.raises(
            BadData,
            match=r"future\.csv line 3, column 'price': line 2 has another value .*on_duplicate=",
        ):
            read_as(table, schema, horizon=1, future=future)

    def test_future_table_without_a_known_column_is_refused(self, csv):
        table = csv(lines("date,y,promo", *days(["1,0", "2,1", "3,0"])))
        schema = read(table, TableSettings(known=("promo",))).schema
        with pytest.raises(BadData, match=r"future\.csv: no column 'promo'"):
            read_as(
                table,
                schema,
                horizon=1,
                future=csv(lines("date,x", "2024-01-04,1", "2024-01-05,1"), "future.csv"),
            )

    def test_values_after_a_given_origin_are_known_and_not_observed(self, csv):
        table = csv(lines("date,y,promo", *days(["1,0", "2,1", "3,5", "4,6"])))
        schema = read(table, TableSettings(known=("promo",))).schema
        panel = read_as(table, schema, horizon=2, origin="2024-01-02").panel
        assert panel.known[:, 0].tolist() == [0, 1, 5, 6]
        assert panel.observed.tolist() == [True, True, False, False]

    def test_past_covariates_end_at_the_origin(self, csv):
        table = csv(lines("date,y,visits", *days(["1,5", "2,6", "3,7", ",8"])))
        panel = built(table, ahead=1, past=("visits",))[1]
        assert panel.past[:3, 0].tolist() == [5, 6, 7]
        assert np.isnan(panel.past[3, 0])

    def test_categories_are_coded_and_new_ones_are_0(self, csv):
        schema, panel = built(
            csv(lines("date,y,sky", *days(["1,sun", "2,rain", "3,sun"]))), known=("sky",)
        )
        assert panel.known[:, 0].tolist() == [2, 1, 2]
        tonight = csv(lines("date,y,sky", *days(["1,sun", "2,snow", "3,"])))
        np.testing.assert_array_equal(
            read_as(tonight, schema, horizon=0).panel.known[:, 0], [2, 0, np.nan]
        )

    def test_static_values_are_kept_by_series(self, csv):
        rows = [
            f"2024-01-{d:02d},{s},{d},{size}"
            for d in range(1, 15)
            for s, size in (("a", 30), ("b", 80))
        ]
        table = csv(lines("date,shop,y,size", *rows))
        assert built(table, static=("size",))[1].static.tolist() == [[30], [80]]

    def test_static_value_that_changes_is_refused_with_its_line(self, csv):
        rows = [
            f"2024-01-{d:02d},{s},{d},{d if (s, d) == ('b', 5) else 30}"
            for d in range(1, 15)
            for s in "ab"
        ]
        with pytest.raises(
            BadData,
            match=r"line 11, column 'size': series 'b' has several values in a static column; .*known='size'",
        ):
            built(csv(lines("date,shop,y,size", *rows)), static=("size",))


class TestAggregation:
    @pytest.mark.parametrize(
        ("how", "values"), [("sum", [276, 276]), ("mean", [11.5, 11.5]), ("last", [23, 23])]
    )
    def test_hours_are_brought_to_days(self, csv, said, how, values):
        index = pd.date_range("2024-01-01", periods=49, freq="h")
        table = csv(lines("time,y", *(f"{t:%Y-%m-%d %H:%M},{t.hour}" for t in index)))
        schema, panel = built(table, freq="D", aggregate=how)
        assert past(panel) == values
        assert "the last period of D is not complete (unfinished='leave out')" in said.text
        assert list(format_positions(schema, panel.origins + 1).index()) == ["2024-01-03 00:00"]

    def test_sums_that_lack_values_are_counted(self, csv, said):
        rows = [
            f"{t:%Y-%m-%d %H:%M},1,{'' if t.hour == 5 and t.day == 2 else 1}" for t in hours(72)
        ]
        _, panel = built(csv(lines("time,a,b", *rows)), freq="D", aggregate="sum")
        assert (past(panel, 0), past(panel, 1)) == ([24, 24, 24], [24, 23, 24])
        assert (
            "sales.csv: 1 of 6 sums lack values of their period of D; what is missing counts as 0."
            in said.text
        )

    def test_days_are_brought_to_months(self, csv):
        table = csv(lines("date,a,b", *days(["1,2"] * (31 + 29))))
        schema, panel = built(table, freq="MS", aggregate="sum")
        assert (past(panel, 0), past(panel, 1)) == ([31, 29], [62, 58])
        assert list(format_positions(schema, panel.origins[:1] + 1).index()) == ["2024-03-01"]

    def test_covariates_have_the_last_value_of_a_period_in_any_order_of_rows(self, csv):
        rows = [
            f"{t:%Y-%m-%d %H:%M},{t.hour % 7},{t.hour}"
            for t in pd.date_range("2024-01-01", periods=96, freq="6h")
        ]
        flags = {"freq": "D", "aggregate": "sum", "known": ("x",)}
        in_order = built(csv(lines("time,y,x", *rows)), **flags)[1]
        assert set(in_order.known[:, 0]) == {18}
        assert same(built(csv(lines("time,y,x", *rows[::-1])), **flags)[1], in_order)

    def test_events_that_share_a_time_are_summed_when_told_so(self, csv):
        table = csv(lines("date,y", *(row for row in days(["1", "2", "3", "4"]) for _ in range(3))))
        _, panel = built(table, freq="2D", aggregate="sum", on_duplicate="sum")
        assert past(panel) == [9, 21]

    @pytest.mark.parametrize(("receipts", "named"), [(True, True), (False, False)])
    def test_rows_that_repeat_exactly_are_named_where_receipts_tell_rows_apart(
        self, csv, said, receipts, named
    ):
        rows = [
            f"2024-01-{d:02d} 1{hour}:30,3,r{d}{hour}" for d in range(1, 9) for hour in range(4)
        ]
        rows[9:9] = rows[4:8]
        rows = rows if receipts else [row.rpartition(",")[0] for row in rows]
        table = csv(lines("time,y,receipt" if receipts else "time,y", *rows))
        _, panel = built(table, target="y", freq="D", aggregate="sum")
        assert past(panel)[:2] == [24, 12]
        text = "sales.csv: 4 rows repeat an earlier row in every column, first line 11; was the table loaded twice?"
        assert (text in said.text) is named

    def test_irregular_times_become_regular(self, csv):
        rows = [f"2024-01-{d:02d} {h},1" for d in range(1, 5) for h in ("01:07", "05:31", "23:59")]
        assert past(built(csv(lines("time,y", *rows)), freq="D", aggregate="sum")[1]) == [
            3,
            3,
            3,
            3,
        ]


class TestClockChange:
    def test_local_days_and_hours_have_no_gap_at_the_change(self, csv, said):
        for freq, count in (("D", 20), ("h", 200)):
            index = pd.date_range("2024-03-28", periods=count, freq=freq, tz="Europe/Berlin")
            table = csv(lines("time,y", *(f"{t.isoformat()},{i % 5}" for i, t in enumerate(index))))
            schema, panel = built(table, timezone="Europe/Berlin")
            assert panel.observed.all()
            written = format_positions(schema, panel.starts[0] + np.arange(count)).index()
            assert list(written) == [t.isoformat() for t in index]
        assert said.text == ""

    def test_forecasts_keep_the_offset_of_their_own_time(self, csv):
        index = pd.date_range("2024-03-30", periods=24, freq="h", tz="Europe/Berlin")
        table = csv(lines("time,y", *(f"{t.isoformat()},{i % 5}" for i, t in enumerate(index))))
        schema, panel = built(table, timezone="Europe/Berlin")
        written = list(format_positions(schema, panel.origins[0] + 1 + np.arange(4)).index())
        assert written[1:] == [
            "2024-03-31T01:00:00+01:00",
            "2024-03-31T03:00:00+02:00",
            "2024-03-31T04:00:00+02:00",
        ]


class TestRows:
    TEXT = lines("id,V1,V2,V3,V4", "b,1,2,3,", "a,5,,7,8")

    def test_each_series_starts_after_its_own_last_value(self, csv):
        schema, panel = built(csv(self.TEXT), ahead=1)
        assert panel.ids == (("a",), ("b",))
        assert (past(panel, 0), past(panel, 1)) == ([5, None, 7, 8], [1, 2, 3])
        assert format_positions(schema, panel.origins + 1).index().tolist() == [5, 4]

    def test_more_steps_at_predict_are_accepted(self, csv):
        schema, _ = built(csv(self.TEXT))
        panel = read_as(
            csv(lines("id,V1,V2,V3,V4,V5,V6", "b,1,2,3,4,5,6")), schema, horizon=0
        ).panel
        assert past(panel) == [1, 2, 3, 4, 5, 6]

    def test_an_id_that_comes_twice_is_refused_with_its_line(self, csv):
        schema, _ = built(csv(self.TEXT))
        with pytest.raises(BadData, match="line 3, column 'id': id 'b' comes twice"):
            read_as(csv(lines("id,V1,V2", "b,1,2", "b,3,4")), schema, horizon=0)


class TestAnotherTableAtPredict:
    def test_another_frequency_is_refused_both_ways(self, csv):
        days_schema, _ = built(csv(lines("date,y", *days(["1", "2", "3", "5"] * 10))))
        weekly = csv(lines("date,y", *days(["1", "2", "3", "5"] * 5, freq="7D")))
        with pytest.raises(BadData, match=r"coarser than that \(its frequency looks like W-MON\)"):
            read_as(weekly, days_schema, horizon=0)
        weekly_schema, _ = built(weekly)
        with pytest.raises(
            BadData, match=r"2024-01-02 does not lie on the grid W-MON.*looks like D"
        ):
            read_as(
                csv(lines("date,y", *days(["1", "2", "3", "5"] * 10))), weekly_schema, horizon=0
            )

    def test_time_of_day_that_fit_did_not_have_is_quoted(self, csv):
        schema, _ = built(csv(lines("date,y", *days(["1", "2", "3"]))))
        said = r"line 3, column 'date': 2024-01-02 12:00 does not lie on the grid D( \(|;)"
        with pytest.raises(BadData, match=said):
            read_as(
                csv(lines("date,y", "2024-01-01 00:00,1", "2024-01-02 12:00,2")), schema, horizon=0
            )

    def test_new_series_of_a_wide_table_are_taken_if_fit_took_all(self, csv):
        schema, _ = built(csv(lines("date,a,b", *days(["1,2", "2,1", "3,4"]))))
        panel = read_as(
            csv(lines("date,c,a", *days(["1,2", "2,1", "3,4"]))), schema, horizon=0
        ).panel
        assert panel.ids == (("a",), ("c",))

    def test_new_columns_are_left_alone_if_fit_took_some(self, csv):
        schema, _ = built(csv(lines("date,a,b", *days(["1,2", "2,1", "3,4"]))), target=("a",))
        panel = read_as(
            csv(lines("date,c,a", *days(["1,2", "2,1", "3,4"]))), schema, horizon=0
        ).panel
        assert panel.ids == (("a",),)

    def test_column_order_does_not_matter(self, csv):
        rows = [(f"2024-01-{d:02d}", s, str(d)) for d in range(1, 15) for s in "ab"]
        schema, panel = built(csv(lines("date,shop,y", *(",".join(row) for row in rows))))
        turned = csv(lines("y,shop,date", *(",".join(reversed(row)) for row in rows)))
        assert same(read_as(turned, schema, horizon=0).panel, panel)

    def test_dates_of_another_format_are_read_as_the_same_days(self, csv):
        schema, panel = built(csv(lines("date,y", *days(["1", "2", "3"]))))
        slashed = csv(lines("date,y", "2024/01/01,1", "2024/01/02,2", "2024/01/03,3"))
        assert same(read_as(slashed, schema, horizon=0).panel, panel)

    def test_times_with_a_zone_against_times_without_are_refused(self, csv):
        hours = [f"{t:%Y-%m-%dT%H:%M}" for t in pd.date_range("2024-01-01", periods=30, freq="h")]
        schema, _ = built(csv(lines("time,y", *(f"{t},{i % 4}" for i, t in enumerate(hours)))))
        with pytest.raises(BadData, match="of zone UTC; at fit they were dates without a zone"):
            read_as(
                csv(lines("time,y", *(f"{t}Z,{i % 4}" for i, t in enumerate(hours)))),
                schema,
                horizon=0,
            )

    def test_one_new_day_is_enough(self, csv):
        schema, _ = built(csv(lines("date,y", *days(["1", "2", "3"]))))
        assert past(read_as(csv(lines("date,y", "2024-02-01,5")), schema, horizon=0).panel) == [5]


NAMES = st.lists(
    st.text("abcé7 _", min_size=1, max_size=4).map(str.strip).filter(bool),
    min_size=2,
    max_size=4,
    unique=True,
)


@st.composite
def wide_frames(draw: st.DrawFn) -> pd.DataFrame:
    """Wide tables with gaps, no row or column of which is empty."""
    names, steps = draw(NAMES), draw(st.integers(4, 12))
    numbers = st.one_of(st.none(), st.integers(-999, 999).map(lambda number: number / 8))
    columns = {
        f"s{name}": draw(st.lists(numbers, min_size=steps, max_size=steps)) for name in names
    }
    frame = pd.DataFrame(columns, dtype=float)
    frame.iloc[:, 0] = frame.iloc[:, 0].fillna(0.5)
    frame.iloc[[0, -1]] = frame.iloc[[0, -1]].fillna(1.5)
    return frame.assign(
        date=pd.date_range(
            "2023-12-25", periods=steps, freq=draw(st.sampled_from(["D", "h", "MS", "W-SUN"]))
        )
    )


@given(frame=wide_frames(), random=st.randoms(use_true_random=False))
def test_wide_long_and_any_order_of_rows_give_the_same_panel(frame, random):
    long = frame.melt("date", var_name="shop", value_name="y").dropna()
    shuffled = long.sample(frac=1, random_state=random.randrange(2**32))
    panels, calendars = [], []
    for layout, table in (
        ("wide", frame),
        ("wide", frame.iloc[::-1]),
        ("long", long),
        ("long", shuffled),
    ):
        schema = read(
            table_from_frame(table),
            TableSettings(layout=layout, id=("shop",) if layout == "long" else ()),
        ).schema
        panels.append(read_as(table_from_frame(table), schema, horizon=3).panel)
        calendars.append(schema.calendar)
    assert all(same(panel, panels[0], order=False) for panel in panels[1:])
    assert all(calendar == calendars[0] for calendar in calendars[1:])


@given(frame=wide_frames())
def test_panel_holds_every_value_at_its_time(frame):
    schema, panel = built(table_from_frame(frame), ahead=2, layout="wide")
    positions = build_calendar(schema).positions(pd.DatetimeIndex(frame["date"]).as_unit("s").asi8)
    for index, (name,) in enumerate(panel.ids):
        observed = dict(zip(positions.tolist(), frame[name], strict=True))
        own = panel.slots(index)
        for position, value, seen in zip(
            range(int(panel.starts[index]), int(panel.origins[index]) + 1),
            panel.values[own],
            panel.observed[own],
            strict=True,
        ):
            assert seen == (not np.isnan(observed.get(position, np.nan)))
            assert value == (np.float32(observed[position]) if seen else 0)
