"""Rows of a table: a code for each id, repeated rows made one; which columns are categories, and what they become."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData, UsageError
from forecast.panel.infer import read
from forecast.panel.observations import TimedValues, id_codes
from forecast.panel.schema import Schema
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table, table_from_frame
from tests.conftest import Run


def rows_of(*rows: tuple[int, int, float]) -> TimedValues:
    series, times, values = zip(*rows, strict=True)
    return TimedValues(np.array(series), np.array(times), np.array(values))


@pytest.mark.parametrize(
    ("how", "value"), [("first", 5.0), ("last", 1.0), ("mean", 3.0), ("sum", 9.0)]
)
def test_rows_of_one_series_and_time_become_one(how: str, value: float) -> None:
    made = rows_of((1, 20, 5.0), (0, 30, 7.0), (1, 20, 3.0), (1, 10, 2.0), (1, 20, 1.0)).combine(
        how
    )
    assert made.series.tolist() == [0, 1, 1]
    assert made.timestamps.tolist() == [30, 10, 20]
    assert made.values.tolist() == [7.0, 2.0, value]


def test_rows_in_order_stay_as_they_are() -> None:
    rows = rows_of((0, 10, 1.0), (0, 20, 2.0), (1, 10, 3.0))
    assert rows.combine("sum") is rows
    nothing = rows.select(np.zeros(3, bool))
    assert len(nothing.combine("sum").values) == 0


def test_ids_of_several_columns_are_ascending_and_coded_by_row() -> None:
    frame = pd.DataFrame(
        {"shop": ["b", "a", "b", "a"], "item": ["x", "y", "x", "x"], "value": [1, 2, 3, 4]}
    )
    ids, codes = id_codes(table_from_frame(frame), ("shop", "item"))
    assert ids == (("a", "x"), ("a", "y"), ("b", "x"))
    assert codes.tolist() == [2, 1, 2, 0]


def test_a_table_without_ids_is_one_series() -> None:
    ids, codes = id_codes(table_from_frame(pd.DataFrame({"value": [1, 2]})), ())
    assert ids == ((),)
    assert codes.tolist() == [0, 0]


@pytest.mark.parametrize(
    "like",
    [
        "cafe\u0301 1",
        " caf\xe9 1",
        "caf\xe9\u200b 1",
        "CAF\xc9 1",
        "caf\xe9\xa01",
        "caf\xe9 \uff11",
    ],
)
def test_ids_that_look_alike_are_pointed_out(like: str, caplog: pytest.LogCaptureFixture) -> None:
    days = pd.date_range("2024-01-01", periods=20)
    frame = pd.DataFrame(
        {
            "id": np.repeat(["caf\xe9 1", like, "caf\xe9 2"], 20),
            "day": [*days] * 3,
            "y": np.arange(60),
        }
    )
    read(table_from_frame(frame), TableSettings(), horizon=2)
    assert "differ only in blanks, case or how letters are encoded" in caplog.text
    assert like in caplog.text


QUICK = ("--model", "segrnn", "--steps", 4, "-p", "hidden_size=4", "--horizon", 3, "--season", 7)


def days(kinds: list[str], start: str = "2024-01-01") -> pd.DataFrame:
    """A series of days with a covariate."""
    times = pd.date_range(start, periods=len(kinds)).strftime("%Y-%m-%d")
    return pd.DataFrame(
        {"day": times, "sales": [10.0 + i % 7 for i in range(len(kinds))], "kind": kinds}
    )


MIXED = (["0"] * 19 + ["a"] + ["0"] * 19 + ["b"] + ["0"] * 18 + ["a", "c"]) * 2


def inferred(frame: pd.DataFrame, path: Path | None = None, **settings: Any) -> Schema:
    if path is not None:
        frame.to_csv(path, index=False)
    table = table_from_frame(frame) if path is None else read_table(str(path), TextSettings())
    return read(table, TableSettings.check({"known": "kind", **settings})).schema


@pytest.mark.parametrize("role", ["known", "past"])
def test_codes_that_mix_digits_and_letters_are_categories(tmp_path: Path, role: str) -> None:
    for path in (tmp_path / "a.csv", None):
        schema = inferred(days(MIXED), path, **{"known": (), role: "kind"})
        assert schema.categories == {"kind": ("0", "a", "b", "c")}


def test_static_codes_are_categories(tmp_path: Path) -> None:
    sizes = [str(size) for size in [*range(1, 20), "x"]]
    parts = [days(["0"] * 20).assign(shop=f"shop {i}", kind=size) for i, size in enumerate(sizes)]
    schema = inferred(pd.concat(parts), tmp_path / "a.csv", known=(), static="kind", target="sales")
    assert schema.ids == ("shop",)
    assert schema.categories == {"kind": tuple(sorted(sizes))}


def test_numbers_stay_numbers_and_typing_errors_are_pointed_at(tmp_path: Path) -> None:
    assert inferred(days(["0", "1"] * 30), tmp_path / "a.csv").categories == {}
    words = "'oops' is not a number.*if the column holds categories, fit with categorical='kind'"
    for kinds in (
        ["0", "1"] * 30 + ["oops"],
        [str(i) for i in range(60)] + ["oops"] * 2,
        ["1.5"] * 60 + ["oops"],
    ):
        frame = days(kinds)
        with pytest.raises(BadData, match=words):
            inferred(frame, tmp_path / "a.csv")
        assert "oops" in inferred(frame, tmp_path / "a.csv", categorical="kind").categories["kind"]


def test_codes_without_a_role_are_no_series(tmp_path: Path) -> None:
    schema = inferred(days(MIXED), tmp_path / "a.csv", known=())
    assert (schema.series, schema.ignored) == (("sales",), ("kind",))


def test_columns_that_look_like_numbers_become_categories_when_named(tmp_path: Path) -> None:
    frame = days(["1", "2", "3"] * 20)
    assert inferred(frame, tmp_path / "a.csv", categorical="kind").categories == {
        "kind": ("1", "2", "3")
    }
    typed = frame.assign(kind=frame["kind"].astype(float))
    assert inferred(typed, categorical="kind").categories == {"kind": ("1", "2", "3")}


def test_categoricals_of_pandas_are_categories_whatever_they_hold() -> None:
    for values in (
        [1, 2, 3] * 20,
        [1.0, 2.0, np.nan, 3.0] * 15,
        ["1", "2", "3"] * 20,
        [1, 2.0, "3"] * 20,
    ):
        frame = days(["0"] * 60).assign(kind=pd.Categorical(values))
        assert inferred(frame).categories == {"kind": ("1", "2", "3")}


def test_only_covariates_can_be_categorical(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="categorical='sales': name the column with known=, past= or static="
    ):
        inferred(days(MIXED), tmp_path / "a.csv", categorical="sales")
    with pytest.raises(BadData, match="no column 'color'"):
        inferred(days(MIXED), tmp_path / "a.csv", categorical="color")


@pytest.fixture
def fitted(forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose network has seen the kinds 0, a, b and c."""
    monkeypatch.chdir(tmp_path)
    days(MIXED).to_csv("sales.csv", index=False)
    found = forecast("fit", "sales.csv", "--known", "kind", *QUICK)
    assert found.code == 0, found.err
    assert "known    kind (categories 0, a, b, c)" in found.err
    return tmp_path


