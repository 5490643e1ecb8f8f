"""What `forecast predict` says of the past and the future that it is given."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData
from forecast.settings import TextSettings
from forecast.tables.reading import read_table
from tests.conftest import Run

SEEN = "the model was trained on values up to"


@pytest.fixture
def table() -> pd.DataFrame:
    """Two shops, 60 days, a promotion known in advance."""
    day = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    return pd.DataFrame(
        {
            "shop": np.repeat(["a", "b"], 60),
            "day": [*day, *day],
            "units": np.arange(120.0) % 7,
            "promo": np.arange(120) % 2,
        }
    )


def _fitted(forecast: Run, folder: Path, table: pd.DataFrame, *words: object) -> Path:
    table.to_csv(folder / "t.csv", index=False)
    options = ("--model", "last", "--horizon", 7, "--lookback", 20, *words)
    ran = forecast("fit", folder / "t.csv", "--artifact", folder / "s", *options)
    assert ran.code == 0, ran.err
    return folder / "s"


def test_an_origin_before_the_end_of_training_is_said_with_what_was_seen(
    forecast: Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    store = _fitted(forecast, tmp_path, table.drop(columns="promo"))
    early = forecast("predict", tmp_path / "t.csv", "--artifact", store, "--origin", "2024-02-10")
    assert early.code == 0
    assert f"t.csv: {SEEN} 2024-02-29, so that it has seen 7 of the 7 steps" in early.err
    assert "steps after 2024-02-10" in early.err
    late = forecast("predict", tmp_path / "t.csv", "--artifact", store, "--origin", "2024-02-26")
    assert "it has seen 3 of the 7 steps after 2024-02-26" in late.err
    table[table["day"] < "2024-02-20"].drop(columns="promo").to_csv(
        tmp_path / "old.csv", index=False
    )
    assert SEEN in forecast("predict", tmp_path / "old.csv", "--artifact", store).err
    for words in ((), (tmp_path / "t.csv",), (tmp_path / "t.csv", "--origin", "2024-02-29")):
        assert SEEN not in forecast("predict", *words, "--artifact", store).err


def test_blank_known_values_in_the_horizon_are_counted(
    forecast: Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    store = _fitted(forecast, tmp_path, table, "--known", "promo")
    day = pd.date_range("2024-03-01", periods=7).strftime("%Y-%m-%d")
    ahead = pd.DataFrame({"shop": np.repeat(["a", "b"], 7), "day": [*day, *day], "promo": 1.0})
    ahead.loc[[2, 3, 9], "promo"] = np.nan
    ahead.to_csv(tmp_path / "ahead.csv", index=False)
    refused = forecast("predict", "--artifact", store, "--future", tmp_path / "ahead.csv")
    assert refused.code == 65
    assert (
        "has no value for 2 of the 7 steps of series 'a': 2024-03-03, 2024-03-04 (in all 3"
        in refused.err
    )
    assert "blank targets, or pass them with --future; --future-template writes" in refused.err
    with pytest.raises(
        BadData, match=r"add missing rows with blank targets, or pass them with fut"
    ):
        Forecaster.load(str(store)).predict(table)


def test_blank_known_values_that_a_fit_or_a_score_uses_are_counted(
    table: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    past = table[table["day"] < "2024-02-23"].copy()
    past.loc[[3, 4], "promo"] = np.nan
    fitted = Forecaster(model="last", horizon=7, known="promo").fit(past)
    assert "blank beside some of the 106 values ('promo' 2 times)" in caplog.text
    later = table.copy()
    later.loc[later["day"] > "2024-02-26", "promo"] = np.nan
    fitted.score(later)
    assert "6 of 14 values known in advance are blank in the " in caplog.text


@pytest.mark.parametrize(("model", "told"), [("gru", 1), ("last", 0)])
def test_a_shorter_horizon_says_what_stands_for_the_columns_after_it(
    forecast: Run, table: pd.DataFrame, tmp_path: Path, model: str, told: int
) -> None:
    words = (
        "--model",
        model,
        "--horizon",
        7,
        *(("--no-guard", "--steps", 2, "-p", "hidden_size=4") if told else ()),
    )
    store = _fitted(forecast, tmp_path, table, "--known", "promo", *words)
    days = pd.date_range("2024-03-01", periods=7).strftime("%Y-%m-%d")
    later = pd.DataFrame(
        {"shop": np.repeat(["a", "b"], 7), "day": [*days, *days], "promo": np.arange(14) % 2}
    )
    later.to_csv(tmp_path / "all.csv", index=False)
    later[later["day"] < "2024-03-04"].to_csv(tmp_path / "three.csv", index=False)
    predict = ("predict", "--artifact", store, "--engine", "torch", "--horizon", 3, "--future")
    whole, cut = (
        forecast(*predict, tmp_path / "all.csv"),
        forecast(*predict, tmp_path / "three.csv"),
    )
    assert (whole.code, cut.code) == (0, 0)
    expected = (
        "three.csv: 8 of 14 values known in advance are blank in the 7 steps forecast together"
    )
    assert cut.err.count(expected) == told
    assert "their mean stands" not in whole.err
    assert told or whole.out == cut.out


@pytest.mark.parametrize("file", ["ahead.csv", "ahead.parquet", "ahead.xlsx"])
def test_a_template_has_the_rows_that_a_forecast_with_known_columns_needs(
    forecast: Run, table: pd.DataFrame, tmp_path: Path, file: str
) -> None:
    store = _fitted(
        forecast, tmp_path, table.assign(shop=table["shop"].replace("b", "007")), "--known", "promo"
    )
    refused = forecast("predict", "--artifact", store)
    assert (refused.code, "; --future-template writes the rows that are needed" in refused.err) == (
        65,
        True,
    )
    written = forecast("predict", "--artifact", store, "--future-template", tmp_path / file)
    assert (written.code, written.out) == (0, "")
    rows = read_table(str(tmp_path / file), TextSettings()).frame.replace("", np.nan)
    assert list(rows.columns) == ["shop", "day", "promo"]
    assert rows["shop"].tolist() == ["a"] * 7 + ["007"] * 7
    assert (
        pd.to_datetime(rows["day"]).tolist() == 2 * pd.date_range("2024-03-01", periods=7).tolist()
    )
    assert rows["promo"].isna().all()
    blank = forecast("predict", "--artifact", store, "--future", tmp_path / file)
    assert (blank.code, "has no value for 7 of the 7 steps" in blank.err) == (65, True)
    rows.assign(promo=1).to_csv(tmp_path / "filled.csv", index=False)
    assert forecast("predict", "--artifact", store, "--future", tmp_path / "filled.csv").code == 0


def test_a_template_of_a_table_continues_that_table_and_is_refused_where_nothing_is_known(
    forecast: Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    wide = table[:60].drop(columns="shop").assign(more=1.5)
    store = _fitted(forecast, tmp_path, wide, "--known", "promo", "--layout", "wide")
    words = ("predict", tmp_path / "t.csv", "--artifact", store, "--horizon", 2)
    written = forecast(*words, "--origin", "2024-02-10", "--future-template", tmp_path / "new.csv")
    assert written.code == 0
    assert (
        tmp_path / "new.csv"
    ).read_text() == "day,promo\n2024-02-11,\n2024-02-12,\n"  # holds for all series
    both = forecast(*words, "--future-template", tmp_path / "n.csv", "--output", tmp_path / "o.csv")
    assert (both.code, "--output: it does not go with --future-template" in both.err) == (2, True)
    over = forecast(*words, "--future-template", tmp_path / "t.csv")
    assert (over.code, "is the table that is read" in over.err) == (2, True)
    store = _fitted(forecast, tmp_path, wide)
    none = forecast("predict", "--artifact", store, "--future-template", tmp_path / "n.csv")
    assert (none.code, "uses no columns that are known in advance" in none.err) == (2, True)
    assert not (tmp_path / "n.csv").exists()


def test_python_gets_the_template_as_a_frame(table: pd.DataFrame) -> None:
    model = Forecaster(model="last", horizon=2, known="promo").fit(table)
    rows = model.future_template()
    assert rows.values.tolist()[0][:2] == ["a", "2024-03-01"]
    assert len(model.predict(future=rows.assign(promo=0))) == 4
