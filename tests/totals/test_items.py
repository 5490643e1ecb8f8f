"""What to order of each item: levels, quantities, and until when stock lasts, by command and in Python."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.totals.orders import Demand, stock_for_fill_rate
from tests.conftest import Run

HORIZON = 12
HEAD = "item,lead_time,review,service_level,fill_rate,pack,minimum,on_hand,on_order,lead_time_sd"
ITEMS = f"""{HEAD}
a,2,7,95,,12,,100,20,
b,3,7,,98,,30,20,,1
c,5,7,90,,1,,4,0,
"""
LEVELS = (0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.995)


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Days of three items: one that sells much, one that sells some, one that hardly sells."""
    random = np.random.default_rng(0)
    day = pd.date_range("2024-01-01", periods=200)
    week = 1 + 0.3 * np.sin(2 * np.pi * np.arange(200) / 7)
    parts = [
        pd.DataFrame({"item": item, "day": day, "units": random.poisson(mean * week)})
        for item, mean in zip("abc", (20, 5, 0.6), strict=True)
    ]
    path = tmp_path_factory.mktemp("sales") / "sales.csv"
    pd.concat(parts).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def model(sales: Path) -> Forecaster:
    frame = pd.read_csv(sales, parse_dates=["day"])
    return Forecaster(model="theta", horizon=HORIZON, id="item", time="day").fit(frame)


def items_of(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_orders_fill_up_to_a_quantile_of_the_protection_period(model: Forecaster) -> None:
    orders = model.orders(items_of(ITEMS)).set_index("item")
    assert orders["protection"].tolist() == [9, 10, 12]
    assert orders["day"].tolist() == list(
        pd.to_datetime(["2024-07-27", "2024-07-28", "2024-07-30"])
    )
    sums = model.totals(every=("next 9", "next 12"), quantiles=(90, 95)).set_index(
        ["level", "item"]
    )
    for item, level, column in (("a", "next 9", "p95"), ("c", "next 12", "p90")):
        own = sums.loc[(f"series/{level}", item)]
        assert orders.loc[item, "order_up_to"] == own[column]
        assert orders.loc[item, "mean"] == own["mean"]
    np.testing.assert_allclose(orders["safety_stock"], orders["order_up_to"] - orders["mean"])
    gap = orders["order_up_to"] - [120, 20, 4]
    assert orders["order"].tolist() == [12 * np.ceil(gap["a"] / 12), max(gap["b"], 30), gap["c"]]
    plenty = model.orders(items_of(f"{HEAD}\n,2,7,95,,12,50,500,,\n"))
    assert (plenty["order"] == 0).all()


def test_stock_runs_out_when_the_demand_to_date_exceeds_it(model: Forecaster) -> None:
    orders = model.orders(items_of(ITEMS)).set_index("item")
    steps = [f"next {count}" for count in range(1, HORIZON + 1)]
    sums = model.totals(every=steps, quantiles=(50, 95))
    for item, on_hand in (("a", 100), ("b", 20), ("c", 4)):
        own = sums[sums["item"] == item]
        for column, name in (("p50", "runs_out_50"), ("p95", "runs_out_95")):
            out = np.flatnonzero(own[column].to_numpy() > on_hand)
            day = (
                pd.Timestamp("2024-07-18") + pd.Timedelta(days=int(out[0]) + 1)
                if len(out)
                else None
            )
            shown = orders.loc[item, name]
            assert (pd.Timestamp(shown) if shown else None) == day
    assert (model.orders(items_of(f"{HEAD}\n,2,7,95,,,,,,\n"))["runs_out_50"] == "").all()


def test_a_lead_time_that_is_not_certain_adds_its_variance(model: Forecaster) -> None:
    without, with_sd = (
        model.orders(items_of(f"{HEAD}\na,2,7,95,,,,,,{sd}\n")).iloc[0] for sd in ("", "1.5")
    )
    assert with_sd["mean"] == without["mean"]
    quantiles = model.totals(every="next 9", quantiles=(2.5, 97.5)).set_index("item").loc["a"]
    deviation = (quantiles["p97.5"] - quantiles["p2.5"]) / (2 * 1.96)
    further = 1.5 * without["mean"] / 9
    expected = without["safety_stock"] * np.sqrt(1 + (further / deviation) ** 2)
    assert with_sd["safety_stock"] == pytest.approx(expected, rel=0.1)


@given(
    st.lists(st.floats(0, 1e3), min_size=len(LEVELS), max_size=len(LEVELS)),
    st.floats(0.0, 0.9),
    st.floats(0.5, 0.995),
)
def test_the_stock_for_a_fill_rate_reaches_it_and_less_does_not(
    values: list[float], part: float, fill_rate: float
) -> None:
    quantiles = np.sort(values)[None]
    whole = Demand(np.zeros(1), quantiles, LEVELS)
    whole = Demand(whole.draws().mean(1), quantiles, LEVELS)
    lead = Demand(part * whole.mean, part * quantiles, LEVELS)
    stock = stock_for_fill_rate(whole, lead, np.array([fill_rate]))

    def short(stock: np.ndarray) -> float:
        at_end, before = (np.maximum(one.draws() - stock, 0).mean() for one in (whole, lead))
        return float(at_end - before)

    allowed = (1 - fill_rate) * float(whole.mean[0] - lead.mean[0])
    assert short(stock) <= allowed + 1e-6
    if stock[0] > 1e-6:
        assert short(stock - 1e-3 * max(stock[0], 1.0)) >= allowed - 1e-6


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("d,2,7,95,,,,,,", "line 2: there is no series d"),
        ("a,2,,95,,,,,,", "line 2: lead_time and review are whole numbers of steps"),
        ("a,2.5,7,95,,,,,,", "line 2: lead_time and review are whole numbers of steps"),
        ("a,2,7,,,,,,,", "line 2: give a service_level or a fill_rate"),
        ("a,2,7,95,98,,,,,", "line 2: give a service_level or a fill_rate"),
        ("a,2,7,.95,,,,,,", "line 2: service_level and fill_rate are percent, 50 to 99.5"),
        ("a,2,7,95,,0,,,,", "line 2: a pack is larger than 0"),
        ("a,2,7,95,,-3,,,,", "line 2: pack is '-3', and no number from 0 on"),
        ("a,2,7,95,,many,,,,", "line 2: pack is 'many', and no number from 0 on"),
        (
            "a,9,7,95,,,,,,",
            "line 2: lead_time and review are 16 steps, and the horizon has 12; pass --horizon 16",
        ),
        ("a,2,7,95,,,,,,\n,2,7,95,,,,,,", "line 3: line 2 has the same item"),
    ],
)
def test_items_that_cannot_be_ordered_are_refused_by_row(
    forecast: Run, sales: Path, tmp_path: Path, row: str, words: str
) -> None:
    items = tmp_path / "items.csv"
    items.write_text(f"{HEAD}\n{row}\n")
    refused = forecast(
        *("now", sales, "--id", "item", "--horizon", HORIZON, "--orders", items, "--quiet")
    )
    assert refused.code == 65
    assert words in refused.err
