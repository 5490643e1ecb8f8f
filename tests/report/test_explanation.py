"""What forecasts rest on, and what they are made of, where the truth is known."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.ensemble.baseline_forecasts import baseline_forecasts
from forecast.errors import BadData, UsageError
from tests.report.panels import CALENDARS, Made, made

Run = Callable[..., Any]

DAYS, HORIZON = 240, 14
NAMES = ["median", "level", "season", "events", "known", "rest"]


def driven(seed: int, series: int = 4) -> pd.DataFrame:
    """Shops with a week, a promotion that adds 15, and a column that says nothing; no targets in the horizon."""
    random, frames = np.random.default_rng(seed), []
    days = pd.date_range("2024-01-01", periods=DAYS)
    for shop in range(series):
        promo, idle = (random.random((2, DAYS)) < 0.2).astype(int)
        wave = 10 * np.sin(2 * np.pi * np.arange(DAYS) / 7)
        units = 100 + 20 * shop + wave + 15 * promo + 2 * random.normal(size=DAYS)
        units[-HORIZON:] = np.nan
        frames.append(
            pd.DataFrame(
                {"shop": f"s{shop}", "day": days, "units": units, "promo": promo, "idle": idle}
            )
        )
    return pd.concat(frames)


def fitted(frame: pd.DataFrame) -> Forecaster:
    settings = {"id": "shop", "target": "units", "known": ("promo", "idle"), "horizon": HORIZON}
    return Forecaster(model="segrnn", steps=200, **settings).fit(frame)


def check_driver(seed: int) -> bool:
    """Whether the column that drives is the most important input, and the idle one within noise of zero."""
    found = fitted(driven(seed)).explain().importance
    assert (found["mean"].diff().dropna() <= 0).all()
    idle = found.set_index("input").loc["idle"]
    return found["input"][0] == "promo" and abs(idle["mean"]) < 3 * idle["std"]


@pytest.mark.slow  # the sale in the parts below is one
def test_the_column_that_drives_is_the_most_important_input() -> None:
    assert check_driver(0)


@pytest.mark.slow
def test_one_series_is_explained_without_forecasting_the_same_values_again(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = driven(0, series=6)
    frame[frame["units"].notna()].to_csv(tmp_path / "past.csv", index=False)
    frame[frame["units"].isna()].drop(columns="units").to_csv(tmp_path / "future.csv", index=False)
    store = "--artifact", tmp_path / "store"
    read = (
        "--id",
        "shop",
        "--target",
        "units",
        "--known",
        "promo,idle",
        "--horizon",
        HORIZON,
        *store,
    )
    small = "--model", "segrnn", "-p", "hidden_size=4", "--steps", 2, "--baselines", "seasonal-mean"
    assert forecast("fit", tmp_path / "past.csv", *read, *small).code == 0
    asked = []

    def counted(inputs: Any, windows: Any, *rest: Any) -> Any:
        asked.append(len(windows[0]))
        return baseline_forecasts(inputs, windows, *rest)

    monkeypatch.setattr("forecast.ensemble.ensemble.baseline_forecasts", counted)
    explain = "explain", "--future", tmp_path / "future.csv", *store
    every = forecast(*explain, "--json", "--repeats", 3)
    asked.clear()
    found = forecast(*explain, "--json", "--repeats", 30, "--series", "s4")
    assert (every.code, found.code) == (0, 0)
    # the window of the series that is shown; and those that are held out, with all values and four times without some
    assert asked[0] == 1
    assert len(asked) == 6
    parts = json.loads(found.out)["parts"]
    assert [row["shop"] for row in parts] == ["s4"] * HORIZON
    assert [row["median"] for row in parts] == [
        row["median"] for row in json.loads(every.out)["parts"][56:70]
    ]


def test_importance_on_values_of_the_fit_is_called_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="forecast")
    days = pd.date_range("2024-01-01", periods=80)
    frame = pd.DataFrame({"day": days, "y": np.random.default_rng(0).normal(size=80)})
    model = Forecaster(model="mean", horizon=7).fit(frame[:70])
    for table, said in ((None, True), (frame[:70], True), (frame, False)):
        caplog.clear()
        model.explain(table)
        assert ("importance is measured on values of the fit" in caplog.text) == said


@pytest.mark.slow
def test_the_column_that_drives_is_the_most_important_input_of_almost_all_panels() -> None:
    assert sum(check_driver(seed) for seed in range(50)) >= 48


@pytest.fixture(scope="module")
def sale() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four series of a level, a week of a tenth of it and a sale that adds 40 %, without noise; and the sales."""
    days = pd.date_range("2023-01-02", periods=420)
    dates = days[[30, 75, 110, 160, 190, 240, 290, 330, 370, 408]]
    week = 1 + 0.1 * np.sin(2 * np.pi * np.arange(420) / 7)
    levels = pd.DataFrame(
        {"shop": [f"s{shop}" for shop in range(4)], "base": 100.0 + 50 * np.arange(4)}
    )
    frame = levels.merge(
        pd.DataFrame({"day": days, "week": week, "sale": days.isin(dates)}), how="cross"
    )
    frame["units"] = frame["base"] * frame["week"] * (1 + 0.4 * frame["sale"])
    return frame, pd.DataFrame({"date": dates.strftime("%Y-%m-%d"), "name": "sale"})


