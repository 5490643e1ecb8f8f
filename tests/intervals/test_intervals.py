"""Intervals of whole fits hold what they promise: on single series of known noise, and on rare sales."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.ensemble.baseline_forecasts import BaselineForecasts

STEPS, HORIZON, SERIES = 100, 10, 32
QUICK = ("last", "seasonal-naive", "mean", "seasonal-mean")
Noise = Callable[[np.random.Generator, int], np.ndarray]


def autoregression(random: np.random.Generator, steps: int) -> np.ndarray:
    values = random.normal(size=steps)
    for step in range(1, steps):
        values[step] += 0.7 * values[step - 1]
    return values


def week(random: np.random.Generator, steps: int) -> np.ndarray:
    return np.tile([0.0, 1, 2, 3, 4, 9, 8], steps)[:steps] + random.normal(size=steps)


FAMILIES: dict[str, Noise] = {
    "random walk": lambda random, steps: random.normal(size=steps).cumsum(),
    "autoregression": autoregression,
    "week": week,
    "heavy tails": lambda random, steps: random.standard_t(3, size=steps),
}


@pytest.fixture
def no_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaselineForecasts, "skip_networks", lambda *_: True)


def table_of(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"day": pd.date_range("2024-01-01", periods=len(values)), "value": values})


def test_intervals_are_as_wide_as_each_step_of_the_season_needs(no_networks: None) -> None:
    random, hour = np.random.default_rng(3), np.arange(8 * 100)
    noise = np.where(hour % 8 < 4, 1.0, 10.0)
    values = 50 * np.sin(2 * np.pi * hour / 8) + noise * random.normal(size=len(hour))
    frame = pd.DataFrame({"hour": hour, "value": values})
    found = Forecaster(horizon=16, season=8, baselines=("seasonal-mean",)).fit(frame).predict()
    width = (found["hi_80"] - found["lo_80"]).to_numpy().reshape(4, 4).mean(1)
    assert (width[[0, 2]] > 2).all(), width  # 2.6 and 26 hold 80 % of what there is
    assert (width[[0, 2]] < 8).all(), width
    assert (width[[1, 3]] > 20).all(), width
    assert (width[[1, 3]] < 40).all(), width


def test_a_few_equal_values_are_not_certain_and_many_are(no_networks: None) -> None:
    random, days = np.random.default_rng(3), 100
    shops = {
        "a": random.normal(100, 10, days),
        "b": random.normal(50, 5, days),
        "still": np.full(days, 30.0),
    }
    shops |= {"new": np.array([80.0, 80.0]), "none": np.zeros(2)}
    day = pd.date_range("2024-01-01", periods=days)
    frame = pd.concat(
        [
            pd.DataFrame({"shop": name, "day": day[-len(of) :], "sold": of})
            for name, of in shops.items()
        ]
    )
    found = Forecaster(horizon=HORIZON, baselines=QUICK, target="sold").fit(frame).predict()
    width = (found["hi_80"] - found["lo_80"]).groupby(found["shop"]).mean() / found.groupby("shop")[
        "forecast"
    ].mean()
    assert width["new"] == pytest.approx((width["a"] + width["b"]) / 2, rel=0.3)
    assert width["still"] == 0
    assert (found.loc[found["shop"] == "none", ["forecast", "hi_95"]] == 0).all(axis=None)


def shares_inside(family: str, steps: int) -> dict[int, float]:
    """The share of values inside intervals of each level, over series of a family."""
    random = np.random.default_rng(7)
    inside: dict[int, list[float]] = {80: [], 95: []}
    for _ in range(SERIES):
        values = FAMILIES[family](random, steps + HORIZON)
        found = Forecaster(horizon=HORIZON, baselines=QUICK).fit(table_of(values[:steps])).predict()
        for level, shares in inside.items():
            shares.append(
                (
                    (values[steps:] >= found[f"lo_{level}"])
                    & (values[steps:] <= found[f"hi_{level}"])
                ).mean()
            )
    return {level: float(np.mean(shares)) for level, shares in inside.items()}


@pytest.mark.parametrize(
    "cases",
    [
        [("random walk", 36)],
        [("week", 36)],
        [("autoregression", STEPS)],
        [("heavy tails", STEPS)],
        pytest.param(
            [(family, steps) for family in FAMILIES for steps in (36, STEPS)],
            marks=pytest.mark.slow,
        ),
    ],
    ids=lambda cases: "-".join(map(str, cases[0])) if len(cases) == 1 else "all",
)
def test_intervals_of_single_series_hold(cases: list[tuple[str, int]], no_networks: None) -> None:
    for family, steps in cases:
        inside = shares_inside(family, steps)
        assert inside == {80: pytest.approx(0.8, abs=0.1), 95: pytest.approx(0.95, abs=0.04)}, (
            family,
            steps,
        )


def test_intervals_of_rare_sales_end_at_whole_numbers_and_hold(no_networks: None) -> None:
    random = np.random.default_rng(8)
    inside = []
    for _ in range(24):
        values = np.where(
            random.random(STEPS + HORIZON) < 0.25, 1.0 + random.poisson(1.0, STEPS + HORIZON), 0.0
        )
        found = Forecaster(horizon=HORIZON, baselines=QUICK).fit(table_of(values[:STEPS])).predict()
        bounds = found[["lo_80", "hi_80", "lo_95", "hi_95"]].to_numpy()
        assert (bounds == np.round(bounds)).all()
        assert (found["lo_80"] <= found["forecast"]).all()
        inside.append(
            ((values[STEPS:] >= found["lo_80"]) & (values[STEPS:] <= found["hi_80"])).mean()
        )
    assert np.mean(inside) > 0.78


def test_easy_series_of_a_panel_have_narrow_intervals_and_hard_ones_wide(tmp_path: Path) -> None:
    random, wave = np.random.default_rng(9), 10 * np.sin(np.arange(140) * 2 * np.pi / 7)
    noise = dict.fromkeys((f"easy {i}" for i in range(12)), 0.5) | dict.fromkeys(
        (f"hard {i}" for i in range(12)), 2.0
    )
    wide = pd.DataFrame(
        {name: wave + size * random.normal(size=140) for name, size in noise.items()}
    )
    wide.insert(0, "day", pd.date_range("2024-01-01", periods=140))
    model = Forecaster(model="seasonal-naive", horizon=7, season=(7,)).fit(wide[:133])
    found = model.predict().set_index("series")
    width = (found["hi_80"] - found["lo_80"]).groupby(level=0).mean()
    hard = width.index.str.startswith("hard")
    assert width[hard].min() > 2 * width[~hard].max()
    actual = wide[133:].drop(columns="day").melt(var_name="series")["value"].to_numpy()
    aligned = found.loc[list(noise)]
    assert ((actual >= aligned["lo_80"]) & (actual <= aligned["hi_80"])).mean() == pytest.approx(
        0.8, abs=0.1
    )
    model.save(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(
        Forecaster.load(str(tmp_path / "store")).predict(), model.predict()
    )


def test_a_version_holds_what_the_roughness_of_its_series_takes(tmp_path: Path) -> None:
    random = np.random.default_rng(10)
    noise = (
        np.repeat([0.5, 2.0], 12)
        * random.normal(size=(600, 24))
        * np.where(np.arange(600) < 340, 5.0, 1.0)[:, None]
    )
    wide = pd.DataFrame(10 * np.sin(np.arange(600) * 2 * np.pi / 7)[:, None] + noise).add_prefix(
        "s"
    )
    wide.insert(0, "day", pd.date_range("2024-01-01", periods=600))
    model = Forecaster(model="seasonal-naive", horizon=7, season=(7,), lookback=260).fit(wide)
    assert model.fitted_.ensemble.calibration.slope > 0
    pd.testing.assert_frame_equal(model.predict(), model.predict(wide), check_exact=True)


def rare_sales(steps: int) -> np.ndarray:
    random = np.random.default_rng(8)
    return np.where(random.random(steps) < 0.25, 1.0 + random.poisson(1.0, steps), 0.0)


def ends_are_whole(found: pd.DataFrame) -> bool:
    bounds = found[["lo_80", "hi_80", "lo_95", "hi_95"]].to_numpy()
    return bool((bounds == np.round(bounds)).all())


def test_a_series_is_counts_by_all_values_of_the_fit_with_and_without_a_table(
    tmp_path: Path,
) -> None:
    values = rare_sales(600)
    values[3] = 0.5  # long before what a version keeps
    fitted = Forecaster(model="mean", horizon=5).fit(table_of(values))
    fitted.save(str(tmp_path))
    for model in (fitted, Forecaster.load(str(tmp_path))):
        found = model.predict()
        assert not ends_are_whole(found)
        pd.testing.assert_frame_equal(found, model.predict(table_of(values)), check_exact=True)
        later = table_of(values).iloc[100:]  # nothing but counts
        both = model.predict(later.assign(new=later["value"]))
        assert [ends_are_whole(both[both["series"] == name]) for name in ("value", "new")] == [
            False,
            True,
        ]


def test_a_later_fraction_ends_that_a_series_is_counts() -> None:
    values = rare_sales(200)
    fitted = Forecaster(model="mean", horizon=5).fit(table_of(values))
    assert ends_are_whole(fitted.predict())
    assert ends_are_whole(fitted.predict(table_of(np.append(values, 2.0))))
    assert not ends_are_whole(fitted.predict(table_of(np.append(values, 2.5))))


def test_intervals_of_a_series_do_not_depend_on_those_beside_it(no_networks: None) -> None:
    """The errors of a ramp are small beside its scale, and those of noise are not."""
    random, steps = np.random.default_rng(10), 180
    inside: dict[tuple[str, ...], list[float]] = {}
    for _ in range(12):
        noise = random.normal(size=(2, steps + HORIZON))
        table = table_of(noise[0] + 20).rename(columns={"value": "noise"})
        table["ramp"] = 3 * np.arange(len(table)) + noise[1]
        for columns in (["noise"], ["ramp"], ["noise", "ramp"]):
            model = Forecaster(horizon=HORIZON, baselines=(*QUICK, "drift"))
            found = model.fit(table[["day", *columns]][:steps]).predict()
            for place, column in enumerate(columns):
                ends, later = found[place * HORIZON :][:HORIZON], table[column].to_numpy()[steps:]
                share = ((later >= ends["lo_80"]) & (later <= ends["hi_80"])).mean()
                inside.setdefault((column, *columns), []).append(share)
    for column in ("noise", "ramp"):
        alone, beside = (
            np.mean(inside[column, *columns]) for columns in ((column,), ("noise", "ramp"))
        )
        assert beside == pytest.approx(alone, abs=0.05)


def years_ahead(values: np.ndarray, horizon: int) -> pd.DataFrame:
    times = pd.date_range("2000", periods=len(values), freq="YS")
    frame = pd.DataFrame({"year": times, "value": values})
    return Forecaster(model="pretrained", horizon=horizon).fit(frame).predict()


@pytest.mark.parametrize("values", [[100.6, 100.2, 127.9, 130.5, 132.9], [3, 900, 4, 1000, 2]])
def test_intervals_of_five_values_end_below_three_times_the_largest(values: list[float]) -> None:
    found = years_ahead(np.array(values), 6)
    assert found[["hi_80", "hi_95"]].max(axis=None) < 3 * max(values)


@pytest.mark.parametrize("count", [6, 8, 15])
def test_intervals_of_a_short_line_are_at_most_three_times_as_wide_as_its_noise(count: int) -> None:
    widths = []
    for seed in range(8):
        noise = np.random.default_rng(seed).normal(0, 3, count)
        found = years_ahead(100 + 2 * np.arange(count) + noise, 3)
        widths += list(found["hi_80"] - found["lo_80"])
    assert np.median(widths) < 3 * 2 * 1.2816 * 3


def test_intervals_of_growth_widen_beyond_twice_the_past() -> None:
    noise = np.random.default_rng(3).normal(0, 0.03, 15)
    found = years_ahead(np.exp(0.15 * np.arange(15) + noise), 8)
    assert (found["hi_80"] > 1.05 * found["forecast"]).all()
    assert (found["hi_95"] > found["hi_80"]).all()
