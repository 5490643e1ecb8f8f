"""What forecasts are made of, where the truth is known."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData
from tests.report.panels import CALENDARS, Made, made

HORIZON = 14
NAMES = ["median", "level", "season", "events", "known", "rest"]


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


def test_without_future_values_there_are_no_parts(panel_frame: pd.DataFrame) -> None:
    settings = {"known": "promo", "past": "price", "static": "size", "horizon": 7}
    model = Forecaster(model="linear", steps=20, id="shop", target="units", **settings).fit(
        panel_frame
    )
    with pytest.raises(BadData, match="promo"):
        model.explain()
    later = panel_frame.assign(units=np.nan)
    days = pd.to_datetime(later["day"]) + pd.Timedelta(days=80)
    future = later.assign(day=days.dt.strftime("%Y-%m-%d"))[["shop", "day", "promo"]]
    assert len(model.explain(future=future).parts) == 4 * 7


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
    return Forecaster(horizon=panel.horizon, **reading, **settings).fit(table).explain().parts


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
