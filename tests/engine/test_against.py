"""Our forecasts beside those of others, on the values that both forecast."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, score
from forecast.errors import BadData, UsageError
from forecast.settings import TableSettings
from tests.conftest import Run

STATIC = TableSettings(static=("family",))


def actual() -> pd.DataFrame:
    """Two shops and two items, 60 days."""
    draw = np.random.default_rng(1)
    day = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    frames = []
    for shop in ("n", "s"):
        for item, family in (("a", "food"), ("b", "toys")):
            units = 50 + draw.normal(0, 5, len(day)).round(1)
            names = {"shop": shop, "item": item, "family": family, "day": day, "units": units}
            frames.append(pd.DataFrame(names))
    return pd.concat(frames, ignore_index=True)


def forecasts(of: pd.DataFrame, off: float) -> pd.DataFrame:
    """Forecasts of the last ten days that are too high; those of toys by twice as much."""
    later = of[of["day"] >= "2024-02-20"]
    error = off * np.where(later["family"] == "toys", 2.0, 1.0)
    table = later[["shop", "item", "day"]].assign(forecast=later["units"] + error)
    return table.reset_index(drop=True)


def plan(of: pd.DataFrame, seed: int = 2) -> pd.DataFrame:
    """A plan with errors by date, of other columns in another order, from before our forecasts on."""
    later = of[of["day"] >= "2024-02-10"].reset_index(drop=True)
    draw = np.random.default_rng(seed)
    of_date = dict(zip(later["day"].unique(), draw.normal(0, 4, 30), strict=False))
    budget = later["units"] + later["day"].map(of_date) + draw.normal(0, 1, len(later))
    return later[["item", "day", "shop"]].assign(budget=budget, note="plan")


def test_the_difference_and_its_error_by_dates_are_those_of_the_plain_formulas() -> None:
    frame, theirs = actual(), plan(actual())
    ours = forecasts(frame, 3.0)
    row = score(ours, frame, STATIC, theirs, "budget").rows_by("all").iloc[0]
    both = ours.merge(theirs, on=["shop", "item", "day"]).merge(frame, on=["shop", "item", "day"])
    own = (both["forecast"] - both["units"]).abs()
    other = (both["budget"] - both["units"]).abs()
    difference = own - other
    # all series have all dates, so that dates are ten plain observations
    dates = difference.groupby(both["day"]).mean()
    assert row["ours"] == pytest.approx(own.mean(), abs=1e-4)
    assert row["theirs"] == pytest.approx(other.mean(), abs=1e-4)
    assert row["skill"] == pytest.approx(1 - own.mean() / other.mean(), abs=1e-4)
    assert row["difference"] == pytest.approx(difference.mean(), abs=1e-4)
    assert row["standard_error"] == pytest.approx(dates.std() / np.sqrt(10), abs=1e-4)
    assert row["dates"] == 10


def test_groups_stand_side_by_side_and_the_worst_comes_first() -> None:
    frame = actual()
    result = score(forecasts(frame, 3.0), frame, STATIC, forecasts(frame, 4.0))
    rows = result.rows_by("family")
    assert rows["family"].tolist() == ["food", "toys"]
    assert rows["ours"].tolist() == pytest.approx([3, 6])
    assert rows["difference"].tolist() == pytest.approx([-1, -2])
    assert rows["standard_error"].tolist() == pytest.approx([0, 0], abs=1e-6)
    better = forecasts(frame, 4.0)
    better.loc[better["item"] == "b", "forecast"] -= 7
    assert score(forecasts(frame, 3.0), frame, STATIC, better).rows_by("family")[
        "family"
    ].tolist() == ["toys", "food"]


def test_what_only_one_side_forecasts_is_left_out_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = actual()
    ours = forecasts(frame, 3.0)
    theirs = forecasts(frame, 5.0)
    theirs.loc[0, "forecast"] = 1e6  # ours has no forecast there
    result = score(ours.drop([0, 1]), frame, STATIC, theirs.drop([7, 8, 9]))
    assert "left out: 3 forecasts of ours alone, 2 of other forecasts alone" in caplog.text
    assert result.values == 35
    assert result.rows_by("all")["theirs"].item() < 10
    assert result.overall["mae"].item() == pytest.approx(result.rows_by("all")["ours"].item())


def test_the_command_takes_the_column_of_a_plan(forecast: Run, tmp_path: Path) -> None:
    frame = actual()
    paths = [tmp_path / name for name in ("ours.csv", "actual.csv", "plan.csv")]
    for table, path in zip((forecasts(frame, 3.0), frame, plan(frame)), paths, strict=True):
        table.to_csv(path, index=False)
    ours, sales, budget = paths
    words = ("score", ours, "--against", budget, sales, "--static", "family")
    ran = forecast(*words, "--against-column", "budget")
    assert ran.code == 0
    assert ran.frame["dates"].tolist() == [10]
    assert "left out: 0 forecasts of ours alone, 40 of plan.csv alone" in ran.err
    rows = forecast(*words, "--against-column", "budget", "--by", "family").frame
    assert set(rows["family"]) == {"food", "toys"}
    rows = forecast(*words, "--against-column", "budget", "--by", "series").frame
    assert rows.columns[:3].tolist() == ["shop", "item", "skill"]
    assert len(rows) == 4
    refused = forecast(*words)
    assert refused.code == 65
    assert "plan.csv: no column 'forecast'; columns found: item, day, shop, budget" in refused.err
    refused = forecast("score", ours, sales, "--against-column", "budget")
    assert (refused.code, "there is no table of theirs" in refused.err) == (2, True)


@pytest.mark.parametrize("shop", ["n", "s"])
def test_a_plan_without_some_of_our_series_is_compared_on_the_others(shop: str) -> None:
    frame = actual()
    theirs = plan(frame)
    scores = score(forecasts(frame, 3.0), frame, STATIC, theirs[theirs["shop"] == shop], "budget")
    rows = scores.rows_by("shop").set_index("shop")
    assert rows["dates"].to_dict() == {one: 10 * (one == shop) for one in ("n", "s")}
    renamed = theirs.assign(shop=theirs["shop"] + " new")
    with pytest.raises(BadData, match="has none of our series and times"):
        score(forecasts(frame, 3.0), frame, STATIC, renamed, "budget")


def test_a_backtest_of_seasonal_naive_alone_is_scored() -> None:
    frame = actual()
    settings = {"id": ("shop", "item"), "target": "units", "horizon": 5}
    naive = Forecaster(model="seasonal-naive", **settings).backtest(frame, windows=1).forecasts
    scores = score(naive, frame, TableSettings(id=("shop", "item"), target="units"))
    assert scores.rows_by("all")["skill"][0] == pytest.approx(0.0, abs=0.2)


def test_tables_with_nothing_in_common_are_refused() -> None:
    frame = actual()
    earlier = forecasts(frame, 1.0).assign(day=frame["day"][:10].tolist() * 4)
    with pytest.raises(BadData, match="has none of our series and times"):
        score(forecasts(frame, 3.0), frame, STATIC, earlier)
    with pytest.raises(UsageError, match="'famly' is no id column"):
        score(forecasts(frame, 3.0), frame, STATIC, forecasts(frame, 4.0)).rows_by("famly")


def test_the_time_is_what_holds_times_wherever_it_stands() -> None:
    frame = actual().drop(columns="family")
    made = forecasts(actual(), 3.0)
    turned = made[["day", "shop", "item", "forecast"]]
    pd.testing.assert_frame_equal(score(turned, frame).overall, score(made, frame).overall)


def test_a_series_that_is_forecast_itself_lends_nothing_to_the_one_that_replaces_it(
    tmp_path: Path,
) -> None:
    days = pd.date_range("2026-01-05", periods=42)
    sold = 10.0 + np.arange(42) % 7
    table = pd.DataFrame({"product": "tea", "day": days, "sold": sold})
    table.loc[28:, "product"] = "new tea"
    rows = {"product": ["new tea"], "replaces": ["tea"], "from": [str(days[28].date())]}
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    settings = {"id": "product", "time": "day", "target": "sold"}
    settings["successors"] = str(tmp_path / "rows.csv")
    before = table[table["day"] < days[26]]  # two days before
    model = Forecaster(model="seasonal-naive", horizon=7, **settings).fit(before)
    scores = score(model.predict(), table, TableSettings.check(settings))
    assert scores.missing == ()
    assert scores.overall["mae"].tolist() == [0.0]
    assert scores.values == 7
