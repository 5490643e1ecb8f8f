"""What columns known in advance do is whole in every forecast, and nothing where they do nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import made
from forecast import Forecaster
from forecast.effects import columns
from forecast.errors import UsageError

HORIZON = 14
ELASTICITY = -1.5
PROMOTION = 0.3  # logarithm of its factor


def sales(
    days: int, items: int = 1, seed: int = 0, freq: str = "D", season: int = 7
) -> pd.DataFrame:
    """Sales by day, or another step; the last horizon has prices and promotions only."""
    random = np.random.default_rng(seed)
    parts = []
    for item in range(items):
        weeks = random.normal(0, 0.1, days // 7 + 1)
        price = np.exp(np.repeat(weeks, 7)[:days])
        promotion = (random.random(days) < 0.1).astype(float)
        week = 1 + 0.2 * np.sin(2 * np.pi * np.arange(days) / season)
        mean = 50 * (1 + item) * week * price**ELASTICITY * np.exp(PROMOTION * promotion)
        units = mean * np.exp(random.normal(0, 0.1, days))
        units[-HORIZON:] = np.nan
        columns = {
            "item": f"i{item}",
            "day": pd.date_range("2024-01-01", periods=days, freq=freq),
            "units": units.round(2),
            "price": (price * 3 * (1 + item)).round(3),
            "promo": promotion,
            "noise": random.normal(size=days).round(3),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def forecaster(*known: str, model: str = "pretrained", **settings: Any) -> Forecaster:
    return Forecaster(
        model=model,
        horizon=HORIZON,
        id="item",
        time="day",
        target="units",
        known=list(known),
        past=[],
        **settings,
    )


def known_ahead(table: pd.DataFrame) -> pd.DataFrame:
    ahead = table[table["units"].isna()]
    return ahead[["item", "day", "price", "promo"]].copy()


def test_a_season_that_prices_hide_is_found() -> None:
    table = made.monthly(0)
    blind, _ = replace(table, known=()).forecast(made.NOW, None)
    assert blind.schema_.season == ()
    model, rows = table.forecast(made.NOW, None)
    assert model.schema_.season == (12,)
    assert made.over_truth(rows) < 1.5


def test_effects_of_two_prices_in_few_values_multiply_them() -> None:
    """Both levels have noise of 10 %, so that amounts would promise too much at the lower one."""
    for seed in (1, 13):
        table = made.one_rare(seed)
        model, _ = table.forecast(made.NOW, None)
        ahead = table.coming[["series", "time", *table.known]]
        cheaper = model.what_if({"price*": 0.9}, future=ahead)
        ratio = cheaper["what_if"].sum() / cheaper["forecast"].sum()
        assert np.log(ratio) / np.log(0.9) == pytest.approx(ELASTICITY, abs=0.25)


@pytest.mark.parametrize("items", [1, 4])
def test_a_price_and_a_promotion_act_whole_and_on_their_days_only(items: int) -> None:
    table = sales(214, items)
    model = forecaster("price", "promo").fit(table.drop(columns="noise"))
    ahead = known_ahead(table)
    usual = model.predict(future=ahead)

    late = ahead["day"] >= ahead["day"].min() + pd.Timedelta(days=5)
    dearer = ahead.copy()
    dearer.loc[late, "price"] *= 1.1
    changed = model.predict(future=dearer)
    days = usual["day"] >= usual["day"].min() + pd.Timedelta(days=5)
    pd.testing.assert_frame_equal(changed[~days], usual[~days])
    ratio = changed["forecast"] / usual["forecast"]
    assert np.log(ratio[days]).mean() / np.log(1.1) == pytest.approx(ELASTICITY, abs=0.25)

    both = [model.predict(future=ahead.assign(promo=value))["forecast"] for value in (0.0, 1.0)]
    assert np.log(both[1] / both[0]).mean() == pytest.approx(PROMOTION, abs=0.05)


def test_prices_that_were_planned_otherwise_keep_their_effects_and_widen_intervals() -> None:
    final = sales(214).drop(columns="noise")
    issued = final["day"] - pd.Timedelta(days=3)
    plan = final.assign(price=final["price"] * 1.2, units=np.nan, available_at=issued)
    past = final[final["units"].notna()]
    ahead = known_ahead(final)
    plain, planned = (
        forecaster("price", "promo").fit(table, future=ahead).predict(future=ahead)
        for table in (past, pd.concat([past, plan]))
    )
    pd.testing.assert_series_equal(planned["forecast"], plain["forecast"])
    below = (planned["lo_80"] / plain["lo_80"])[:3]  # windows of the fit knew wrong prices
    assert (below < 0.75).all()


def test_a_price_acts_whole_in_weeks_whose_season_is_a_year() -> None:
    table = sales(160, items=4, freq="W", season=52)
    model = forecaster("price", "promo").fit(table.drop(columns="noise"))
    ahead = known_ahead(table)
    answer = model.what_if({"price*": 1.1}, future=ahead)
    ratio = answer["what_if"] / answer["forecast"]
    assert np.log(ratio).mean() / np.log(1.1) == pytest.approx(ELASTICITY, abs=0.2)
    answer = model.what_if({"promo": 1}, future=ahead.assign(promo=0))
    ratio = answer["what_if"] / answer["forecast"]
    assert np.log(ratio).mean() == pytest.approx(PROMOTION, abs=0.05)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_price_that_rises_with_sales_acts_as_much_as_others(seed: int) -> None:
    model, ahead = fitted_to_days(seed, trend=1, year=0)
    assert elasticity(model, ahead) == pytest.approx(-2, abs=0.25)


@pytest.mark.parametrize("seed", [1, 3])
def test_a_price_with_the_year_does_not_take_its_effect(seed: int) -> None:
    model, ahead = fitted_to_days(seed, trend=0, year=1)
    assert elasticity(model, ahead) == pytest.approx(-2, abs=0.25)


@pytest.mark.parametrize("own", [0.05, 0.0])
def test_a_price_is_told_from_80_weeks_of_a_year_where_it_moves_by_itself(
    own: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a warning says so."""
    random = np.random.default_rng(102)
    steps = np.arange(80 + HORIZON)
    angle = 2 * np.pi * steps / 52.18
    frames = []
    for shop in range(6):
        moves = np.repeat(random.normal(size=len(steps)), 4)[: len(steps)]
        price = 0.1 * np.cos(angle + shop + 1) + own * moves
        units = 5 + 0.3 * np.cos(angle + shop) - 2 * price + 0.1 * random.normal(size=len(steps))
        week = pd.date_range("2023-01-01", periods=len(steps), freq="W")
        columns = {"item": f"{shop}", "day": week, "units": np.exp(units), "price": np.exp(price)}
        frames.append(pd.DataFrame(columns))
    table = pd.concat(frames)
    is_past = table["day"] < week[80]
    model = forecaster("price", model="seasonal-naive").fit(table[is_past])
    warned = "price moves with a season or a trend" in caplog.text
    assert warned == (own == 0)
    ahead = table[~is_past].drop(columns="units")
    assert own == 0 or elasticity(model, ahead) == pytest.approx(-2, abs=0.5)


