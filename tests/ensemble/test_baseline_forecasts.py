"""Baselines with their seasons, their labels, and how far they look back."""

from collections.abc import Callable
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.baselines.shared.method import baseline_method
from forecast.baselines.shared.windows import forecast_baseline
from forecast.ensemble import baseline_forecasts
from forecast.ensemble.baseline_forecasts import (
    MAX_CONTEXT_VALUES,
    base_name,
    context_length,
    find_baseline,
    find_baselines,
)
from forecast.pretrained.forecasting import Network, forecast_quantiles, network_for
from forecast.registry import default_baselines


def test_a_baseline_that_repeats_a_season_comes_once_for_each_season() -> None:
    labels = [
        baseline.label
        for baseline in find_baselines(("last", "seasonal-naive", "theta"), (24, 168))
    ]
    assert labels == ["last", "seasonal-naive", "seasonal-naive-168", "theta"]
    assert [baseline.season for baseline in find_baselines(("last", "seasonal-mean"), ())] == [1, 1]


def test_without_a_season_a_baseline_that_is_then_another_one_is_left_out() -> None:
    names = ("last", "seasonal-naive", "drift", "seasonal-drift", "seasonal-mean")
    assert [baseline.label for baseline in find_baselines(names, ())] == [
        "last",
        "drift",
        "seasonal-mean",
    ]
    assert [baseline.label for baseline in find_baselines(("seasonal-naive", "theta"), ())] == [
        "seasonal-naive",
        "theta",
    ]
    years = pd.DataFrame(
        {"year": range(1960, 2000), "value": np.random.default_rng(1).normal(size=40).cumsum()}
    )
    several = Forecaster(model="pretrained", horizon=4, baselines=names).fit(years)
    assert not {"seasonal-naive", "seasonal-drift"} & several.fitted_.ensemble.scores.keys()
    alone = Forecaster(model="seasonal-naive", horizon=4).fit(years)
    assert alone.fitted_.ensemble.components == ("seasonal-naive",)
    assert (alone.predict()["forecast"] - years["value"].iloc[-1]).abs().max() < 1e-3


def test_a_label_leads_back_to_its_baseline() -> None:
    for baseline in find_baselines(default_baselines(), (7, 365)):
        assert find_baseline(baseline.label, (7, 365)) == baseline
        assert base_name(baseline.label) == baseline.name


@pytest.mark.parametrize("label", ["seasonal-naive-8", "last-365", "segrnn", "", "theta-"])
def test_a_label_of_no_baseline_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="no baseline"):
        find_baseline(label, (7, 365))


def test_baselines_see_enough_seasons_and_no_more_than_there_is() -> None:
    assert context_length(14, (), 10_000) == 200
    assert context_length(300, (7,), 10_000) == 300
    assert context_length(14, (48,), 10_000) == 384
    assert context_length(14, (7, 365), 10_000) == 1500
    assert context_length(14, (48,), 50) == 50


def test_windows_shorter_than_a_day_are_forecast_by_the_network_of_hours_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = set()

    def noted(network: Network, *window: Any) -> np.ndarray:
        used.add((network.hash, window[-1]))
        return forecast_quantiles(network, *window)

    monkeypatch.setattr("forecast.baselines.pretrained.forecast_quantiles", noted)
    hours = pd.date_range("2024-01-01", periods=90, freq="h")
    values = (
        9 + np.sin(2 * np.pi * np.arange(90) / 24) + np.random.default_rng(3).normal(0, 0.1, 90)
    )
    new = np.where(np.arange(90) < 70, np.nan, values)  # a series that began not a day ago
    Forecaster(model="pretrained", horizon=6).fit(
        pd.DataFrame({"time": hours, "old": values, "new": new})
    )
    assert {seasons for _, seasons in used} == {(), (24,)}
    assert {name for name, _ in used} == {network_for((24,)).hash}


def test_only_the_pretrained_network_has_quantiles_of_its_own_and_comes_once() -> None:
    own = [name for name in default_baselines() if baseline_method(name).quantiles is not None]
    assert own == ["pretrained"]
    assert [each.label for each in find_baselines(("pretrained",), (24, 168))] == ["pretrained"]


def test_a_baseline_that_takes_time_is_asked_for_some_windows_only(
    forecast: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(90, 60))
    values = np.round(100 + 20 * np.sin(2 * np.pi * np.arange(60) / 12) + 5 * noise, 2)
    pd.DataFrame(values, index=[f"s{i:02}" for i in range(90)]).to_csv(
        tmp_path / "rows.csv", index_label="id"
    )
    asked = []

    def counted(network: Any, values: np.ndarray, *rest: Any) -> np.ndarray:
        asked.append(len(values))
        return forecast_quantiles(network, values, *rest)

    monkeypatch.setattr("forecast.baselines.pretrained.forecast_quantiles", counted)
    found = forecast(
        "now", tmp_path / "rows.csv", *split("--layout rows --season 12 --horizon 4 --explain")
    )
    assert found.code == 0
    assert len(found.frame) == 90 * 4
    assert sum(asked) <= 2 * baseline_forecasts.COMPARED + 90
    assert "  pretrained\n" in found.err


def test_order_and_names_of_series_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    # more windows than the pretrained network is asked for
    values = (
        50
        + np.tile(rng.normal(size=(7, 80)), (20, 1))
        + rng.normal(size=(140, 80))
        + rng.normal(size=80)
    )
    days = pd.date_range("2024-01-01", periods=140)

    def forecasts(frame: pd.DataFrame) -> pd.DataFrame:
        table = (
            Forecaster(model="pretrained", baselines=("pretrained",), horizon=5)
            .fit(frame)
            .predict()
        )
        return table.pivot(index="day", columns="series", values="forecast")

    plain = forecasts(
        pd.DataFrame(values, days, [f"a{i:02}" for i in range(80)]).rename_axis("day").reset_index()
    )
    order = rng.permutation(80)
    names = [f"b{place:02}" for place in range(80)]
    turned = forecasts(pd.DataFrame(values[:, order], days, names).rename_axis("day").reset_index())
    assert turned[names].to_numpy() == pytest.approx(plain.to_numpy()[:, order], rel=1e-5)


def test_no_baseline_reads_more_than_its_share_of_values(
    forecast: Callable[..., Any], passengers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_CONTEXT_VALUES > 1024 * 3_000  # windows of seasons of 500 steps are all compared
    asked, whole = [], forecast("now", passengers)

    def counted(name: str, past: np.ndarray, *rest: Any) -> np.ndarray:
        asked.append(past.size)
        return forecast_baseline(name, past, *rest)

    monkeypatch.setattr(baseline_forecasts, "forecast_baseline", counted)
    monkeypatch.setattr(baseline_forecasts, "MAX_CONTEXT_VALUES", 20 * 144, raising=False)
    monkeypatch.setattr(baseline_forecasts, "MIN_COMPARED", 1, raising=False)
    found = forecast("now", passengers)
    assert max(asked) == 20 * 144
    assert np.abs(found.frame["forecast"] / whole.frame["forecast"] - 1).mean() < 0.05
