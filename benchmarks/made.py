"""Made tables whose truth is known: effects of columns, levels, wrong values, growth, rest, holidays, new series."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.lumpy import read_rows
from benchmarks.methods import NOW
from forecast import Forecaster

Values = NDArray[np.float64]
Row = dict[str, Any]

IDEAL_80 = 2 * 1.2816  # width of an 80 % interval of normal noise, in standard deviations
TENTH = 1.1  # prices rise by a tenth


@dataclass(frozen=True)
class Made:
    """A table with its future.

    Attributes
    ----------
    table : series, time, value, mean (of the distribution that the value is drawn from), and columns known in advance
    past : rows of each series that are given
    known : columns known in advance
    settings : further parameters of the forecaster
    """

    table: pd.DataFrame
    past: int
    known: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def given(self) -> pd.DataFrame:
        """What the forecaster is fitted to."""
        rows = self.table[self.table["time"].isin(self._times[: self.past])]
        return rows[["series", "time", "value", *self.known]]

    @property
    def coming(self) -> pd.DataFrame:
        """What it forecasts."""
        return self.table[self.table["time"].isin(self._times[self.past :])]

    @property
    def _times(self) -> NDArray[Any]:
        return np.sort(self.table["time"].unique())

    def forecast(self, method: str, budget: float | None) -> tuple[Forecaster, pd.DataFrame]:
        """The forecaster, and its forecasts beside what is true."""
        chosen: dict[str, Any] = {"budget": budget}
        if method == NOW:
            chosen = {"model": "pretrained"}
        fitted = Forecaster(
            horizon=len(self._times) - self.past,
            time="time",
            id="series",
            target="value",
            known=self.known,
            **chosen,
            **self.settings,
        ).fit(self.given)
        ahead = self.coming[["series", "time", *self.known]] if self.known else None
        forecasts = fitted.predict(future=ahead)
        forecasts["time"] = pd.to_datetime(forecasts["time"])
        return fitted, forecasts.merge(self.coming, on=["series", "time"])


def measure(
    path: Path, families: list[str], method: str, seeds: int, budget: float | None
) -> Iterator[Row]:
    """Measure what the file of results does not hold yet; each row is appended to it, and returned."""
    done = {(row["family"], row["seed"], row["method"]) for row in read_rows(path)}
    for seed in range(seeds):
        for family in families:
            if (family, seed, method) not in done:
                found = FAMILIES[family](seed, method, budget)
                row = {"family": family, "seed": seed, "method": method, **found}
                with path.open("a", encoding="utf-8") as results:
                    results.write(json.dumps(row) + "\n")
                yield row


def summary(rows: list[Row]) -> pd.DataFrame:
    """Mean, standard error and worst of each measure, by family and method."""
    long = pd.DataFrame(rows).melt(["family", "seed", "method"], var_name="measure").dropna()
    parts = long.groupby(["family", "method", "measure"])["value"]
    return parts.agg(["count", "mean", "sem", "min", "max"])


# ---- what columns known in advance do


def often(seed: int) -> Made:
    """Eight series of 400 days whose prices change every week."""
    return demand(seed, series=8, days=400, changes=None)


def rare(seed: int) -> Made:
    """Eight series of 400 days, four prices each."""
    return demand(seed, series=8, days=400, changes=4)


def one(seed: int) -> Made:
    """One series of 120 days whose prices change every week."""
    return demand(seed, series=1, days=120, changes=None)


def one_rare(seed: int) -> Made:
    """One series of 120 days, two prices."""
    return demand(seed, series=1, days=120, changes=2)


def demand(seed: int, series: int, days: int, changes: int | None) -> Made:
    """Daily sales with a week, elasticity -1.5 and promotions of e^.3; prices change every week, or so many times."""
    draw = np.random.default_rng([seed, series, days, changes or 0])
    horizon = 28
    steps = np.arange(days + horizon)
    frames = []
    for number in range(series):
        if changes is None:
            price = 10 * np.repeat(np.exp(0.15 * draw.normal(size=len(steps) // 7 + 1)), 7)
            price = price[: len(steps)]
        else:
            price = np.full(len(steps), 10.0)
            for change in np.sort(draw.integers(10, days - 10, changes)):
                price[change:] = 10 * np.exp(0.15 * draw.normal())
            price[days + 10 :] *= np.exp(0.12 * draw.choice([-1, 1]))
        promotion = (draw.random(len(steps)) < 0.1).astype(float)
        week = 0.2 * draw.normal(size=7)[steps % 7]
        level = 4 + 0.5 * draw.normal()
        mean = np.exp(level + week - 1.5 * np.log(price / 10) + 0.3 * promotion)
        value = mean * np.exp(0.1 * draw.normal(size=len(steps)))
        frames.append(
            _frame(f"s{number}", "2023-01-01", "D", value, mean, price=price, promotion=promotion)
        )
    return Made(pd.concat(frames), days, ("price", "promotion"))


def monthly(seed: int) -> Made:
    """One series of 60 months with a season, which prices that change every month hide."""
    draw = np.random.default_rng([seed, 60])
    past, horizon = 60, 12
    steps = np.arange(past + horizon)
    price = 10 * np.exp(0.15 * draw.normal(size=len(steps)))
    promotion = (draw.random(len(steps)) < 0.15).astype(float)
    season = 0.2 * draw.normal(size=12)[steps % 12]
    mean = np.exp(4 + season - 1.5 * np.log(price / 10) + 0.3 * promotion)
    value = mean * np.exp(0.1 * draw.normal(size=len(steps)))
    table = _frame("a", "2018-01-01", "MS", value, mean, price=price, promotion=promotion)
    return Made(table, past, ("price", "promotion"))


def weekly(seed: int) -> Made:
    """Twelve products by 160 weeks with a year and a trend, elasticity -2; promotions of e^.25 come at lower prices."""
    draw = np.random.default_rng([seed, 12, 160])
    weeks, horizon = 160, 13
    steps = np.arange(weeks + horizon)
    frames = []
    for number in range(12):
        promotion = (draw.random(len(steps)) < 0.12).astype(float)
        price = np.repeat(np.exp(0.12 * draw.normal(size=len(steps) // 6 + 1)), 6)[: len(steps)]
        price = price * np.where(promotion > 0, 0.85, 1) * draw.uniform(2, 20)
        year = 0.25 * np.sin(2 * np.pi * steps / 52.18 + draw.uniform(0, 6))
        level = np.log(200) + 0.5 * draw.normal() + 0.002 * steps * draw.normal()
        mean = np.exp(level + year + 0.25 * promotion) * (price / price.mean()) ** -2
        frames.append(
            _frame(
                f"p{number:02}",
                "2021-01-03",
                "W",
                draw.poisson(mean).astype(float),
                mean,
                price=price,
                promotion=promotion,
            )
        )
    return Made(pd.concat(frames), weeks, ("price", "promotion"))


def hours(seed: int) -> Made:
    """Three cafes by twelve weeks of hours: prices of days, promotions of six hours, and warmth above 20 degrees."""
    draw = np.random.default_rng([seed, 3, 84])
    past, horizon = 24 * 84, 48
    steps = np.arange(past + horizon)
    days, parts = len(steps) // 24 + 1, len(steps) // 6 + 1
    warmth = np.repeat(np.cumsum(1.2 * draw.normal(size=days)), 24)[: len(steps)]
    warmth = warmth + 18 + 6 * np.sin(2 * np.pi * (steps - 9) / 24)
    frames = []
    for number in range(3):
        price = 4 * np.repeat(np.exp(0.12 * draw.normal(size=days)), 24)[: len(steps)]
        promotion = np.repeat(1.0 * (draw.random(parts) < 0.12), 6)[: len(steps)]
        shape = 0.5 * np.sin(2 * np.pi * (steps - 8) / 24) + 0.2 * np.sin(2 * np.pi * steps / 168)
        known = -1.5 * np.log(price / 4) + 0.3 * promotion + 0.03 * np.maximum(warmth - 20, 0)
        mean = np.exp(4 + 0.5 * draw.normal() + shape + known)
        value = mean * np.exp(0.12 * draw.normal(size=len(steps)))
        frames.append(
            _frame(
                f"c{number}",
                "2024-04-01",
                "h",
                value,
                mean,
                price=price,
                promotion=promotion,
                warmth=warmth,
            )
        )
    return Made(pd.concat(frames), past, ("price", "promotion", "warmth"))


def effects(make: Callable[[int], Made]) -> "Family":
    """Elasticity and promotion by what-ifs, what moves before a change, and what two columns of noise cost."""

    def measured(seed: int, method: str, budget: float | None) -> Row:
        made = make(seed)
        fitted, rows = made.forecast(method, budget)
        ahead = made.coming[["series", "time", *made.known]]
        times = np.sort(ahead["time"].unique())
        since, lag = str(pd.Timestamp(times[8])), str(pd.Timestamp(times[5]))
        dearer = fitted.what_if({"price*": TENTH}, future=ahead, since=since)
        after, before = dearer[dearer["time"] >= since], dearer[dearer["time"] < since]
        moved = before["difference"].abs() / before["forecast"].abs()
        with_promotion = fitted.what_if({"promotion": 1}, future=ahead)["what_if"].sum()
        without = fitted.what_if({"promotion": 0}, future=ahead)["what_if"].sum()
        noisy = made.table.copy()
        draw = np.random.default_rng([seed, 99])
        noisy["noise_1"], noisy["noise_2"] = draw.normal(size=(2, len(noisy)))
        known = (*made.known, "noise_1", "noise_2")
        _, beside_noise = Made(noisy, made.past, known).forecast(method, budget)
        return {
            "elasticity": np.log(after["what_if"].sum() / after["forecast"].sum()) / np.log(TENTH),
            "promotion": float(np.log(with_promotion / without)),
            "error": over_truth(rows),
            "moved before": float(moved.max()),
            "moved earlier": float(moved[before["time"] < lag].max()),
            "noise": over_truth(beside_noise) / over_truth(rows),
        }

    return measured


# ---- levels, wrong values, growth, rest


def months(draw: np.random.Generator, years: int, horizon: int) -> tuple[Values, Values]:
    """Mean and value of monthly series with a season, noise of 5 %, and no growth."""
    steps = np.arange(12 * years + horizon)
    mean = np.exp(np.log(100) + 0.2 * draw.normal(size=12)[steps % 12])
    return mean, mean * np.exp(0.05 * draw.normal(size=len(steps)))


def shifted(seed: int, method: str, budget: float | None) -> Row:
    """A level 40 % lower since four months."""
    mean, value = months(np.random.default_rng([seed, 1]), 8, 12)
    factor = np.where(np.arange(len(mean)) >= 92, 0.6, 1.0)
    _, rows = alone(value * factor, mean * factor, "MS", 12).forecast(method, budget)
    return {"error": over_truth(rows), "in 80": within(rows)}


def wrong_month(seed: int, method: str, budget: float | None) -> Row:
    """A newest value of five times what it was."""
    mean, value = months(np.random.default_rng([seed, 2]), 8, 12)
    value[95] *= 5
    _, rows = alone(value, mean, "MS", 12).forecast(method, budget)
    return {"error": over_truth(rows)}


def wrong_day(seed: int, method: str, budget: float | None) -> Row:
    """A newest value of six times what it was, after 300 days with a week."""
    draw = np.random.default_rng([seed, 3])
    steps = np.arange(300 + 14)
    mean = np.exp(5 + 0.2 * draw.normal(size=7)[steps % 7])
    value = mean * np.exp(0.1 * draw.normal(size=len(steps)))
    value[299] *= 6
    _, rows = alone(value, mean, "D", 14).forecast(method, budget)
    return {"error": over_truth(rows)}


def at_rest(seed: int, method: str, budget: float | None) -> Row:
    """Sales in a tenth to four tenths of 60 months: absolute error beside that of 0."""
    draw = np.random.default_rng([seed, 4])
    sold = draw.random(72) < draw.uniform(0.1, 0.4)
    value = np.where(sold, 1.0 + draw.poisson(draw.uniform(1, 20), 72), 0.0)
    _, rows = alone(value, value, "MS", 12).forecast(method, budget)
    return {"absolute error": _error(rows), "of 0": float(np.abs(value[60:]).mean())}


def year(seed: int, method: str, budget: float | None) -> Row:
    """Two to four years of days with a week and a yearly wave: error beside that of a regression on harmonics."""
    draw = np.random.default_rng([seed, 5])
    past, horizon = int(draw.integers(2 * 365, 4 * 365)), 30
    steps = np.arange(past + horizon)
    week = 0.1 * draw.normal(size=7)[steps % 7]
    wave = draw.uniform(0.2, 0.5) * np.sin(2 * np.pi * steps / 365.25 + draw.uniform(0, 6))
    mean = np.exp(5 + week + wave)
    value = mean * np.exp(0.1 * draw.normal(size=len(steps)))
    turns = 2 * np.pi * np.outer(steps, (1, 2, 3)) / 365.25
    columns = np.hstack([np.eye(7)[steps % 7], np.sin(turns), np.cos(turns)])
    solved = np.linalg.lstsq(columns[:past], np.log(value[:past]), rcond=None)[0]
    _, rows = alone(value, mean, "D", horizon).forecast(method, budget)
    rival = np.abs(np.exp(columns[past:] @ solved) - value[past:]).mean()
    error = (rows["forecast"] - rows["value"]).abs().mean()
    return {"error over harmonics": float(error / rival), "error": over_truth(rows)}


def line(seed: int, method: str, budget: float | None) -> Row:
    """Twelve months on a line: error beside that of the true mean, and of a fitted line."""
    draw = np.random.default_rng([seed, 6])
    steps = np.arange(12 + 6)
    mean = 100 + draw.uniform(2, 8) * steps
    value = mean + draw.uniform(2, 6) * draw.normal(size=len(steps))
    _, rows = alone(value, mean, "MS", 6).forecast(method, budget)
    ideal = np.polyval(np.polyfit(steps[:12], value[:12], 1), steps[12:])
    return beside_line(rows, ideal, float(mean.mean()))


def exponential(seed: int, method: str, budget: float | None) -> Row:
    """Twenty years of growth by 5 to 15 %, noise of 3 %: error beside those of the truth and a line of logarithms."""
    draw = np.random.default_rng([seed, 7])
    steps = np.arange(20 + 4)
    mean = 100 * np.exp(draw.uniform(0.05, 0.15) * steps)
    value = mean * np.exp(0.03 * draw.normal(size=len(steps)))
    _, rows = alone(value, mean, "YS", 4).forecast(method, budget)
    ideal = np.exp(np.polyval(np.polyfit(steps[:20], np.log(value[:20]), 1), steps[20:]))
    return beside_line(rows, ideal, float(mean.mean()))


def beside_line(rows: pd.DataFrame, ideal: Values, unit: float) -> Row:
    """Absolute errors of forecasts and of an ideal line, in the unit, and the former over that of the truth."""
    return {
        "error": over_truth(rows),
        "absolute error": _error(rows) / unit,
        "of the line": float((rows["value"] - ideal).abs().mean() / unit),
    }


def few(seed: int, method: str, budget: float | None) -> Row:
    """A few yearly values on a line with noise: widths beside the ideal one, ends beside the largest value."""
    draw = np.random.default_rng([seed, 8])
    found: Row = {}
    for count in (5, 6, 8, 10):
        mean = 100 + draw.uniform(-3, 8) * np.arange(count + 2)
        noise = draw.uniform(2, 12)
        value = mean + noise * draw.normal(size=count + 2)
        _, rows = alone(value, mean, "YS", 2).forecast(method, budget)
        width = (rows["hi_80"] - rows["lo_80"]).mean()
        found[f"width of {count}"] = float(width / (noise * IDEAL_80))
        found[f"end of {count}"] = float(rows["hi_80"].max() / value[:count].max())
        found[f"in 80 of {count}"] = within(rows)
    return found


def declared(seed: int, method: str, budget: float | None) -> Row:
    """A series whose level rose by an amount on a day that the events declare: days with an additive week."""
    draw = np.random.default_rng([seed, 9])
    steps = np.arange(200 + 14)
    moved = int(draw.integers(120, 190))
    mean = 100 + 30 * draw.normal(size=7)[steps % 7] + np.where(steps >= moved, 150.0, 0.0)
    value = mean + 8 * draw.normal(size=len(steps))
    made = alone(value, mean, "D", 14)
    day = str(made.table["time"].iloc[moved].date())
    events = pd.DataFrame({"date": [day], "name": ["moved"], "kind": ["level_shift"]})
    shown = Made(made.table, made.past, settings={"events": events})
    _, rows = shown.forecast(method, budget)
    return {"error": over_truth(rows), "in 80": within(rows)}


def shop(seed: int, method: str, budget: float | None) -> Row:
    """A shop of 13 days beside eleven of 300, all closed on Sundays: its largest forecast of a Sunday; its error."""
    draw = np.random.default_rng([seed, 10])
    days = pd.date_range("2023-01-01", periods=300 + 14)
    open_ = np.asarray(days.day_of_week) != 6
    frames = []
    for number in range(12):
        week = 1 + 0.2 * draw.normal(size=7)[np.asarray(days.day_of_week)]
        mean = np.where(open_, draw.uniform(30, 200) * week, 0.0)
        rows = _frame(f"s{number:02}", "2023-01-01", "D", draw.poisson(mean).astype(float), mean)
        frames.append(rows.iloc[287:] if number == 11 else rows)
    _, rows = Made(pd.concat(frames), 300).forecast(method, budget)
    new = rows[rows["series"] == "s11"]
    sundays = pd.to_datetime(new["time"]).dt.day_of_week == 6
    return {"sundays": float(new.loc[sundays, "hi_80"].max()), "error": over_truth(new)}


def noise(seed: int, method: str, budget: float | None) -> Row:
    """Twenty series of white noise by 300 days in a table: error beside that of the past's mean."""
    draw = np.random.default_rng([seed, 11])
    value = 100 + 10 * draw.normal(size=(20, 314))
    _, rows = together(value).forecast(method, budget)
    rival = np.abs(value[:, :300].mean(1, keepdims=True) - value[:, 300:]).mean()
    return {"error over the mean": float(_error(rows) / rival), "in 80": within(rows)}