def fitted_to_days(seed: int, trend: float, year: float) -> tuple[Forecaster, pd.DataFrame]:
    """A model of 400 days whose sales and price move with a trend or the year; what is to come."""
    random = np.random.default_rng(seed)
    steps = np.arange(400 + HORIZON)
    wave = np.sin(2 * np.pi * steps / 365.25)
    weeks = 0.06 * random.normal(size=len(steps) // 7 + 1)
    price = 0.3 * trend * steps / 400 + 0.1 * year * wave + np.repeat(weeks, 7)[: len(steps)]
    units = 5 + 0.4 * trend * steps / 400 + 0.3 * year * wave - 2 * price
    units += 0.1 * random.normal(size=len(steps))
    days = pd.date_range("2022-01-03", periods=len(steps))
    columns = {"item": "a", "day": days, "units": np.exp(units), "price": np.exp(price)}
    table = pd.DataFrame(columns)
    model = forecaster("price").fit(table[:400])
    return model, table[400:].drop(columns="units")


def elasticity(model: Forecaster, ahead: pd.DataFrame) -> float:
    changed = model.what_if({"price*": 1.01}, future=ahead)
    return float(np.log(changed["what_if"].sum() / changed["forecast"].sum()) / np.log(1.01))


def test_each_item_of_a_panel_reacts_in_its_own_strength() -> None:
    table = sales(214, 4)
    flat = table["item"].isin(["i0", "i1"])  # prices that these customers do not look at
    price = table["price"] / table.groupby("item")["price"].transform("mean")
    table.loc[flat, "units"] *= price[flat] ** -ELASTICITY
    model = forecaster("price", "promo").fit(table.drop(columns="noise"))
    ahead = known_ahead(table)
    usual = model.predict(future=ahead)
    dearer = model.predict(future=ahead.assign(price=ahead["price"] * 1.1))
    change = np.log(dearer["forecast"] / usual["forecast"]) / np.log(1.1)
    by_item = change.groupby(usual["item"]).mean().to_numpy()
    np.testing.assert_allclose(by_item, [0, 0, ELASTICITY, ELASTICITY], atol=0.35)


def test_a_column_without_effect_changes_no_forecast() -> None:
    table = sales(214).drop(columns=["price", "promo"])
    ahead = table[table["units"].isna()][["item", "day", "noise"]]
    alone = forecaster(guard=False).fit(table.drop(columns="noise")).predict()
    with_noise = forecaster("noise", guard=False).fit(table).predict(future=ahead)
    pd.testing.assert_frame_equal(with_noise, alone)


def test_effects_are_added_where_values_are_below_zero() -> None:
    table = sales(214)
    table["units"] = 10 * table["promo"] + np.random.default_rng(1).normal(0, 1, len(table))
    table.loc[table.index[-HORIZON:], "units"] = np.nan
    model = forecaster("promo").fit(table[["item", "day", "units", "promo"]])
    ahead = known_ahead(table)[["item", "day", "promo"]]
    off, on = [model.predict(future=ahead.assign(promo=value))["forecast"] for value in (0.0, 1.0)]
    assert (on - off).mean() == pytest.approx(10, abs=0.7)


def test_factors_of_a_hundred_are_added_so_that_intervals_stay_near_the_values() -> None:
    random = np.random.default_rng(0)
    day = np.arange(700)
    damp = np.convolve(random.normal(size=760), 0.8 ** np.arange(61), "valid")
    damp += 3 * np.sin(2 * np.pi * day / 365)  # the level falls as damp days become more
    level = 3 - 2.4 * np.sin(2 * np.pi * day / 365)
    values = np.exp(level + 0.8 * damp + random.normal(0, 0.4, 700))
    table = pd.DataFrame({"day": pd.date_range("2022-01-01", periods=700), "item": "haze"})
    table = table.assign(units=values, damp=damp)
    past = table[:-HORIZON]
    model = forecaster("damp").fit(past)
    answer = model.predict(future=table[-HORIZON:].drop(columns="units"))
    assert answer["hi_80"].max() < past["units"].max()


def test_what_comes_after_an_origin_changes_no_forecast_from_it() -> None:
    table = sales(214)
    earlier = table["day"].max() - pd.Timedelta(days=3 * HORIZON)
    model = forecaster("price", "promo").fit(table.drop(columns="noise"))
    later = table["day"] > earlier + pd.Timedelta(days=HORIZON)
    other = table.copy()
    other.loc[later, ["units", "price", "promo"]] *= 7
    frames = [one.drop(columns="noise").dropna() for one in (table, other)]
    forecasts = [model.predict(frame, origin=earlier) for frame in frames]
    pd.testing.assert_frame_equal(*forecasts)


def hours(count: int) -> pd.DataFrame:
    """Hourly demand that warmth raises by day only, and rain of some kinds lowers."""
    random = np.random.default_rng(2)
    time = np.arange(count)
    warmth = 15 + 8 * np.sin(2 * np.pi * time / 24 / 9) + random.normal(0, 1, count)
    by_day = np.clip(np.sin(2 * np.pi * time / 24), 0, None)
    rain = random.choice(["none", "some"], count, p=[0.8, 0.2])
    demand = 200 + 50 * by_day + 6 * by_day * (warmth - 15) - 12 * (rain == "some")
    demand += random.normal(0, 3, count)
    return pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=count, freq="h"),
            "demand": demand.round(2),
            "warmth": warmth.round(2),
            "rain": rain,
        }
    )


