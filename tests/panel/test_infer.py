"""What a table is, is inferred from it; what the user says wins; it is read again only where another schema differs."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.calendar.parsing import parse_times
from forecast.errors import BadData, UsageError
from forecast.panel.dated import dated_table
from forecast.panel.infer import check_schema, describe, read, read_as
from forecast.panel.schema import Schema
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table, table_from_frame
from forecast.tables.table import Table


def days(count: int) -> pd.DataFrame:
    day = pd.date_range("2024-01-01", periods=count).strftime("%Y-%m-%d")
    return pd.DataFrame({"day": day, "y": np.arange(count) % 7})


def test_another_schema_reads_only_what_it_reads_otherwise() -> None:
    frame = days(60).assign(kind=["a", "b", "c"] * 20)
    reading = read(table_from_frame(frame), TableSettings(known=("kind",)), horizon=5)
    same = read_as(reading, reading.schema, horizon=5)
    assert same.panel.values is reading.panel.values
    fewer = reading.schema.model_copy(update={"categories": {"kind": ("a", "b")}})
    other = read_as(reading, fewer, horizon=5)
    np.testing.assert_array_equal(other.panel.known[:3, 0], [1, 2, 0])
    longer = read_as(reading, reading.schema, horizon=7)
    assert longer.panel.ahead == 7
    np.testing.assert_array_equal(longer.panel.values[:-7], reading.panel.values[:-5])


def test_a_status_is_reported_once_unless_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "forecast")
    frame = days(60).assign(ended=lambda table: table["y"].where(table.index < 40), constant=5)
    reading = read(table_from_frame(frame), TableSettings(), horizon=5, lookback=30)
    assert reading.panel.status == ("constant", "ok", "ok")
    read_as(reading, reading.schema, horizon=5, lookback=30)
    assert caplog.text.count("series never change") == 0
    assert caplog.text.count("ended more than a lookback") == 0
    assert read_as(reading, reading.schema, horizon=5, lookback=10).panel.status == (
        "constant",
        "ended",
        "ok",
    )
    assert caplog.text.count("ended more than a lookback") == 1


def test_times_that_depend_on_their_series_are_parsed_again_by_series() -> None:
    hours = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
    text = [str(hour)[:19] for hour in hours]
    frame = pd.concat(
        [pd.DataFrame({"shop": shop, "hour": text, "y": np.arange(72)}) for shop in ("a", "b")]
    )
    settings = TableSettings(timezone="Europe/Berlin")
    dated = dated_table(table_from_frame(frame), settings)
    assert dated.times is not None
    assert dated.times.needs_series
    reading = read(dated, settings, horizon=3)
    series = np.repeat([0, 1], 72)
    by_series = parse_times(dated.table, ("hour",), reading.schema.time_settings, series)
    assert reading.dated.times is not None
    np.testing.assert_array_equal(reading.dated.times.timestamps, by_series.timestamps)
    assert reading.panel.observed.sum() == 144


@pytest.fixture
def csv(tmp_path: Path) -> Any:
    def write(frame: pd.DataFrame) -> Table:
        path = tmp_path / "sales.csv"
        frame.to_csv(path, index=False)
        return read_table(str(path), TextSettings())

    return write


def inferred(table: Table, **settings: Any) -> Schema:
    return read(table, TableSettings.check(settings)).schema


def dates(count: int, freq: str = "D") -> list[str]:
    return [str(day.date()) for day in pd.date_range("2024-01-01", periods=count, freq=freq)]


def long_frame(steps: int = 30, **columns: list[str]) -> pd.DataFrame:
    """Rows of every id in `columns` (one value a series) at every date, with values that move."""
    ids = pd.DataFrame(columns)
    frame = ids.merge(pd.DataFrame({"date": dates(steps)}), how="cross")
    return frame.assign(y=np.random.default_rng(0).integers(10, 99, len(frame)) / 10)


class TestLayout:
    def test_a_column_per_series_is_wide(self, csv):
        schema = inferred(
            csv(pd.DataFrame({"date": dates(30), "north": range(30), "south": range(30)}))
        )
        assert (schema.layout, schema.ids, schema.series) == (
            "wide",
            ("series",),
            ("north", "south"),
        )
        assert schema.all_columns

    def test_times_that_repeat_under_a_text_column_are_long(self, csv):
        schema = inferred(csv(long_frame(shop=["a", "b"])))
        assert (schema.layout, schema.ids, schema.time, schema.target) == (
            "long",
            ("shop",),
            ("date",),
            "y",
        )

    @pytest.mark.parametrize("word", ["NA", "null", "-", "none", "n/a"])
    def test_a_column_of_nothing_but_a_word_for_missing_is_text_and_no_series(self, csv, word):
        frame = pd.DataFrame({"shop": word, "date": dates(30), "y": range(30)})
        for table in (csv(frame), table_from_frame(frame)):
            assert inferred(table).series == ("y",)
            assert inferred(table).ignored == ("shop",)
            panel = read_as(table, inferred(table, id="shop"), horizon=1).panel
            assert panel.ids == ((word,),)

    def test_only_the_columns_needed_tell_series_apart(self, csv):
        frame = long_frame(shop=["a", "a", "b", "b"], item=["x", "y", "x", "y"])
        assert inferred(csv(frame.assign(region="west"))).ids == ("shop", "item")
        assert inferred(csv(frame[frame.item == "x"].assign(region="west"))).ids == ("shop",)

    def test_whole_numbers_are_ids_where_times_repeat(self, csv):
        schema = inferred(csv(long_frame(store=["1", "2", "17"])))
        assert (schema.ids, schema.target) == (("store",), "y")

    def test_text_is_preferred_to_whole_numbers(self, csv):
        frame = long_frame(shop=["a", "b"], number=["1", "2"])
        schema = inferred(csv(frame))
        assert schema.ids == ("shop",)
        assert schema.ignored == ("number",)

    def test_codes_with_leading_zeros_are_preferred_to_whole_numbers(self, csv):
        assert inferred(csv(long_frame(number=["1", "2"], code=["007", "008"]))).ids == ("code",)

    def test_a_whole_number_target_is_no_id(self, csv):
        frame = long_frame(shop=["a", "b"]).assign(y=lambda f: range(len(f)))
        schema = inferred(csv(frame))
        assert (schema.ids, schema.target) == (("shop",), "y")

    def test_named_ids_make_a_table_long_even_if_no_time_repeats(self, csv):
        schema = inferred(csv(long_frame(shop=["a"])), id=("shop",))
        assert (schema.layout, schema.ids) == ("long", ("shop",))

    def test_one_series_may_be_read_long_without_ids(self, csv):
        schema = inferred(csv(pd.DataFrame({"date": dates(30), "sales": range(30)})), layout="long")
        assert (schema.layout, schema.ids, schema.target) == ("long", (), "sales")

    def test_rows_are_recognised_by_numbered_columns(self, csv):
        schema = inferred(
            csv(pd.DataFrame({"id": ["a", "b"], "V1": [1, 2], "V2": [2, 3], "V3": [3, None]}))
        )
        assert (schema.layout, schema.ids, schema.time) == ("rows", ("id",), ("step",))

    def test_a_table_without_times_asks_for_time_or_rows(self, csv):
        table = csv(pd.DataFrame({"shop": ["a", "b"], "north": [1, 2], "south": [2, 3]}))
        with pytest.raises(BadData, match=r"no column holds times.*time=.*layout='rows'"):
            inferred(table)
        assert inferred(table, layout="rows").layout == "rows"

    def test_layout_overrides_what_the_table_looks_like(self, csv):
        table = csv(pd.DataFrame({"date": dates(10), "1": range(10), "2": range(10)}))
        assert inferred(table).layout == "wide"
        assert inferred(table, layout="rows").ids == ("date",)

    def test_target_restricts_a_wide_table_to_some_columns(self, csv):
        table = csv(pd.DataFrame({"date": dates(30), "north": range(30), "south": range(30)}))
        schema = inferred(table, target=("south",))
        assert (schema.series, schema.all_columns, schema.ignored) == (
            ("south",),
            False,
            ("north",),
        )

    def test_text_column_of_a_wide_table_is_left_out(self, csv):
        table = csv(pd.DataFrame({"date": dates(30), "north": range(30), "note": "fine"}))
        assert inferred(table).ignored == ("note",)

    def test_frame_and_file_are_read_alike(self, csv):
        frame = long_frame(shop=["a", "b"], store=["1", "2"])
        from_file, from_frame = inferred(csv(frame)), inferred(table_from_frame(frame))
        assert from_frame == from_file.model_copy(update={"inferred": from_frame.inferred})


class TestTime:
    def test_first_column_that_parses_as_times_is_found_anywhere(self, csv):
        assert inferred(csv(long_frame(shop=["a", "b"])[["y", "shop", "date"]])).time == ("date",)

    def test_a_usual_name_decides_between_two(self, csv):
        frame = pd.DataFrame({"entered": dates(30), "date": dates(30), "y": range(30)})
        assert inferred(csv(frame)).time == ("date",)

    def test_two_columns_of_times_ask_for_time(self, csv):
        table = csv(pd.DataFrame({"start": dates(30), "finish": dates(30), "y": range(30)}))
        with pytest.raises(
            UsageError, match="start, finish all hold times; name the one to use with time="
        ):
            inferred(table)
        assert inferred(table, time="finish").time == ("finish",)

    def test_one_wrong_date_is_named_instead_of_the_column_being_passed_over(self, csv):
        days = [*dates(20), "2024-02-30"]
        with pytest.raises(BadData, match=r"line 22, column 'date': '2024-02-30' does not exist"):
            inferred(csv(pd.DataFrame({"date": days, "y": range(21)})))

    def test_step_column_is_time(self, csv):
        schema = inferred(csv(pd.DataFrame({"step": range(1, 31), "y": range(30)})))
        assert (schema.layout, schema.time, schema.calendar.kind) == ("wide", ("step",), "steps")

    def test_number_column_is_time_when_named(self, csv):
        schema = inferred(csv(pd.DataFrame({"nr": range(1, 31), "y": range(30)})), time="nr")
        assert (schema.time_format.kind, schema.calendar.kind) == ("integer", "steps")

    def test_years_are_dates(self, csv):
        schema = inferred(csv(pd.DataFrame({"year": range(1990, 2020), "y": range(30)})))
        assert schema.calendar.name == "YS"


class TestTarget:
    def test_a_usual_name_decides_between_numbers(self, csv):
        frame = long_frame(shop=["a", "b"]).rename(columns={"y": "Sales"}).assign(price=1.5)
        schema = inferred(csv(frame))
        assert (schema.target, schema.ignored) == ("Sales", ("price",))

    def test_open_target_is_a_usage_error_that_lists_the_candidates(self, csv):
        frame = long_frame(shop=["a", "b"]).rename(columns={"y": "turnover"}).assign(price=1.5)
        with pytest.raises(UsageError, match=r"turnover, price; pass target="):
            inferred(csv(frame))
        assert inferred(csv(frame), target=("price",)).target == "price"

    def test_covariates_are_no_candidates(self, csv):
        frame = long_frame(shop=["a", "b"]).rename(columns={"y": "turnover"}).assign(price=1.5)
        assert inferred(csv(frame), known=("price",)).target == "turnover"

    def test_two_targets_of_a_long_table_are_a_usage_error(self, csv):
        frame = long_frame(shop=["a", "b"]).assign(price=1.5)
        with pytest.raises(
            UsageError, match="target=\\('y', 'price'\\): a long table has one target"
        ):
            inferred(csv(frame), target=("y", "price"))

    def test_table_without_numbers_is_refused(self, csv):
        with pytest.raises(BadData, match="no column of numbers to forecast"):
            inferred(csv(pd.DataFrame({"date": dates(3), "note": ["a", "b", "c"]})))


class TestDuplicates:
    def test_repeated_time_without_ids_is_refused_with_its_line(self, csv):
        frame = pd.DataFrame({"date": [*dates(20), "2024-01-20"], "y": range(21)})
        with pytest.raises(
            BadData, match=r"line 22, column 'date': 2024-01-20 comes twice.*id=.*on_duplicate="
        ):
            inferred(csv(frame))

    def test_repeated_row_of_one_series_is_refused_with_its_id_column(self, csv):
        frame = long_frame(shop=["a", "b"])
        with pytest.raises(
            BadData, match=r"line 62, .*2024-01-05 comes twice for shop 'a', first in line 6"
        ):
            inferred(csv(pd.concat([frame, frame.iloc[[4]]])))

    def test_on_duplicate_settles_both(self, csv):
        frame = long_frame(shop=["a", "b"])
        assert inferred(csv(pd.concat([frame, frame.iloc[[4]]])), on_duplicate="first").ids == (
            "shop",
        )
        single = pd.DataFrame({"date": [*dates(20), "2024-01-20"], "y": range(21)})
        assert inferred(csv(single), on_duplicate="last").layout == "wide"

    @pytest.mark.parametrize("part", ["hour", "period"])
    def test_part_of_the_time_is_no_id(self, csv, part):
        frame = pd.DataFrame(
            {"year": np.repeat(["2020", "2021", "2022"], 4), part: [1, 2, 3, 4] * 3, "y": range(12)}
        )
        with pytest.raises(BadData, match=r"comes twice.*pass id= with"):
            inferred(csv(frame))
        assert inferred(csv(frame), id=(part,)).ids == (part,)

    def test_a_guessed_id_is_said_with_what_else_it_may_be_and_how_to_say_none(self, csv):
        frame = long_frame(shop=["a", "b"]).assign(clerk=["x", "y", "z"] * 20)
        table = csv(pd.concat([frame, frame.iloc[[4]]]))
        said = (
            r"line 62, column 'date': 2024-01-05 comes twice for shop 'a', first in line 6 \(1 row like that\); that "
            r"shop is the id was guessed: pass id= with the columns that tell series apart \(shop, clerk\), layout="
            r"'wide' if no column does, or on_duplicate='first' \(or last, mean, sum\)"
        )
        with pytest.raises(BadData, match=said):
            inferred(table)
        assert inferred(table, layout="wide", on_duplicate="first").series == ("y",)

    @pytest.mark.parametrize("aggregate", ["mean", "sum", "last"])
    def test_aggregation_takes_all_rows_of_a_step_those_of_one_time_too(self, csv, aggregate):
        times = pd.date_range("2024-01-01", periods=48, freq="20min").repeat(2)
        values = np.arange(96) % 11 / 2
        table = csv(
            pd.DataFrame(
                {"time": times, "celsius": values, "note": [f"n{row}" for row in range(96)]}
            )
        )
        schema = inferred(table, freq="h", aggregate=aggregate)
        assert (schema.layout, schema.series) == ("wide", ("celsius",))
        by_hour = values.reshape(16, 6)
        expected = (
            by_hour[:, -1] if aggregate == "last" else getattr(np, aggregate)(by_hour, axis=1)
        )
        panel = read_as(table, schema, horizon=0).panel
        assert panel.values[panel.observed] == pytest.approx(expected)

    def test_a_guessed_id_holds_under_aggregation(self, csv):
        frame = long_frame(shop=["a", "b"], steps=28)
        schema = inferred(csv(pd.concat([frame, frame.iloc[[4]]])), freq="W", aggregate="sum")
        assert schema.ids == ("shop",)


class TestCovariates:
    def test_text_covariates_become_sorted_categories(self, csv):
        frame = long_frame(shop=["a", "b"]).assign(
            weather=lambda f: np.where(f.index % 3 == 0, "rain", "dry")
        )
        schema = inferred(csv(frame), known=("weather",))
        assert schema.categories == {"weather": ("dry", "rain")}

    def test_known_columns_of_a_wide_table_are_no_series(self, csv):
        frame = pd.DataFrame({"date": dates(30), "north": range(30), "price": 1.5})
        schema = inferred(csv(frame), known=("price",))
        assert (schema.series, schema.known) == (("north",), ("price",))

    def test_static_column_of_a_wide_table_is_a_usage_error(self, csv):
        frame = pd.DataFrame({"date": dates(30), "north": range(30), "size": 1})
        with pytest.raises(UsageError, match="static=: a wide table"):
            inferred(csv(frame), static=("size",))

    @pytest.mark.parametrize("role", ["time", "id", "target", "known", "past", "static"])
    def test_missing_named_column_is_refused_and_those_found_are_listed(self, csv, role):
        with pytest.raises(BadData, match=r"no column 'prices'; columns found: shop, date, y"):
            inferred(
                csv(long_frame(shop=["a", "b"])),
                **{role: "prices" if role == "time" else ("prices",)},
            )

    def test_column_with_two_roles_is_a_usage_error(self, csv):
        with pytest.raises(UsageError, match="column 'y' is named by target= and by known="):
            inferred(csv(long_frame(shop=["a", "b"])), target=("y",), known=("y",))


class TestSeason:
    def seasonal(self, length: int, steps: int, freq: str) -> pd.DataFrame:
        wave = (
            10
            + 5 * np.sin(2 * np.pi * np.arange(steps) / length)
            + np.random.default_rng(1).normal(0, 0.5, steps)
        )
        index = pd.date_range("2020-01-01", periods=steps, freq=freq)
        return pd.DataFrame({"date": index.strftime("%Y-%m-%d %H:%M"), "y": wave})

    @pytest.mark.parametrize(
        ("length", "steps", "freq"), [(24, 480, "h"), (7, 140, "D"), (12, 120, "MS"), (4, 60, "QS")]
    )
    def test_season_of_the_frequency_is_confirmed_by_the_data(self, csv, length, steps, freq):
        assert inferred(csv(self.seasonal(length, steps, freq))).season == (length,)

    def test_noise_has_no_season(self, csv):
        frame = self.seasonal(7, 140, "D").assign(y=np.random.default_rng(2).normal(size=140))
        assert inferred(csv(frame)).season == ()

    def test_trend_is_no_season(self, csv):
        assert inferred(csv(self.seasonal(7, 140, "D").assign(y=np.arange(140.0)))).season == ()

    def test_given_season_wins(self, csv):
        assert inferred(csv(self.seasonal(7, 140, "D")), season=(30, 7)).season == (7, 30)


class TestFlags:
    @pytest.mark.parametrize("freq", ["0", "hourly", "99999999999999999999"])
    def test_freq_that_is_none_is_a_usage_error(self, csv, freq):
        with pytest.raises(UsageError, match=f"freq='{freq}': not a frequency"):
            inferred(csv(long_frame(shop=["a", "b"])), freq=freq)

    def test_aggregate_needs_freq(self, csv):
        with pytest.raises(UsageError, match="aggregate='sum': pass the freq="):
            inferred(csv(long_frame(shop=["a", "b"])), aggregate="sum")

    @pytest.mark.parametrize("flag", [{"time": "id"}, {"known": ("V1",)}, {"freq": "D"}])
    def test_flags_that_rows_cannot_have_are_a_usage_error(self, csv, flag):
        table = csv(pd.DataFrame({"id": ["a", "b"], "V1": [1, 2], "V2": [2, 3]}))
        with pytest.raises(UsageError, match="layout='rows'"):
            inferred(table, layout="rows", **flag)


class TestPredict:
    def test_columns_in_another_order_are_accepted(self, csv):
        frame = long_frame(shop=["a", "b"])
        schema = inferred(csv(frame))
        check_schema(schema, csv(frame[["y", "date", "shop"]]))

    def test_missing_column_is_refused_with_those_found(self, csv):
        frame = long_frame(shop=["a", "b"]).assign(price=1.5)
        schema = inferred(csv(frame), known=("price",))
        with pytest.raises(BadData, match=r"no column 'price'; columns found: shop, date, y"):
            check_schema(schema, csv(frame.drop(columns="price")))

    def test_named_columns_of_a_wide_table_are_needed(self, csv):
        frame = pd.DataFrame({"date": dates(30), "north": range(30), "south": range(30)})
        schema = inferred(csv(frame), target=("south",))
        with pytest.raises(BadData, match="no column 'south'"):
            check_schema(schema, csv(frame.drop(columns="south")))

    def test_vanished_column_of_a_whole_wide_table_is_a_vanished_series(self, csv):
        frame = pd.DataFrame({"date": dates(30), "north": range(30), "south": range(30)})
        check_schema(inferred(csv(frame)), csv(frame.drop(columns="south")))


def test_columns_left_out_that_could_help_are_named(csv):
    table = csv(long_frame(shop=["a", "b"]).assign(note="x", price=np.arange(60) % 7 / 2))
    schema = inferred(table, target=("y",))
    lines = describe(schema, read_as(table, schema, horizon=0).panel)
    assert "left out note, price; known, past or static columns help a forecast" in lines


def test_what_was_inferred_is_said_in_a_short_block(csv):
    table = csv(long_frame(shop=["a", "b"]).assign(note="x", price=1.5))
    schema = inferred(table, known=("price",))
    lines = describe(schema, read_as(table, schema, horizon=0).panel)
    assert lines == [
        "layout   long: 2 series (ids: shop), 60 values",
        "target   y",
        "time     date: 2024-01-01 to 2024-01-30, every D",
        "season   none",
        "known    price; predict needs their values of the horizon",
        "left out note; known, past or static columns help a forecast",
    ]


def test_repairs_are_not_said_twice(csv, caplog):
    caplog.set_level(logging.WARNING, "forecast")
    frame = long_frame(shop=["a", "b"]).assign(
        y=lambda f: f.y.astype(str).where(f.index != 3, "n/a")
    )
    read(csv(frame), TableSettings())
    assert caplog.text.count("n/a") == 1