def walks(seed: int, method: str, budget: float | None) -> Row:
    """Twenty random walks by 300 days in a table: error beside that of the last value."""
    draw = np.random.default_rng([seed, 12])
    value = 1000 + np.cumsum(draw.normal(size=(20, 314)), axis=1)
    _, rows = together(value).forecast(method, budget)
    rival = np.abs(value[:, 299:300] - value[:, 300:]).mean()
    return {"error over the last": float(_error(rows) / rival), "in 80": within(rows)}


def single_walks(seed: int, method: str, budget: float | None) -> Row:
    """One random walk of 300 days: absolute error, and that of the last value."""
    draw = np.random.default_rng([seed, 13])
    value = 1000 + np.cumsum(draw.normal(size=314))
    _, rows = alone(value, value, "D", 14).forecast(method, budget)
    return {
        "absolute error": _error(rows),
        "of the last": float(np.abs(value[299] - value[300:]).mean()),
        "in 80": within(rows),
    }


def holiday(seed: int, method: str, budget: float | None) -> Row:
    """Three series of hours over a year, whose holidays are Sundays in shape; one holiday lies ahead.

    `hours` is the error of its hours as a share of their mean. `ignored` is the largest move of another day once a past
    day has an event of the kind `ignore`.
    """
    draw = np.random.default_rng([seed, 14])
    past, horizon = 24 * 364, 72
    times = pd.date_range("2023-01-02", periods=past + horizon, freq="h")
    hour, day = np.asarray(times.hour), np.asarray((times - times[0]).days)
    dates = np.sort(draw.choice(np.arange(14, 350), 9, replace=False))
    free = np.isin(day, [*dates, 365])
    sunday = (day % 7 == 6) | free
    work = np.exp(np.sin(2 * np.pi * (hour - 9) / 24) + np.exp(-((hour - 8) ** 2) / 4))
    rest = np.exp(0.5 * np.sin(2 * np.pi * (hour - 11) / 24)) * 0.6
    frames = []
    for number in range(3):
        mean = draw.uniform(200, 2000) * np.where(sunday, rest, work)
        value = mean * np.exp(0.05 * draw.normal(size=len(times)))
        frames.append(_frame(f"s{number}", "2023-01-02", "h", value, mean))
    named = [str((times[0] + pd.Timedelta(days=int(one))).date()) for one in (*dates, 365)]
    events = pd.DataFrame({"date": named, "name": "holiday", "kind": "effect"})
    table = pd.concat(frames)
    _, rows = Made(table, past, settings={"events": events}).forecast(method, budget)
    misled = pd.DataFrame({"date": [str(times[past - 24 * 3].date())], "name": "x"})
    more = pd.concat([events, misled.assign(kind="ignore")])
    _, without = Made(table, past, settings={"events": more}).forecast(method, budget)
    on = rows["time"].dt.date.astype(str) == named[-1]
    true = rows.loc[on]
    by_day = [
        one.groupby([one["series"], one["time"].dt.date])["forecast"].sum()
        for one in (rows, without)
    ]
    return {
        "hours": float((true["forecast"] - true["mean"]).abs().sum() / true["mean"].sum()),
        "others": float(
            (rows.loc[~on, "forecast"] - rows.loc[~on, "mean"]).abs().sum()
            / rows.loc[~on, "mean"].sum()
        ),
        "ignored": float((by_day[1] / by_day[0] - 1).abs().max()),
    }