def test_effects_change_with_the_hour_and_are_stored(
    forecast: Callable[..., Any], tmp_path: Path
) -> None:
    table = hours(24 * 60)
    past, ahead = tmp_path / "past.csv", tmp_path / "ahead.csv"
    table.iloc[:-24].to_csv(past, index=False)
    table.iloc[-24:].drop(columns="demand").to_csv(ahead, index=False)
    store = tmp_path / "store"
    known = ("--target", "demand", "--known", "warmth,rain", "--horizon", "24")
    shown = forecast("fit", past, *known, "--model", "pretrained", "--artifact", store)
    assert "columns  typical effect: warmth" in shown.err
    with_columns = forecast("predict", "--artifact", store, "--future", ahead)
    alone = forecast("now", past, "--target", "demand", "--horizon", "24")
    actual = table["demand"].to_numpy()[-24:]
    errors = []
    for ran in (with_columns, alone):
        assert ran.code == 0
        found = ran.frame["forecast"].to_numpy()
        errors.append(np.abs(found - actual).mean())
    assert errors[0] < 0.7 * errors[1]


@pytest.mark.parametrize("model", ["pretrained", "regression", "trees", "segrnn"])
def test_a_column_with_a_sign_never_acts_the_other_way(model: str) -> None:
    table = sales(120, 2)
    random = np.random.default_rng(3)
    table["promo"] = random.random(len(table)).round(3)  # ten and more values: it may bend
    table["units"] *= 1 + np.sin(6 * table["promo"])  # it falls in the middle, and rises elsewhere
    settings: dict[str, Any] = {"steps": 4, "guard": False} if model == "segrnn" else {}
    fitted = forecaster("price", "promo", model=model, monotone=["price:-", "promo:+"], **settings)
    fitted.fit(table.drop(columns="noise"))
    ahead = known_ahead(table)
    last = ahead["day"] == ahead["day"].max()
    before = np.zeros(2)
    for promotion in (0.0, 0.25, 0.5, 0.75, 1.0):
        changed = ahead.assign(promo=ahead["promo"].mask(last, promotion))
        forecast = fitted.predict(future=changed)["forecast"][last.to_numpy()].to_numpy()
        assert (forecast >= before).all()
        before = forecast
    dearer = ahead.assign(price=ahead["price"].mask(last, 1.2 * ahead["price"]))
    usual, less = (fitted.predict(future=one)["forecast"] for one in (ahead, dearer))
    assert (less[last.to_numpy()] <= usual[last.to_numpy()]).all()


