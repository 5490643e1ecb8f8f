"""Times in several columns are read as one time, and forecasts have the same columns."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import ArtifactRefused, BadData, UsageError
from forecast.inference.contents import from_contents, to_contents
from forecast.panel.infer import read, read_as
from forecast.panel.schema import Schema
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table, table_from_frame
from tests.conftest import Run

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
NAIVE = ("--model", "seasonal-naive", "--horizon", 3)


def monthly(years: int = 8, first: int = 1990, **columns: Any) -> pd.DataFrame:
    """Years and months, and values that differ."""
    month = np.tile(np.arange(1, 13), years)
    frame = {"year": np.repeat(np.arange(first, first + years), 12), "month": month}
    return pd.DataFrame(
        {**frame, **columns, "value": 100 + 10 * np.sin(month / 2) + np.arange(len(month))}
    )


def fitted(frame: pd.DataFrame, path: Path, **settings: Any) -> tuple[Schema, pd.DataFrame]:
    """The schema, and the first forecasts of each series, of a frame that is written and read as CSV."""
    frame.to_csv(path / "data.csv", index=False)
    table = read_table(str(path / "data.csv"), TextSettings())
    model = Forecaster(model="seasonal-naive", horizon=2, **settings).fit(table)
    return model.schema_, model.predict(table)


def written(frame: pd.DataFrame, columns: list[str]) -> list[tuple[Any, ...]]:
    return list(frame[columns].itertuples(index=False, name=None))


def hourly(days: int = 20) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01" if days < 10 else "2023-01-01", periods=24 * days, freq="h")


CASES = {
    "year and month": (monthly(), ["year", "month"], [(1998, 1), (1998, 2)]),
    "month before year": (
        monthly()[["month", "year", "value"]].replace({"month": dict(enumerate(MONTHS, 1))}),
        ["month", "year"],
        [("Jan", 1998), ("Feb", 1998)],
    ),
    "year and quarter": (
        monthly().assign(quarter=lambda f: "Q" + ((f.month + 2) // 3).astype(str))[
            lambda f: f.month % 3 == 1
        ][["year", "quarter", "value"]],
        ["year", "quarter"],
        [(1998, "Q1"), (1998, "Q2")],
    ),
    "year and week": (
        pd.DataFrame(
            {"year": [2020] * 53 + [2021] * 52, "week": [*range(1, 54), *range(1, 53)]}
        ).assign(value=np.arange(105.0)),
        ["year", "week"],
        [(2022, 1), (2022, 2)],
    ),
    "year, month and day": (
        pd.DataFrame(
            {
                "Year": (d := pd.date_range("2022-11-01", periods=61)).year,
                "Month": d.month,
                "Day": d.day,
            }
        ).assign(v=np.arange(61.0)),
        ["Year", "Month", "Day"],
        [(2023, 1, 1), (2023, 1, 2)],
    ),
    "date and hour": (
        pd.DataFrame(
            {"dteday": hourly().strftime("%Y-%m-%d"), "hr": hourly().hour, "cnt": np.arange(480.0)}
        ),
        ["dteday", "hr"],
        [("2023-01-21", 0), ("2023-01-21", 1)],
    ),
    "date and hour from 1 to 24": (
        pd.DataFrame(
            {
                "date": hourly().strftime("%Y-%m-%d"),
                "hour": hourly().hour + 1,
                "cnt": np.arange(480.0),
            }
        ),
        ["date", "hour"],
        [("2023-01-21", 1), ("2023-01-21", 2)],
    ),
    "date and time of day": (
        pd.DataFrame(
            {
                "date": hourly().strftime("%d.%m.%Y"),
                "time": hourly().strftime("%H:%M"),
                "v": np.arange(480.0),
            }
        ),
        ["date", "time"],
        [("21.01.2023", "00:00"), ("21.01.2023", "01:00")],
    ),
    "year and period": (
        monthly()
        .assign(month=lambda f: f.month.map("M{:02d}".format))
        .rename(columns={"month": "period"}),
        ["year", "period"],
        [(1998, "M01"), (1998, "M02")],
    ),
    "a single month": (
        pd.DataFrame(
            {
                "year": 2024,
                "month": 1,
                "day": (d := hourly(9)).day,
                "hour": d.hour,
                "pm": np.arange(216.0),
            }
        ),
        ["year", "month", "day", "hour"],
        [(2024, 1, 10, 0), (2024, 1, 10, 1)],
    ),
    "years before 1900": (monthly(first=1790), ["year", "month"], [(1798, 1), (1798, 2)]),
    "padded months": (
        monthly().assign(month=lambda f: f.month.map("{:02d}".format)),
        ["year", "month"],
        [(1998, "01"), (1998, "02")],
    ),
}


class TestInferred:
    @pytest.mark.parametrize("name", CASES)
    def test_forecasts_have_the_columns_of_the_time(self, name: str, tmp_path: Path) -> None:
        frame, columns, expected = CASES[name]
        schema, found = fitted(frame, tmp_path)
        assert schema.time == tuple(columns)
        assert schema.calendar.name in {"MS", "QS", "D", "h", "W-MON"}
        assert written(found, columns) == expected

    @pytest.mark.parametrize("shops", [("a", "b"), (1, 2, 3)])
    def test_series_are_told_apart_beside_them(
        self, shops: tuple[Any, ...], tmp_path: Path
    ) -> None:
        frame = pd.concat([monthly().assign(shop=shop) for shop in shops])
        schema, found = fitted(frame, tmp_path)
        assert (schema.time, schema.ids, schema.target) == (("year", "month"), ("shop",), "value")
        assert len(found) == 2 * len(shops)

    def test_a_frame_gets_its_types_back(self) -> None:
        frame = pd.DataFrame(
            {"day": hourly().normalize(), "hour": hourly().hour, "y": np.arange(480.0)}
        )
        found = Forecaster(model="last", horizon=2).fit(frame).predict()
        assert written(found, ["day", "hour"]) == [
            (pd.Timestamp("2023-01-21"), 0),
            (pd.Timestamp("2023-01-21"), 1),
        ]
        assert found.day.dtype == frame.day.dtype

    def test_an_hour_beside_numbered_series_is_no_part_of_the_time(self, tmp_path: Path) -> None:
        days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
        busiest = np.random.default_rng(0).integers(0, 24, 180)
        frame = pd.DataFrame(
            {"date": np.tile(days, 3), "store": np.repeat([1, 2, 3], 60), "hour": busiest}
        )
        schema, _ = fitted(frame.assign(y=np.arange(180) % 7 / 2), tmp_path, target=("y",))
        assert (schema.time, schema.ids) == (("date",), ("store",))

    def test_one_column_that_tells_rows_apart_is_enough(self, tmp_path: Path) -> None:
        days = pd.date_range("2020-01-01", periods=400)
        parts = {"year": days.year, "month": days.month, "hour": np.arange(400) % 24}
        frame = pd.DataFrame({**parts, "date": days.strftime("%Y-%m-%d"), "y": np.arange(400) % 9})
        assert fitted(frame, tmp_path, target=("y",))[0].time == ("date",)
        shops = pd.concat([frame.assign(shop=shop) for shop in "ab"])
        assert fitted(shops, tmp_path, target=("y",))[0].time == ("date",)


class TestNamed:
    def test_a_format_names_a_part_for_each_column(self, tmp_path: Path) -> None:
        frame = pd.DataFrame(
            {"a": (d := pd.date_range("2024-01-01", periods=40)).strftime("%d/%m"), "b": d.year}
        )
        _, found = fitted(
            frame.assign(y=range(40)), tmp_path, time=("a", "b"), date_format="%d/%m %Y"
        )
        assert written(found, ["a", "b"]) == [("10/02", 2024), ("11/02", 2024)]
        frame = monthly().rename(columns={"year": "anno", "month": "mese"})
        schema, found = fitted(frame, tmp_path, time=("mese", "anno"), date_format="%m %Y")
        assert written(found, ["mese", "anno"]) == [(1, 1998), (2, 1998)]
        assert schema.calendar.name == "MS"

    def test_columns_under_other_names_need_a_format(self, tmp_path: Path) -> None:
        with pytest.raises(
            BadData, match=r"column 'mese': '1' is not a part of a time .* pass date_format="
        ):
            fitted(monthly().rename(columns={"month": "mese"}), tmp_path, time=("year", "mese"))

    def test_a_column_whose_name_has_a_comma(self, tmp_path: Path) -> None:
        frame = pd.DataFrame(
            {"Date, UTC": pd.date_range("2024-01-01", periods=40).strftime("%F"), "y": range(40)}
        )
        assert fitted(frame, tmp_path, time=("Date", "UTC"))[0].time == ("Date, UTC",)

    def test_the_zone_and_its_clock_change_hold(self) -> None:
        times = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
        frame = pd.DataFrame(
            {"date": times.strftime("%Y-%m-%d"), "hour": times.hour, "y": np.arange(72.0)}
        )
        schema = read(
            table_from_frame(frame), TableSettings.check({"timezone": "Europe/Berlin"})
        ).schema
        assert (schema.time_format.zone, schema.calendar.name) == ("Europe/Berlin", "h")
        assert read_as(table_from_frame(frame), schema, horizon=0).panel.observed.all()

    @pytest.mark.parametrize(
        ("columns", "change", "message"),
        [
            (("year", "month"), {"month": 13}, r"line 2, column 'month': '13' is not a month"),
            (
                ("year", "month"),
                {"month": ""},
                r"line 2, column 'month': a part of the time is blank",
            ),
            (
                ("year", "month", "day"),
                {"month": 2, "day": 30},
                "line 2, columns 'year', 'month', 'day': '1990 2 30' does",
            ),
        ],
    )
    def test_a_wrong_part_is_named_with_its_place(
        self, columns: tuple[str, ...], change: dict[str, Any], message: str, tmp_path: Path
    ) -> None:
        frame = monthly(day=1).astype({"month": object})
        frame.loc[0, list(change)] = list(change.values())
        with pytest.raises(
            BadData, match=message.replace("', '", "' and '") if "columns" in message else message
        ):
            fitted(frame, tmp_path, time=columns)

    @pytest.mark.parametrize(
        ("columns", "missing"),
        [(("month", "day"), "year"), (("year", "day"), "month"), (("year", "hour"), "day")],
    )
    def test_a_part_that_is_missing_is_asked_for(
        self, columns: tuple[str, ...], missing: str, tmp_path: Path
    ) -> None:
        with pytest.raises(
            UsageError, match=rf"time=\({columns[0]!r}, {columns[1]!r}\): the {missing} is missing"
        ):
            fitted(monthly(day=1, hour=1), tmp_path, time=columns)


class TestCommands:
    def test_fit_predict_backtest_and_score(self, forecast: Run, tmp_path: Path) -> None:
        data, past, made = (tmp_path / name for name in ("data.csv", "past.csv", "made.csv"))
        monthly().to_csv(data, index=False)
        monthly()[:-3].to_csv(past, index=False)
        store = ("--artifact", tmp_path / "store")
        fit = forecast("fit", past, "--time", "year,month", *NAIVE, *store)
        assert fit.code == 0
        assert "time     year, month: 1990-01 to 1997-09, every MS" in fit.err
        assert forecast("predict", past, *store, "--output", made).code == 0
        found = pd.read_csv(made)
        assert list(found.columns[:4]) == ["series", "year", "month", "forecast"]
        assert written(found, ["year", "month"]) == [(1997, 10), (1997, 11), (1997, 12)]
        earlier = forecast("predict", data, "--origin", "1996-12", *store)
        assert written(earlier.frame, ["year", "month"]) == [(1997, 1), (1997, 2), (1997, 3)]
        scored = forecast("score", made, data)
        assert scored.code == 0
        assert "scored   3 forecasts" in scored.err
        tested = forecast(
            "backtest", data, *NAIVE, "--windows", 2, "--forecasts", tmp_path / "rows.csv"
        )
        assert tested.code == 0
        rows = pd.read_csv(tmp_path / "rows.csv")
        assert written(rows[:3], ["origin", "year", "month"]) == [
            ("1997-06", 1997, month) for month in (7, 8, 9)
        ]

    def test_values_known_in_advance_come_in_a_file_of_the_future(
        self, forecast: Run, tmp_path: Path
    ) -> None:
        data, future, store = (
            tmp_path / "data.csv",
            tmp_path / "future.csv",
            ("--artifact", tmp_path / "store"),
        )
        frame = monthly(promo=np.arange(96) % 5 == 0).astype({"promo": int})
        frame[:-3].to_csv(data, index=False)
        frame[-3:].drop(columns="value").to_csv(future, index=False)
        assert (
            forecast("fit", data, "--known", "promo", "--target", "value", *NAIVE, *store).code == 0
        )
        refused = forecast("predict", data, *store)
        assert refused.code == 65
        assert "1997-10, 1997-11, 1997-12" in refused.err
        assert written(forecast("predict", data, "--future", future, *store).frame, ["month"]) == [
            (10,),
            (11,),
            (12,),
        ]

    @pytest.mark.parametrize(
        "change",
        [
            {"parts": ["%Y"], "kinds": ["number"]},
            {"parts": ["%Y", "%b"], "kinds": ["number", "number"]},
            {"parts": ["%Y", "%m"], "kinds": ["number", "datetime"]},
            {"parts": ["%Y", "%Q"]},
        ],
    )
    def test_an_artifact_that_cannot_write_its_times_is_refused(
        self, change: dict[str, Any]
    ) -> None:
        contents = to_contents(Forecaster(model="last", horizon=2).fit(monthly()).fitted_)
        from_contents(contents)
        contents.config["config"]["table"]["time_format"].update(change)
        with pytest.raises(ArtifactRefused):
            from_contents(contents)