# ---- new series, and signs


def products(seed: int) -> tuple[pd.DataFrame, int]:
    """Eight shops by six products and 300 days, elasticity -1.5, promotions of 1.5 times; and the rows of the past."""
    draw = np.random.default_rng([seed, 15])
    past, horizon = 300, 14
    steps = np.arange(past + horizon)
    frames = []
    for shop_number in range(8):
        size = draw.uniform(0.5, 2)
        for number in range(6):
            price = 5 * np.repeat(np.exp(0.12 * draw.normal(size=len(steps) // 14 + 1)), 14)
            price = price[: len(steps)]
            promotion = (draw.random(len(steps)) < 0.08).astype(float)
            week = 1 + 0.3 * np.sin(2 * np.pi * (steps % 7) / 7)
            mean = 40 * size * (1 + number / 3) * week * (price / 5) ** -1.5 * 1.5**promotion
            value = draw.poisson(mean).astype(float)
            rows = _frame("", "2024-01-01", "D", value, mean, price=price, promotion=promotion)
            frames.append(rows.assign(shop=f"shop {shop_number}", product=f"product {number}"))
    return pd.concat(frames).drop(columns="series"), past


def replaced(seed: int, method: str, budget: float | None) -> Row:
    """In each shop a product is replaced twelve days before the end: forecasts of both together, over the true mean."""
    table, past = products(seed)
    times = np.sort(table["time"].unique())
    start = times[past - 12]
    ends = table["product"] == "product 2"
    new = table[ends & (table["time"] >= start)].assign(product="product new")
    old = table[~ends | (table["time"] < start) | (table["time"] >= times[past])]
    rows = pd.concat([old, new])
    shops = sorted(table["shop"].unique())
    successors = pd.DataFrame(
        {
            "shop": shops,
            "product": "product new",
            "replaces": [f"{one}/product 2" for one in shops],
            "from": str(pd.Timestamp(start).date()),
        }
    )
    found: Row = {}
    for name, given in (("together", successors), ("without the file", None)):
        ahead = desk(rows, past, method, budget, successors=given)
        both = ahead[ahead["product"].isin(["product 2", "product new"])]
        true = table.loc[ends & (table["time"] >= times[past]), "mean"].sum()
        found[name] = float(both["forecast"].sum() / true)
    return found


def first(seed: int, method: str, budget: float | None) -> Row:
    """A shop without a value, said to be .6 of another: its error by product over two weeks, and that of the other."""
    table, past = products(seed)
    times = np.sort(table["time"].unique())
    lender = table[table["shop"] == "shop 3"]
    new = lender.assign(shop="shop new", mean=0.6 * lender["mean"], value=np.nan)
    names = sorted(table["product"].unique())
    successors = pd.DataFrame(
        {
            "shop": "shop new",
            "product": names,
            "like": [f"shop 3/{one}" for one in names],
            "from": str(pd.Timestamp(times[past]).date()),
            "share": 0.6,
        }
    )
    rows = pd.concat([table, new[new["time"] >= times[past]]])
    ahead = desk(rows, past, method, budget, successors=successors)
    found: Row = {}
    for name, true in (("shop new", new), ("shop 3", lender)):
        means = true[true["time"] >= times[past]].groupby("product")["mean"].sum()
        sums = ahead[ahead["shop"] == name].groupby("product")["forecast"].sum()
        found[name] = float((sums / means - 1).abs().mean())
    return found


def signs(seed: int, method: str, budget: float | None) -> Row:
    """Prices with a sign, in products whose price rises with demand: the largest rise by a higher price, as a share."""
    table, past = products(seed)
    level = table["mean"] / table.groupby(["shop", "product"])["mean"].transform("mean")
    table = table.assign(price=5 * level**0.5)
    found: Row = {}
    for name, monotone in (("with signs", ("price:-", "promotion:+")), ("without", ())):
        fitted, future = desk_fit(table, past, method, budget, monotone=monotone)
        moved = fitted.what_if({"price*": TENTH}, future=future)
        found[name] = float((moved["difference"] / moved["forecast"]).max())
    return found


def desk(
    rows: pd.DataFrame, past: int, method: str, budget: float | None, **settings: Any
) -> pd.DataFrame:
    """Forecasts of shops and products."""
    fitted, future = desk_fit(rows, past, method, budget, **settings)
    return fitted.predict(future=future)


def desk_fit(
    rows: pd.DataFrame, past: int, method: str, budget: float | None, **settings: Any
) -> tuple[Forecaster, pd.DataFrame]:
    """A forecaster of shops and products, and the columns that it needs of the future."""
    chosen: dict[str, Any] = {"model": "pretrained"} if method == NOW else {"budget": budget}
    times = np.sort(rows["time"].unique())
    known = ("price", "promotion")
    fitted = Forecaster(
        horizon=len(times) - past,
        time="time",
        id=("shop", "product"),
        target="value",
        known=known,
        **chosen,
        **settings,
    )
    names = ["shop", "product", "time", *known]
    given = rows["time"] < times[past]
    fitted.fit(rows.loc[given, [*names, "value"]])
    return fitted, rows.loc[~given, names]


def alone(value: Values, mean: Values, freq: str, horizon: int) -> Made:
    """A table with one series and nothing else."""
    start = {"YS": "1990-01-01", "MS": "2015-01-01"}.get(freq, "2023-01-02")
    return Made(_frame("s", start, freq, value, mean), len(value) - horizon)


def together(value: Values) -> Made:
    """A table of days, of which the newest 14 are to come."""
    frames = [_frame(f"s{i:02}", "2023-01-02", "D", row, row) for i, row in enumerate(value)]
    return Made(pd.concat(frames), value.shape[1] - 14)


def over_truth(rows: pd.DataFrame) -> float:
    """The mean absolute error beside that of the true mean."""
    return _error(rows) / float((rows["mean"] - rows["value"]).abs().mean())


def within(rows: pd.DataFrame) -> float:
    """The share of the values in their 80 % intervals."""
    return float(rows["value"].between(rows["lo_80"], rows["hi_80"]).mean())


def _error(rows: pd.DataFrame) -> float:
    return float((rows["forecast"] - rows["value"]).abs().mean())


def _frame(
    series: str, start: str, freq: str, value: Values, mean: Values, **known: Values
) -> pd.DataFrame:
    times = pd.date_range(start, periods=len(value), freq=freq)
    columns = {"series": series, "time": times, "value": value, "mean": mean, **known}
    return pd.DataFrame(columns)


Family = Callable[[int, str, float | None], Row]

FAMILIES: dict[str, Family] = {
    "often": effects(often),
    "rare": effects(rare),
    "one": effects(one),
    "one-rare": effects(one_rare),
    "monthly": effects(monthly),
    "weekly": effects(weekly),
    "hours": effects(hours),
    "shifted": shifted,
    "wrong-month": wrong_month,
    "wrong-day": wrong_day,
    "at-rest": at_rest,
    "year": year,
    "line": line,
    "exponential": exponential,
    "few": few,
    "declared": declared,
    "shop": shop,
    "noise": noise,
    "walks": walks,
    "single-walks": single_walks,
    "holiday": holiday,
    "replaced": replaced,
    "first": first,
    "signs": signs,
}