def test_a_price_that_changes_after_a_closed_day_acts_at_once() -> None:
    random = np.random.default_rng(0)
    time = pd.date_range("2024-01-01", periods=7 * 40)  # from a Monday on
    frames = []
    for shop in "abcd":
        price = np.repeat(np.exp(0.12 * random.normal(size=20)), 14)
        units = np.where(time.day_of_week == 6, 0.0, 60 * price**-1.5)
        frames.append(
            pd.DataFrame({"shop": shop, "time": time, "units": units, "price": price}).assign(
                units=random.poisson(units).astype(float)
            )
        )
    table = pd.concat(frames)
    ahead = table["time"] > time[-15]
    fitted = Forecaster(model="theta", horizon=14, known="price", id="shop", target="units")
    fitted.fit(table[~ahead])
    dearer = fitted.what_if({"price*": 1.1}, future=table[ahead].drop(columns="units"))
    sums = dearer.groupby("time")[["what_if", "forecast"]].sum()
    elasticity = np.log(sums["what_if"] / sums["forecast"]) / np.log(1.1)
    assert elasticity.iloc[0] == pytest.approx(elasticity.iloc[1:6].mean(), abs=0.1)
    assert elasticity.iloc[0] < -1


def test_a_price_above_all_that_were_seen_still_acts() -> None:
    random = np.random.default_rng(3)
    price = np.repeat(random.choice([10.0, 11.0], 30), 10)
    units = 90 * (price / 10) ** -1.5 * np.exp(0.02 * random.normal(size=len(price)))
    time = pd.date_range("2024-01-01", periods=len(price))
    table = pd.DataFrame({"time": time, "units": units, "price": price})
    fitted = Forecaster(model="seasonal-naive", horizon=7, known="price", target="units")
    fitted.fit(table[:-7])
    ahead = table[-7:].drop(columns="units")
    seen, above, far = (
        fitted.predict(future=ahead.assign(price=value))["forecast"].sum()
        for value in (11.0, 12.5, 20.0)
    )
    # two prices do not tell whether what they do is a factor or a sum
    assert -2.5 < np.log(above / seen) / np.log(12.5 / 11) < -1.2
    assert far < 0.95 * above
    assert far == fitted.predict(future=ahead.assign(price=14.0))["forecast"].sum()