def test_parts_are_those_that_made_the_series_and_add_up(
    sale: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    frame, events = sale
    past = frame[frame["day"] < frame["day"].max() - pd.Timedelta(days=HORIZON - 1)]
    model = Forecaster(horizon=HORIZON, id="shop", target="units", events=events, steps=100)
    model.fit(past[["shop", "day", "units"]])
    found = model.explain()
    parts = found.parts.merge(frame, on=["shop", "day"])
    assert len(parts) == 4 * HORIZON
    assert list(found.parts.columns) == ["shop", "day", *NAMES]
    np.testing.assert_allclose(parts[NAMES[1:]].sum(axis=1), parts["median"], atol=1e-6)
    effect = {
        "level": parts["base"],
        "season": parts["base"] * (parts["week"] - 1),
        "events": parts["units"] - parts["base"] * parts["week"],
    }
    for name, true in effect.items():
        assert np.abs(parts[name] - true).max() < 0.1 * np.abs(true).max(), name
    assert np.abs(parts["rest"]).max() < 0.05 * parts["median"].min()
    assert found.importance["input"][0] == "sale"


def test_without_future_values_there_is_importance_and_a_warning(
    panel_frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {"known": "promo", "past": "price", "static": "size", "horizon": 7}
    model = Forecaster(model="linear", steps=20, id="shop", target="units", **settings).fit(
        panel_frame
    )
    found = model.explain(repeats=2)
    assert "without the parts of the forecasts" in caplog.text
    assert found.parts.empty
    kinds = dict(zip(found.importance["input"], found.importance["kind"], strict=True))
    assert (kinds["promo"], kinds["price"], kinds["size"]) == ("known", "past", "static")
    later = panel_frame.assign(units=np.nan)
    days = pd.to_datetime(later["day"]) + pd.Timedelta(days=80)
    future = later.assign(day=days.dt.strftime("%Y-%m-%d"))[["shop", "day", "promo"]]
    assert len(model.explain(future=future, repeats=2).parts) == 4 * 7


def test_a_table_that_holds_no_horizon_has_parts_only(
    forecast: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=10), "units": range(10), "promo": 1}
    )
    model = Forecaster(horizon=10, model="last").fit(frame[["day", "units"]])
    found = model.explain()
    assert "without importance: no series has more values than the horizon of 10" in caplog.text
    assert (len(found.importance), len(found.parts)) == (0, 10)
    model.save(str(tmp_path / "store"))
    shown = forecast("explain", "--artifact", tmp_path / "store")
    assert (shown.code, shown.out.count(" 2024-01-")) == (0, 10)
    reading = {"time": "day", "target": "units", "layout": "long", "known": "promo"}
    with pytest.raises(BadData, match="no forecast has an actual value"):
        Forecaster(horizon=10, model="last", **reading).fit(frame).explain()
    with pytest.raises(UsageError, match="repeats=1"):
        model.explain(repeats=1)


def check_parts(found: pd.DataFrame, panel: Made) -> None:
    """Each part lies within a tenth of its known effect, in each series, and little is left."""
    for _, own in found.merge(panel.truth, on=["shop", "time"], suffixes=("", "_made")).groupby(
        "shop"
    ):
        assert len(own) == panel.horizon
        np.testing.assert_allclose(own[NAMES[1:]].sum(axis=1), own["median"], atol=1e-6)
        for name in ("level", "season", "events"):
            error, effect = (
                (own[name] - own[f"{name}_made"]).abs().max(),
                own[f"{name}_made"].abs().max(),
            )
            assert error <= 0.1 * effect, f"{name}: off by {error:.3g} of {effect:.3g}"
        assert own["rest"].abs().max() < 0.05 * own["median"].min()


def parts_of(panel: Made, **settings: Any) -> pd.DataFrame:
    columns = ["shop", "time", "units", *settings.get("known", ())]
    table = panel.frame[columns] if "known" in settings else panel.frame[columns].dropna()
    reading = {
        "id": "shop",
        "target": "units",
        "time": "time",
        "season": panel.season,
        "events": panel.events,
    }
    return (
        Forecaster(horizon=panel.horizon, **reading, **settings).fit(table).explain(repeats=2).parts
    )


@pytest.mark.parametrize("seed", range(len(CALENDARS)))
def test_parts_are_those_that_made_the_panel_on_every_calendar(seed: int) -> None:
    panel = made(seed)
    check_parts(parts_of(panel, model="holt-winters"), panel)


@pytest.mark.slow
def test_parts_are_those_that_made_the_panel_whatever_forecasts() -> None:
    for panel in map(made, range(24)):
        check_parts(parts_of(panel), panel)


@pytest.mark.slow
def test_what_a_known_column_adds_is_in_no_other_part() -> None:
    for panel in (made(seed, driven=True) for seed in range(24, 36, 2)):
        check_column(panel)


def check_column(panel: Made) -> None:
    """What a known column adds is found, and in no other part."""
    found = parts_of(panel, model="segrnn", steps=300, known=("promo", "idle"))
    own = found.merge(panel.truth, on=["shop", "time"], suffixes=("", "_made"))
    own = own.merge(panel.frame[["shop", "time", "promo"]], on=["shop", "time"])
    on = own[own["promo"] == 1]
    assert 0.7 < (on["known"] / on["known_made"]).median() < 1.3  # a network learns it roughly
    assert (own["known"].abs() / own["level"])[own["promo"] == 0].max() < 0.05
    assert (own["level"] - own["level_made"]).abs().max() < 0.1 * own["level_made"].max()
    assert (own["rest"].abs() / own["median"]).max() < 0.05
