"""Quantiles in the place of intervals: the same numbers under other names, through every command."""

from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import UsageError
from tests.conftest import Run
from tests.totals._sales import fitted, sales

LONG = ("--id", "region,shop", "--quiet")
ASKED = ("--quantiles", "2.5,10,50,90,97.5")
NAMES = {"p2.5": "lo_95", "p10": "lo_80", "p50": "forecast", "p90": "hi_80", "p97.5": "hi_95"}
NUMBERS = ["forecast", *NAMES]


def counts(shop: int, random: np.random.Generator, days: int) -> np.ndarray:
    return random.poisson(0.6, days).astype(float)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Daily sales and daily counts, and a store for each."""
    place = tmp_path_factory.mktemp("quantiles")
    for name, of in (("sales", None), ("counts", counts)):
        frame = sales(days=160) if of is None else sales(days=160, of=of)
        frame.to_csv(place / f"{name}.csv", index=False)
        past = frame[frame["day"] < "2024-03-28"]
        fitted(past, 14).save(str(place / name))
    return place


@pytest.mark.parametrize("sums", [(), ("--sum-every", "week", "--sum-by", "region")])
@pytest.mark.parametrize("words", [(), ("--min", "50", "--max", "53"), ("--integer",)])
@pytest.mark.parametrize("table", ["sales", "counts"])
def test_ends_of_intervals_are_quantiles_of_other_names(
    forecast: Run, folder: Path, table: str, words: tuple[str, ...], sums: tuple[str, ...]
) -> None:
    command = ("predict", "--artifact", folder / table, "--quiet", *words, *sums)
    intervals = forecast(*command).frame
    quantiles = forecast(*command, *ASKED).frame
    start = list(intervals).index("forecast")
    assert list(quantiles)[start:] == [
        *(["forecast", "mean"] if sums else ["forecast"]),
        *NAMES,
        *list(intervals)[list(intervals).index("hi_95") + 1 :],
    ]
    for name, twin in NAMES.items():
        expected = intervals[twin].rename(name)
        piece = 1 if table == "counts" else 0  # the ends of an interval are rounded outwards
        pd.testing.assert_series_equal(
            quantiles[name], expected, check_dtype=False, rtol=0, atol=piece
        )


def test_a_quantile_of_counts_does_not_follow_their_mean(forecast: Run, folder: Path) -> None:
    command = ("predict", "--artifact", folder / "counts", "--quiet", "--point", "mean")
    found = forecast(*command, "--quantiles", "40,55,95").frame
    rare = found["forecast"].between(0.1, 0.9) & (found["p40"] == 0)
    assert rare.any()
    assert (found["p55"] % 1 == 0).all()
    assert (np.diff(found[["p40", "p55", "p95"]], axis=1) >= 0).all()


def test_now_and_python_have_the_same_quantiles(forecast: Run, folder: Path) -> None:
    code = forecast("now", folder / "sales.csv", *LONG, "--horizon", 3, "--quantiles", "97.5").code
    assert code == 0
    saved = Forecaster.load(str(folder / "sales"))
    told = forecast("predict", "--artifact", folder / "sales", "--quiet", "--quantiles", "5,95")
    frame = saved.predict(quantiles=(5, 95)).assign(day=lambda rows: rows["day"].astype(str))
    columns = ["region", "shop", "day", "forecast", "p5", "p95"]
    assert list(frame) == list(told.frame) == columns
    pd.testing.assert_frame_equal(frame[columns[3:]], told.frame[columns[3:]])
    assert list(saved.totals(every="next 9", quantiles=95))[5:7] == ["mean", "p95"]
    with pytest.raises(UsageError, match="leave out levels"):
        saved.predict(quantiles=95, levels=80)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--quantiles", "10,90", "--levels", "80,95"), "in the place of intervals; leave out"),
        (("--quantiles", "90,10"), "--quantiles 90,10: quantiles ascend, and each comes once"),
        (("--quantiles", "0.5,0.95"), "--quantiles 0.5,0.95: quantiles are percent: 95"),
        (("--quantiles", "10,10"), "quantiles ascend, and each comes once"),
        (("--quantiles", "10,10.0000001"), "with at most 6 digits"),
        (("--quantiles", "0.4"), "--quantiles 0.4: quantiles are 0.5 to 99.5 percent"),
        (("--quantiles", "100"), "quantiles are 0.5 to 99.5 percent"),
        (("--quantiles", "nan"), "--quantiles nan: input should be a finite number"),
        (("--quantiles", "p90"), "--quantiles p90: input should be a valid number"),
    ],
)
def test_what_are_no_quantiles_is_refused(
    forecast: Run, folder: Path, words: tuple[str, ...], error: str
) -> None:
    found = forecast("now", folder / "sales.csv", *LONG, *words)
    assert (found.code, found.out) == (2, "")
    assert error in found.err


def test_an_id_column_of_the_name_of_a_quantile_is_refused(forecast: Run, tmp_path: Path) -> None:
    frame = sales(days=60).rename(columns={"shop": "p90"})
    frame.to_csv(tmp_path / "sales.csv", index=False)
    words = ("now", tmp_path / "sales.csv", "--id", "region,p90", "--quiet", "--horizon", 3)
    assert forecast(*words).code == 0
    found = forecast(*words, "--quantiles", "90")
    assert (found.code, found.out) == (2, "")
    assert "columns 'p90' have the names of columns of the" in found.err


def test_quantiles_are_scored_and_drawn(forecast: Run, folder: Path, tmp_path: Path) -> None:
    actual = folder / "sales.csv"
    scores = {}
    for name, words in (("levels", ("--levels", "80")), ("quantiles", ("--quantiles", "10,90"))):
        made = tmp_path / f"{name}.csv"
        command = ("predict", "--artifact", folder / "sales", "--quiet", *words)
        assert forecast(*command, "--output", made).code == 0
        scores[name] = forecast("score", made, actual, "--id", "region,shop").frame
        drawn = forecast("plot", actual, "--forecast", made, "--id", "region,shop")
        assert "80 %" in drawn.out
    own = ["below_p10", "left_p10", "below_p90", "left_p90"]
    shared = scores["quantiles"].drop(columns=own)
    pd.testing.assert_frame_equal(shared, scores["levels"])
    made = pd.read_csv(tmp_path / "quantiles.csv")
    both = made.merge(pd.read_csv(actual), on=["region", "shop", "day"])
    below = (both["units"] <= both["p90"]).mean()
    assert scores["quantiles"]["below_p90"].item() == pytest.approx(below, abs=1e-4)
    leftover = (both["p90"] - both["units"]).clip(lower=0).mean()
    assert scores["quantiles"]["left_p90"].item() == pytest.approx(leftover, abs=1e-3)


def test_orders_are_scored_by_level(forecast: Run, folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "orders.csv"
    command = ("predict", "--artifact", folder / "sales", "--quiet", "--quantiles", "5,95")
    sums = ("--sum-every", "next 9", "--sum-every", "next 14", *split("--sum-by all --sum-by shop"))
    assert forecast(*command, *sums, "--output", made).code == 0
    found = forecast("score", made, folder / "sales.csv", "--id", "region,shop").frame
    assert found["level"].tolist() == ["all/next 9", "all/next 14", "shop/next 9", "shop/next 14"]
    actual = pd.read_csv(folder / "sales.csv")
    first = actual[actual["day"] >= "2024-03-28"].groupby("shop").head(9)
    orders = pd.read_csv(made, dtype={"shop": str})
    orders = orders[orders["level"] == "shop/next 9"].set_index("shop")
    demand = first.groupby("shop")["units"].sum()
    demand.index = [f"{shop:03}" for shop in demand.index]
    left = (orders["p95"] - demand).clip(lower=0).mean()
    assert found["left_p95"][2] == pytest.approx(left, rel=1e-4)
    assert found["below_p95"][2] == (demand <= orders["p95"]).mean()


def test_a_crossed_pair_is_refused(forecast: Run, folder: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.csv"
    command = ("predict", "--artifact", folder / "sales", "--quiet", "--quantiles", "10,90")
    forecast(*command).frame.assign(p10=99.0).to_csv(made, index=False)
    found = forecast("score", made, folder / "sales.csv", "--id", "region,shop")
    assert found.code == 65
    assert "the interval begins at 99" in found.err


def test_blank_quantiles_are_refused(folder: Path, forecast: Run) -> None:
    refused = forecast("predict", "--artifact", folder / "sales", "--quantiles", "")
    assert (refused.code, "quantiles are blank" in refused.err) == (2, True)