@pytest.mark.parametrize("freq", ["D", "h"])
def test_a_price_that_stays_higher_raises_no_later_forecast(freq: str) -> None:
    random = np.random.default_rng(5)
    time = pd.date_range("2024-01-01", periods=24 * 28, freq=freq)
    price = np.exp(0.1 * random.normal(size=len(time)))
    # two steps after a higher price, more is sold than it cost
    units = 200 * np.exp(-0.4 * np.log(price) + 1.4 * np.log(np.roll(price, 2)))
    units *= np.exp(0.02 * random.normal(size=len(time)))
    table = pd.DataFrame({"time": time, "units": units, "price": price})
    rises = {}
    for monotone in ((), ("price:-",)):
        fitted = Forecaster(
            model="seasonal-naive", horizon=8, known="price", monotone=monotone, target="units"
        ).fit(table[:-8])
        moved = fitted.what_if({"price*": 1.1}, future=table[-8:].drop(columns="units"))
        rises[monotone] = (moved["difference"] / moved["forecast"]).max()
    assert rises[()] > 0.02
    assert rises["price:-",] <= 1e-9


def test_one_corrected_price_leaves_signs_and_effects() -> None:
    random = np.random.default_rng(0)
    time = pd.date_range("2024-01-01", periods=208)
    price = np.repeat(np.exp(0.1 * random.normal(size=26)), 8)
    units = 50 * price**1.5 * np.exp(0.02 * random.normal(size=len(time)))  # against the sign
    table = pd.DataFrame({"time": time, "units": units, "price": price})
    table["available_at"] = pd.Timestamp("2023-12-01")
    corrected = table[150:151].assign(available_at=time[149], price=lambda row: 1.1 * row["price"])
    fitted = Forecaster(
        model="seasonal-naive", horizon=8, known="price", monotone=["price:-"], target="units"
    ).fit(pd.concat([table[:-8], corrected]))
    moved = fitted.what_if({"price*": 1.1}, future=table[-8:].drop(columns="units"))
    assert (moved["difference"] <= 1e-9).all()


@pytest.mark.parametrize(
    ("monotone", "says"),
    [
        (["price"], "price:-"),
        (["price:0"], "price:-"),
        (["price:-", "price:+"], "each once"),
        (["noise:-"], "known"),
        (["text:+"], "texts, such as 'off'"),
    ],
)
def test_signs_that_make_no_sense_are_refused(monotone: list[str], says: str) -> None:
    table = sales(100).assign(text=lambda frame: np.where(frame["promo"] > 0, "on", "off"))
    model = forecaster("price", "promo", "text", monotone=monotone)
    with pytest.raises(UsageError, match=says):
        model.fit(table)


def test_effects_come_in_parts_that_are_equal_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    table = sales(100, 3).drop(columns="noise")
    whole = forecaster("price", "promo").fit(table).predict(future=known_ahead(table))
    monkeypatch.setattr(columns, "PART", 150)  # slots: less than two series
    parts = forecaster("price", "promo").fit(table).predict(future=known_ahead(table))
    pd.testing.assert_frame_equal(parts, whole)
