"""Weights: what did best on windows that it had not seen forecasts, and what did as well has a share."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.ensemble.baseline_forecasts import BaselineForecasts
from forecast.ensemble.weights import Losses, choose_weights, cross_fitted_weights
from forecast.errors import UsageError
from forecast.intervals.baseline_errors import independent_by_block
from forecast.panel.infer import read_as
from forecast.registry import default_baselines
from forecast.tables.reading import table_from_frame
from tests.conftest import Run

QUICK = {"steps": 60, "params": {"hidden_size": 8}, "horizon": 6}


def weights_of(validation: Losses, past: Losses, networks: int, count: int) -> np.ndarray:
    factors = np.ones(len(validation.values))
    return choose_weights(validation, past, networks, count, factors)


def cross_fitted(validation: Losses, past: Losses, networks: int, count: int) -> Any:
    factors = np.ones(len(validation.values))
    return cross_fitted_weights(validation, past, networks, count, factors)


def losses(levels: list[float], series: int = 1, blocks: int = 1, noise: float = 0.0) -> Losses:
    """Candidates that lose `levels` on average, on one window for each series and block of time."""
    grid = np.stack(np.meshgrid(np.arange(series), np.arange(blocks), indexing="ij"), -1).reshape(
        -1, 2
    )
    chance = np.random.default_rng(0).normal(0, noise, (len(levels), len(grid)))
    chance -= chance.sum(1, keepdims=True) / max(1, len(grid))
    return Losses(np.array(levels)[:, None] * (1 + chance), grid[:, 0], grid[:, 1])


def panel_weights(validation: Losses, past: Losses, networks: int) -> np.ndarray:
    return weights_of(validation, past, networks, 20)[0]


NOTHING = Losses(np.zeros((0, 0)), np.zeros(0, int), np.zeros(0, int))


@pytest.mark.parametrize("best", [0, 1, 2])
def test_a_candidate_that_is_clearly_better_forecasts_alone(best: int) -> None:
    levels = [1.0, 1.0, 1.0]
    levels[best] = 0.5
    weights = weights_of(losses(levels, 20, 5, 0.1), losses(levels[1:], 20, 5, 0.1), 1, 20)
    assert weights.shape == (21, 3)
    assert (weights == np.eye(3)[best]).all()


def test_equal_candidates_share() -> None:
    assert panel_weights(
        losses([1.0] * 4, 20, 5, 0.1), losses([1.0] * 2, 20, 5, 0.1), 2
    ) == pytest.approx([0.25] * 4)


def test_a_candidate_that_is_a_little_better_has_a_larger_share() -> None:
    weights = panel_weights(losses([0.97, 1.0], 20, 5, 0.1), losses([1.0], 20, 5, 0.1), 1)
    assert 0.5 < weights[0] < 1


def test_the_more_windows_the_smaller_the_share_of_what_is_worse() -> None:
    past = losses([1.0], 1, 5)
    shares = [
        panel_weights(losses([0.8, 1.0], 1, blocks), past, 1)[1] for blocks in (1, 5, 20, 300)
    ]
    assert shares[0] == 0.5 > shares[1] > shares[2] > shares[3] == 0


def test_however_many_windows_there_are_what_is_hardly_worse_keeps_a_share() -> None:
    past = losses([1.0], 1, 5)
    hardly, exact = (panel_weights(losses([loss, 1.0], 1, 3000), past, 1) for loss in (0.97, 0.0))
    assert hardly[0] > hardly[1] > 0.25
    assert exact.tolist() == [1, 0]


def test_losses_on_windows_that_a_candidate_was_not_asked_for_are_estimated_from_the_others() -> (
    None
):
    whole = losses([1.0, 2.0, 0.5], 20, 5, 0.1)
    asked = whole.values.copy()
    asked[2, 1::2] = np.nan
    found = Losses(asked, whole.series, whole.block).impute()
    assert (found.values[:2] == whole.values[:2]).all()
    assert (found.values[2, ::2] == whole.values[2, ::2]).all()
    others = whole.values[:2].mean(0)
    ratio = whole.values[2, ::2].sum() / others[::2].sum()
    assert found.values[2, 1::2] == pytest.approx(ratio * others[1::2])
    nothing = np.isnan(
        Losses(np.full((2, 4), np.nan), np.zeros(4, int), np.arange(4)).impute().values
    )
    assert nothing.all()


def test_a_candidate_that_is_asked_for_some_windows_leaves_the_others_their_weights() -> None:
    two = losses([1.0, 0.98], 20, 5, 0.1)
    worse = np.where(np.arange(100) % 10 == 0, 3.0, np.nan)
    three = Losses(np.concatenate([two.values, worse[None]]), two.series, two.block).impute()
    assert panel_weights(three, three, 0)[:2] == pytest.approx(panel_weights(two, two, 0))


def test_networks_need_validation_windows_to_have_a_share() -> None:
    lost = np.full((3, 2), np.nan)
    unknown = Losses(lost, np.zeros(2, int), np.arange(2))
    assert panel_weights(unknown, losses([9.0, 1.0], 1, 5), 1).tolist() == [0, 0, 1]
    assert panel_weights(losses([1.0, 1.0, 1.0], 0), losses([9.0, 1.0], 1, 5), 1).tolist() == [
        0,
        0,
        1,
    ]
    assert panel_weights(losses([1.0, 1.0], 0), NOTHING, 2).tolist() == [0.5, 0.5]


def test_the_past_chooses_among_baselines_where_little_is_held_out() -> None:
    weights = panel_weights(losses([1.0, 0.9, 1.0]), losses([3.0, 1.0], 1, 8), 1)
    assert weights[1] == 0
    assert weights[2] >= 0.5


@pytest.mark.parametrize(("good", "share"), [(slice(4), 0.75), (slice(16, 20), 0.375)])
def test_losses_of_long_ago_count_less(good: slice, share: float) -> None:
    second = np.full(20, 1.125)
    second[good] = 0.5  # 1 on average, as the first one
    past = Losses(np.stack([np.ones(20), second]), np.zeros(20, int), np.arange(20))
    assert panel_weights(losses([1.0, 1.0], 0), past, 0)[1] == share


def test_a_baseline_that_is_the_same_as_another_counts_once() -> None:
    past = losses([1.0, 1.0, 1.0, 9.0], 1, 4)
    assert panel_weights(losses([1.0, 1.0, 1.0, 1.0, 9.0]), past, 1).tolist() == [0.5, 0.5, 0, 0, 0]


def test_a_candidate_that_is_exact_forecasts_alone() -> None:
    assert panel_weights(losses([1.0, 1e-13, 1.0]), losses([1e-13, 1.0], 1, 2), 1).tolist() == [
        0,
        1,
        0,
    ]
    assert panel_weights(losses([0.0, 0.0]), losses([0.0, 0.0]), 0).tolist() == [1, 0]


def test_a_series_with_evidence_of_its_own_gets_its_own_weights() -> None:
    validation, past = losses([0.4, 1.0], 10, 20), losses([1.0], 10, 20)
    mine = validation.series == 3
    values = np.where(mine, np.array([[2.0], [1.0]]), validation.values)
    weights = weights_of(Losses(values, validation.series, validation.block), past, 1, 10)
    assert weights[3, 1] > 0.5
    assert weights[-1].tolist() == weights[0].tolist() == [1, 0]


def test_a_series_with_a_single_window_follows_the_panel() -> None:
    validation, past = losses([0.5, 1.0], 10), losses([1.0], 10)
    values = np.where(validation.series == 3, np.array([[2.0], [1.0]]), validation.values)
    weights = weights_of(Losses(values, validation.series, validation.block), past, 1, 10)
    assert (weights == weights[0]).all()
    assert weights[0, 0] > 0.5


def test_windows_of_one_time_do_not_count_as_many() -> None:
    def size(series: int, blocks: int, memory: float = np.inf) -> float:
        windows = losses([1.0], series, blocks)
        found, sizes = independent_by_block(windows.series, windows.block)
        return float((np.exp(-found / memory) * sizes).sum())

    assert size(1, 1) == 1
    assert size(1, 7) == 7
    assert 1.9 > size(2, 1) > 1.5
    assert 10 > size(1000, 1) > 9
    assert size(1000, 3) == pytest.approx(3 * size(1000, 1))
    assert size(1, 1000, 2.0) < 3
    twice = losses([1.0], 3, 2)
    assert independent_by_block(np.tile(twice.series, 2), np.tile(twice.block, 2))[1].sum() == size(
        3, 2
    )


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_a_candidate_without_a_loss_gets_no_weight_and_windows_without_one_do_not_count(
    missing: float,
) -> None:
    validation, past = losses([0.2, 0.5, 1.0], 4, 6), losses([0.5, 1.0], 4, 6)
    lost = validation.values.copy()
    lost[0] = missing
    weights = weights_of(Losses(lost, validation.series, validation.block), past, 1, 4)
    assert (weights == [0, 1, 0]).all()
    some = validation.values.copy()
    some[2, ::3] = missing
    weights = weights_of(Losses(some, validation.series, validation.block), past, 1, 4)
    assert (weights == [1, 0, 0]).all()


def test_one_candidate_has_all_the_weight() -> None:
    for validation, networks in (
        (losses([3.0], 2, 2), 0),
        (losses([3.0], 2, 2), 1),
        (losses([3.0], 0), 0),
    ):
        past = NOTHING if networks else losses([2.0], 2, 2)
        assert (weights_of(validation, past, networks, 2) == 1).all()


def test_weights_add_up_to_one_exactly_and_repeat() -> None:
    for candidates in range(1, 25):
        levels = list(1 + 0.01 * np.random.default_rng(candidates).normal(size=candidates))
        validation, past = losses(levels, 3, 4, 0.1), losses(levels[candidates // 2 :], 3, 4, 0.1)
        weights = weights_of(validation, past, candidates // 2, 3)
        assert (weights.astype(np.float32).sum(1) == 1).all()
        assert (weights >= 0).all()
        assert (weights == weights_of(validation, past, candidates // 2, 3)).all()


@pytest.mark.parametrize(("series", "blocks"), [(1, 6), (1, 13), (8, 3), (8, 1)])
def test_windows_that_calibrate_did_not_choose(series: int, blocks: int) -> None:
    validation, past = losses([1.0, 1.0], series, blocks, 0.2), losses([1.0], series, blocks)
    parts = list(cross_fitted(validation, past, 1, series))
    assert np.sum([inside for inside, _ in parts], 0).tolist() == [1] * len(validation.block)
    for inside, weights in parts:
        changed = np.where(inside, 100.0, validation.values)
        changed[1] = np.where(inside, 0.001, validation.values[1])
        others = Losses(changed, validation.series, validation.block)
        again = next(w for i, w in cross_fitted(others, past, 1, series) if (i == inside).all())
        assert (again == weights).all()


def test_a_single_window_chooses_and_calibrates() -> None:
    ((inside, weights),) = cross_fitted(losses([1.0, 9.0]), losses([1.0], 1, 3), 1, 1)
    assert inside.tolist() == [True]
    assert weights[0, 0] > weights[0, 1]


def panel(kind: str, series: int = 12, length: int = 160) -> pd.DataFrame:
    noise = np.random.default_rng(5).normal(size=(length, series))
    values = {
        "white noise": noise,
        "random walk": noise.cumsum(0),
        "constant": np.ones((length, series)),
    }[kind]
    frame = pd.DataFrame(values, columns=[f"s{i:02}" for i in range(series)])
    return frame.assign(day=pd.date_range("2024-01-01", periods=length))


def test_where_nothing_can_be_learned_no_candidate_is_far_from_the_best() -> None:
    scores = Forecaster(**QUICK).fit(panel("white noise")).fitted_.ensemble.scores
    assert scores["chosen"] < 1.02 * min(scores.values())


def test_the_error_that_a_fit_says_is_that_of_weights_from_other_windows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BaselineForecasts, "skip_networks", lambda *_: True)
    frame = panel("white noise", 8, 240)
    names = ("mean", "seasonal-mean", "last", "drift", "theta")
    model = Forecaster(horizon=6, baselines=names).fit(frame)
    fitted, held = model.fitted_, model.fitted_.ensemble.validation
    assert held is not None
    said = fitted.ensemble.scores["chosen"]
    assert said == pytest.approx(held.losses(held.quantiles).mean())
    now = read_as(table_from_frame(frame), fitted.config.table, horizon=6).panel
    quantiles = model.predictor_.quantiles(now, held.series, held.first - now.starts[held.series])
    fitting = held.losses(quantiles).mean()
    assert (
        fitting
        < said
        < 1.1 * min(score for name, score in fitted.ensemble.scores.items() if name != "chosen")
    )


@pytest.mark.parametrize("kind", ["random walk", "constant"])
def test_networks_that_are_worse_have_no_share(kind: str) -> None:
    model = Forecaster(**QUICK).fit(panel(kind))
    assert not any("segrnn" in name for name in model.models())
    assert model.predictor_.backend is None


@pytest.mark.slow
def test_what_only_a_network_can_know_gets_the_network(forecast: Run, tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    day = pd.date_range("2024-01-01", periods=306)
    promo = draw.integers(0, 2, (306, 12))  # known in advance, and no pattern in time
    units = 50 + 20 * promo + draw.normal(size=promo.shape)
    units[300:] = np.nan
    frame = pd.concat(
        pd.DataFrame({"shop": f"s{i:02}", "day": day, "units": units[:, i], "promo": promo[:, i]})
        for i in range(12)
    )
    path, store = tmp_path / "promotions.csv", tmp_path / "store"
    frame.to_csv(path, index=False)
    fitted = forecast(
        *("fit", path, "--artifact", store, "--target", "units", "--known", "promo"),
        *("--steps", 200, "-p", "hidden_size=16", "--horizon", 6),
        *(
            "--baselines",
            ",".join(name for name in default_baselines() if name != "regression"),
        ),  # it takes columns
    )
    assert "model    segrnn\n" in fitted.err
    sentence = next(line for line in fitted.err.splitlines() if line.startswith("guard"))
    found = re.fullmatch(
        r"guard    error (\d+) % below the last value on held-out values; 1 of 10 candidates is used",
        sentence,
    )
    assert found is not None
    assert 50 <= int(found[1]) < 100
    assert len(sentence) <= 120
    explained = forecast("predict", "--artifact", store, "--explain")
    assert set(explained.frame["model"]) == {"segrnn"}
    shown = json.loads(forecast("inspect", "--artifact", store, "--json").out)
    assert shown["scores"]["segrnn"] < shown["scores"]["theta"]
    assert set(shown["models"].values()) == {"segrnn"}
    table = forecast("inspect", "--artifact", store).out.splitlines()[-12:]
    assert table[0].split() == ["MASE", "on", "held-out", "values"]
    assert table[1].split()[1:] in (["segrnn"], ["chosen"])
    assert all(line in explained.err for line in table)


def test_a_baseline_is_a_model_too(forecast: Run, passengers: Path, tmp_path: Path) -> None:
    table = pd.read_csv(passengers).tail(48)  # too few months to show the effect of their days
    table.to_csv(tmp_path / "late.csv", index=False)
    store = tmp_path / "store"
    fitted = forecast(
        "fit", tmp_path / "late.csv", "--artifact", store, "--model", "seasonal-naive"
    )
    assert "model    seasonal-naive" in fitted.err
    found = forecast("predict", "--artifact", store, "--explain").frame
    last = table["passengers"].to_numpy(float)
    assert found["forecast"].tolist() == [*last[-12:], *last[-12:-6]]
    assert set(found["model"]) == {"seasonal-naive"}
    assert (found["lo_95"] < found["hi_95"]).all()
    assert (found["lo_80"] < found["hi_80"]).all()


def test_without_the_guard_the_network_forecasts_whatever_it_does(
    forecast: Run, tmp_path: Path
) -> None:
    model = Forecaster(**QUICK, guard=False).fit(panel("random walk"))
    assert set(model.models()) == {"segrnn"}
    path = tmp_path / "walk.csv"
    panel("random walk").to_csv(path, index=False)
    fitted = forecast(
        "fit", path, "--artifact", tmp_path / "a", "--steps", 3, "--horizon", 6, "--no-guard"
    )
    assert "model    segrnn" in fitted.err


def test_an_unseen_series_is_forecast_by_what_the_panel_chose() -> None:
    frame = panel("random walk")
    model = Forecaster(**QUICK).fit(frame.drop(columns="s11"), None)
    found = model.predict(frame, explain=True)
    assert set(found[found["series"] == "s11"]["model"]) == {
        model.fitted_.ensemble.names(np.array([-1]))[0]
    }


def test_an_unknown_baseline_or_metric_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="did you mean 'theta'"):
        Forecaster(**QUICK, baselines=("thetta",)).fit(panel("constant"))
    with pytest.raises(UsageError, match="metric"):
        Forecaster(**QUICK, metric="mape").fit(panel("constant"))


@pytest.mark.parametrize("metric", ["mase", "rmsse", "mae", "rmse", "smape", "wape", "wape_bias"])
def test_scores_of_a_fit_are_the_measures_of_a_backtest(metric: str) -> None:
    frame = panel("random walk", 1, 90)
    model = Forecaster(model="last", metric=metric, horizon=6).fit(frame)
    values, score = frame["s00"].to_numpy(), model.fitted_.ensemble.scores["last"]
    held = model.fitted_.ensemble.validation
    assert held is not None
    step = np.abs(np.diff(values))  # the in-sample error of repeating the last value
    losses = []
    size = np.abs(held.actual).mean()
    for first in held.first - held.first.min() + len(values) - 6 - np.ptp(held.first):
        actual, point = values[first : first + 6], values[first - 1]
        error = np.abs(actual - point)
        losses.append(
            {
                "mase": error.mean() / step.mean(),
                "rmsse": np.sqrt((error**2).mean() / (step**2).mean()),
                "mae": error.mean(),
                "rmse": np.sqrt((error**2).mean()),
                "wape": error.mean() / size,
                "wape_bias": (error.mean() + abs((actual - point).mean())) / size,
                "smape": 200 * (error / (np.abs(actual) + np.abs(point))).mean(),
            }[metric]
        )
    assert score == pytest.approx(np.mean(losses), rel=1e-5)