def test_predict_warns_of_a_category_that_fit_did_not_see(forecast: Run, fitted: Path) -> None:
    for kinds, words in (
        (["0", "a", "c"], ""),
        (["0", "d", "d"], "has categories that fit did not see ('d'), in 2 rows"),
    ):
        days(kinds, "2024-04-30").drop(columns="sales").to_csv("plan.csv", index=False)
        found = forecast("predict", "--future", "plan.csv")
        assert (found.code, len(found.frame)) == (0, 3)
        assert words in found.err
        assert bool(words) == ("fit did not see" in found.err)


def test_categories_live_through_a_store_a_backtest_and_a_job(forecast: Run, fitted: Path) -> None:
    frame = days(MIXED).assign(kind=pd.Categorical(MIXED))
    model = Forecaster.load("forecast-model")
    plan = days(["a", "0", "0"], "2024-04-30").drop(columns="sales")
    assert len(model.predict(frame, future=plan)) == 3
    found = forecast("backtest", "sales.csv", "--artifact", "forecast-model", "--windows", 2)
    assert found.code == 0, found.err
    numbers = days(["1", "2"] * 60)
    numbers.to_csv("numbers.csv", index=False)
    plan.assign(kind=1).to_csv("plan.csv", index=False)
    Path("job.toml").write_text(
        'store = "job"\n[source]\npath = "numbers.csv"\nfuture = "plan.csv"\n[table]\nknown = "kind"\n'
        'categorical = "kind"\n[train]\nmodel = "last"\nhorizon = 3\n[sink]\npath = "out.csv"\n'
    )
    found = forecast("run", "job.toml")
    assert found.code == 0, found.err
    assert Forecaster.load("job").schema_.categories == {"kind": ("1", "2")}
    assert Forecaster.load("job").get_params()["categorical"] == ("kind",)


def test_static_categories_of_new_series_are_unknown_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = pd.concat([days(["x"] * 40).assign(shop="a"), days(["y"] * 40).assign(shop="b")])
    model = Forecaster(model="last", horizon=2, static="kind").fit(frame)
    with caplog.at_level(logging.WARNING, "forecast"):
        model.predict(pd.concat([frame, days(["z"] * 40).assign(shop="c")]))
    assert "column 'kind' has categories that fit did not see ('z'), in 40 rows" in caplog.text
