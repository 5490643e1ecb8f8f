"""Vintages of known columns through the whole forecaster: what became known later changes nothing."""

import json
import re
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from tests.conftest import Run

DAYS, HORIZON = 60, 3


def demand(noise: float = 2.0) -> pd.DataFrame:
    """Demand that follows the temperature, whose forecasts of up to three days ahead err more the older they are."""
    generator = np.random.default_rng(0)
    dates = pd.date_range("2024-01-01", periods=DAYS + HORIZON)
    temperature = generator.normal(15, 5, len(dates)).round(2)
    parts = [
        pd.DataFrame(
            {"date": dates[:DAYS], "load": 3 * temperature[:DAYS], "temp": temperature[:DAYS]}
        )
    ]
    for lead in range(1, HORIZON + 1):
        issued = dates - pd.Timedelta(days=lead) + pd.Timedelta(hours=18)
        errors = (noise * lead * generator.normal(size=len(dates))).round(2)
        part = pd.DataFrame({"date": dates, "temp": temperature + errors, "available_at": issued})
        parts.append(part[issued < dates[DAYS]])
    return pd.concat(parts, ignore_index=True)


def linear() -> Forecaster:
    small = {"steps": 12, "members": 1, "baselines": ("last",)}
    return Forecaster(model="linear", horizon=HORIZON, known=("temp",), target="load", **small)


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    return linear().fit(demand())


def test_values_that_become_known_after_the_origin_change_no_fit_and_no_forecast(
    fitted: Forecaster,
) -> None:
    later = pd.DataFrame({"date": demand()["date"].unique(), "temp": 99.0})
    poisoned = pd.concat([demand(), later.assign(available_at=pd.Timestamp("2024-03-01 00:00:01"))])
    assert len(later) == DAYS + HORIZON
    pd.testing.assert_frame_equal(linear().fit(poisoned).predict(), fitted.predict())
    changed = pd.concat(
        [demand(), later.assign(available_at=pd.Timestamp("2024-03-01"))]
    )  # the end of the last day
    assert not fitted.predict(changed).equals(fitted.predict())


def test_a_backtest_forecasts_from_what_was_known_and_reports_the_gap() -> None:
    table, end = demand(), pd.Timestamp("2024-02-27")  # a horizon before the end
    late = (table["available_at"] > end) | (table["available_at"].isna() & (table["date"] >= end))
    poisoned = table.assign(temp=table["temp"].where(~late, 99.0))
    one, other = (linear().backtest(each, windows=1) for each in (table, poisoned))
    pd.testing.assert_frame_equal(one.forecasts, other.forecasts)
    gaps = [found.overall.set_index("model").loc["linear"] for found in (one, other)]
    assert gaps[0]["mase"] == gaps[1]["mase"]
    assert gaps[0]["mase_final"] != gaps[1]["mase_final"]


def test_a_saved_forecaster_knows_as_much_without_its_table(
    fitted: Forecaster, tmp_path: Path
) -> None:
    fitted.save(str(tmp_path))
    loaded = Forecaster.load(str(tmp_path))
    pd.testing.assert_frame_equal(loaded.predict(), fitted.predict())
    pd.testing.assert_frame_equal(loaded.predict(demand()), fitted.predict())
    for name, values in vars(fitted.fitted_.history.vintages).items():
        np.testing.assert_array_equal(values, getattr(loaded.fitted_.history.vintages, name))
    newer = pd.DataFrame(
        {"date": pd.date_range("2024-03-01", periods=HORIZON), "temp": [30.0, 31.0, 32.0]}
    )
    timed = newer.assign(available_at=pd.Timestamp("2024-02-29 20:00"))
    pd.testing.assert_frame_equal(loaded.predict(future=timed), loaded.predict(future=newer))
    assert not loaded.predict(future=newer).equals(fitted.predict())
    after = timed.assign(available_at=pd.Timestamp("2024-03-01 06:00"))
    pd.testing.assert_frame_equal(loaded.predict(future=after), fitted.predict())


def test_training_sees_what_was_known_and_nothing_that_a_newer_value_had_replaced(
    fitted: Forecaster,
) -> None:
    table = demand()
    early = table["available_at"].notna() & (table["date"] < pd.Timestamp("2024-02-01"))
    wrong = table[early].assign(temp=99.0)
    replaced = wrong.assign(
        available_at=wrong["available_at"] - pd.Timedelta(hours=6)
    )  # on the same day
    pd.testing.assert_frame_equal(
        linear().fit(pd.concat([table, replaced])).predict(), fitted.predict()
    )
    seen = pd.concat(
        [table[~early], wrong]
    )  # its past and its horizon are the same when it forecasts
    assert not linear().fit(seen).predict().equals(fitted.predict())


def test_the_command_line_fits_and_backtests_with_vintages_in_a_table_of_their_own(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = demand()
    past = table["available_at"].isna()
    table[past].drop(columns="available_at").to_csv("load.csv", index=False)
    table[~past].drop(columns="load").to_csv("weather.csv", index=False)
    table.to_csv("both.csv", index=False)
    words = [
        *split("--known temp --target load"),
        "--horizon",
        HORIZON,
        *split("--model linear --steps 12"),
    ]
    words += ["--members", 1, "--baselines", "last"]
    ran = forecast("fit", "load.csv", "--future", "weather.csv", *words)
    assert ran.code == 0, ran.err
    assert re.search(
        r"known    temp: \d+ vintages; age of the newest at the origin in steps: 0\n", ran.err
    )
    apart = forecast("predict")
    assert "vintages; age of the newest" in apart.err
    assert forecast("fit", "both.csv", *words).code == 0
    assert forecast("predict").out == apart.out
    assert forecast("predict", "both.csv").out == apart.out
    assert forecast("predict", "load.csv", "--future", "weather.csv").out == apart.out
    code = forecast("predict", "load.csv", "--origin", "2024-02-20", "--future", "weather.csv")
    assert code.code == 0, code.err
    ran = forecast(
        "backtest", "load.csv", "--future", "weather.csv", *words, "--windows", 2, "--json"
    )
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)["overall"][1]
    said = f"MASE {found['mase']:.4g} with the values known at each origin, {found['mase_final']:.4g} with the final"
    assert said in ran.err
    ran = forecast("backtest", "load.csv", *words, "--windows", 2)
    assert ran.err.count("forecasts get the final values, as if they had been known") == 1
    (tmp_path / "bad.csv").write_text(
        "date,temp,available_at\n2024-03-01,1,2024-02-01\n2024-03-01,2,2024-02-01\n"
    )
    ran = forecast("predict", "load.csv", "--future", "bad.csv")
    assert ran.code == 65
    assert (
        "bad.csv line 3, column 'temp': line 2 has another value for the same series, time and available_at"
        in ran.err
    )
