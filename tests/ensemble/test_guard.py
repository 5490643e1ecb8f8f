"""The guard: a network forecasts where it clearly wins on held-out values, and nowhere else."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.ensemble.guard import choose, clearly_better, stories
from forecast.errors import UsageError

Run = Callable[..., "object"]
QUICK = {"steps": 60, "params": {"hidden_size": 8}, "horizon": 6}


def losses(*rows: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda share: share @ np.stack(rows)


def blocks(series: int, times: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(series), np.arange(times), indexing="ij"), -1).reshape(-1, 2)


BASE = np.random.default_rng(0).uniform(0.9, 1.1, 100)
MANY = blocks(20, 5)


@pytest.mark.parametrize(("factor", "wins"), [(0.9, True), (0.98, True), (0.995, False), (1.1, False)])
def test_the_network_must_win_by_one_percent(factor: float, wins: bool) -> None:
    shares, scores = choose([1], 2, losses(factor * BASE, BASE, 2 * BASE), MANY, 20, lambda share: 1.0)
    assert shares.shape == (21, 3)
    assert (shares[0] == ([1, 0, 0] if wins else [0, 1, 0])).all()
    assert scores[-1] == pytest.approx(scores[0] if wins else scores[1])


def test_a_win_within_its_standard_error_is_no_win() -> None:
    noise = np.random.default_rng(1).normal(0, 2.0, 100)
    noisy = 0.95 * BASE + noise - noise.mean()
    assert not clearly_better(noisy, BASE, MANY, 1.0)
    assert clearly_better(noisy, BASE, MANY, 0.1)
    assert clearly_better(0.95 * BASE, BASE, MANY, 1.0)
    assert not clearly_better(0.95 * BASE, BASE, MANY, 1.0, lead=0.06)


def test_a_likely_win_on_many_values_is_enough() -> None:
    noise = np.random.default_rng(1).normal(0, 0.25, 100)
    network = 0.97 * BASE + noise - noise.mean()
    assert not clearly_better(network, BASE, MANY, 1.28)
    assert choose([1], 1, losses(network, BASE), MANY, 20, lambda share: 1.0)[0][0].tolist() == [1, 0]


def test_half_of_a_blend_of_networks_and_baselines_is_enough() -> None:
    errors = np.random.default_rng(2).normal(0, 1, (3, 100)) + np.array([[0.0], [0.3], [0.3]])
    shares, _ = choose([1], 2, lambda share: np.abs(share @ errors), MANY, 20, lambda share: 1.0)
    assert shares[0, 0] >= 0.5
    assert (shares[0, 1:] > 0).all()


def test_networks_count_as_often_as_they_were_trained_unless_they_are_much_worse() -> None:
    table = losses(BASE, BASE, 1.2 * BASE)
    assert choose([3, 1, 9], 0, table, MANY, 20, lambda share: 1.0)[0][0] == pytest.approx([0.75, 0.25, 0])


def test_where_little_is_held_out_networks_count_the_same() -> None:
    table = losses(np.ones(4), np.ones(4), 1.3 * np.ones(4))
    assert choose([3, 1, 9], 0, table, blocks(1, 4), 1, lambda share: 1.0)[0][0] == pytest.approx([0.5, 0.5, 0])


def test_series_of_one_time_do_not_count_as_many() -> None:
    assert stories(blocks(50, 1)) == 10
    assert stories(blocks(500, 1)) == 22
    assert stories(blocks(3, 4)) == 12


def test_a_blend_wins_where_errors_cancel() -> None:
    up, down = np.where(np.arange(100) % 2, 1.0, -1.0), np.where(np.arange(100) % 2, -1.0, 1.0)
    shares, _ = choose([1], 1, lambda share: np.abs(share @ np.stack([up, down])), MANY, 20, lambda share: 1.0)
    assert shares[5].tolist() == [0.5, 0.5]


def test_a_series_with_enough_held_out_values_gets_its_own() -> None:
    mine = MANY[:, 0] == 3
    network = np.where(mine, 2.0, 0.5) * BASE
    shares, _ = choose([1], 1, losses(network, BASE), MANY, 20, lambda share: 1.0)
    assert shares[4].tolist() == [0, 1]
    assert shares[0].tolist() == shares[1].tolist() == [1, 0]


def test_little_held_out_lets_the_past_choose_the_baseline() -> None:
    few = blocks(1, 2)
    table = losses(np.full(2, 1.0), np.full(2, 0.5), np.full(2, 1.2))
    shares, _ = choose([1], 2, table, few, 1, lambda share: float(share @ [9.0, 3.0, 1.0]))
    assert shares[0].tolist() in ([0, 0, 1], [0.5, 0, 0.5], [1, 0, 0])
    assert shares[0, 1] == 0


def test_little_held_out_mixes_up_to_three_baselines_where_the_past_says_so() -> None:
    few, past = blocks(1, 2), np.array([[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]])
    held = losses(*np.ones((3, 2)))
    shares, _ = choose([], 3, held, few, 1, lambda share: float(np.abs(share @ past - 1).sum()))
    assert shares[0] == pytest.approx([1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize(("error", "expected"), [(0.999, [0, 1]), (-0.9, [0.5, 0.5])])
def test_little_held_out_blends_by_halves_where_errors_cancel(error: float, expected: list[float]) -> None:
    def loss_of(share: np.ndarray) -> np.ndarray:
        return np.full(4, abs(share[0] * error + share[1]))

    assert choose([1], 1, loss_of, blocks(1, 4), 1, lambda share: 1.0)[0][0].tolist() == expected


def test_a_network_that_clearly_wins_on_little_gets_it_all() -> None:
    held = losses(np.full(4, 0.2), np.full(4, 1.0))
    assert choose([1], 1, held, blocks(1, 4), 1, lambda share: 1.0)[0][0].tolist() == [1, 0]


def test_nothing_held_out_leaves_the_baseline_that_did_best_in_the_past() -> None:
    unknown = losses(*np.full((3, 4), np.nan))
    shares, scores = choose([1], 2, unknown, blocks(2, 2), 2, lambda share: float(share @ [0.0, 3.0, 1.0]))
    assert shares.tolist() == [[0, 0, 1]] * 3
    assert np.isnan(scores).all()


def panel(kind: str, series: int = 12, length: int = 160) -> pd.DataFrame:
    noise = np.random.default_rng(5).normal(size=(length, series))
    values = {"white noise": noise, "random walk": noise.cumsum(0), "constant": np.ones((length, series))}[kind]
    frame = pd.DataFrame(values, columns=[f"s{i:02}" for i in range(series)])
    return frame.assign(day=pd.date_range("2024-01-01", periods=length))


@pytest.mark.parametrize("kind", ["white noise", "random walk", "constant"])
def test_what_cannot_be_learned_gets_a_baseline(kind: str) -> None:
    model = Forecaster(**QUICK).fit(panel(kind))
    assert not any("segrnn" in name for name in model.models())
    assert model.engine_.backend.groups == []


def test_what_only_a_network_can_know_gets_the_network(forecast: Run, tmp_path: Path) -> None:
    draw = np.random.default_rng(4)
    day = pd.date_range("2024-01-01", periods=306)
    promo = draw.integers(0, 2, (306, 12))  # known in advance, and no pattern in time
    units = 50 + 20 * promo + draw.normal(size=promo.shape)
    units[300:] = np.nan
    frame = pd.concat(
        pd.DataFrame({"shop": f"s{i:02}", "day": day, "units": units[:, i], "promo": promo[:, i]}) for i in range(12)
    )
    path, store = tmp_path / "promotions.csv", tmp_path / "store"
    frame.to_csv(path, index=False)
    fitted = forecast(
        *("fit", path, "--artifact", store, "--target", "units", "--known", "promo"),
        *("--steps", 200, "-p", "hidden_size=16", "--horizon", 6),
    )
    assert "model    segrnn\n" in fitted.err
    sentence = next(line for line in fitted.err.splitlines() if line.startswith("guard"))
    found = re.fullmatch(
        r"guard    error (\d+) % below seasonal naive on held-out values; 1 of 11 candidates forecasts", sentence
    )
    assert found is not None
    assert 50 <= int(found[1]) < 100
    assert len(sentence) <= 120
    explained = forecast("predict", "--artifact", store, "--explain")
    assert set(explained.frame["model"]) == {"segrnn"}
    shown = json.loads(forecast("inspect", "--artifact", store, "--json").out)
    assert shown["scores"]["segrnn"] < shown["scores"]["theta"]
    assert set(shown["models"].values()) == {"segrnn"}
    table = forecast("inspect", "--artifact", store).out.splitlines()[-13:]
    assert table[0].split() == ["MASE", "on", "held-out", "values"]
    assert table[1].split()[1:] in (["segrnn"], ["chosen"])
    assert all(line in explained.err for line in table)


def test_a_baseline_is_a_model_too(forecast: Run, passengers: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    fitted = forecast("fit", passengers, "--artifact", store, "--model", "seasonal-naive")
    assert "model    seasonal-naive" in fitted.err
    found = forecast("predict", "--artifact", store, "--explain").frame
    last = pd.read_csv(passengers)["passengers"].to_numpy(float)
    assert found["forecast"].tolist() == [*last[-12:], *last[-12:-6]]
    assert set(found["model"]) == {"seasonal-naive"}
    assert (found["lo_95"] < found["hi_95"]).all()
    assert (found["lo_80"] < found["hi_80"]).all()


def test_without_the_guard_the_network_forecasts_whatever_it_does(forecast: Run, tmp_path: Path) -> None:
    model = Forecaster(**QUICK, guard=False).fit(panel("random walk"))
    assert set(model.models()) == {"segrnn"}
    path = tmp_path / "walk.csv"
    panel("random walk").to_csv(path, index=False)
    fitted = forecast("fit", path, "--artifact", tmp_path / "a", "--steps", 3, "--horizon", 6, "--no-guard")
    assert "model    segrnn" in fitted.err


def test_an_unseen_series_is_forecast_by_what_the_panel_chose() -> None:
    frame = panel("random walk")
    model = Forecaster(**QUICK).fit(frame.drop(columns="s11"), None)
    found = model.predict(frame, explain=True)
    assert set(found[found["series"] == "s11"]["model"]) == {model.fitted_.ensemble.names(np.zeros(1, int))[0]}


def test_an_unknown_baseline_or_metric_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="did you mean 'theta'"):
        Forecaster(**QUICK, baselines=("thetta",)).fit(panel("constant"))
    with pytest.raises(UsageError, match="metric"):
        Forecaster(**QUICK, metric="mape").fit(panel("constant"))


@pytest.mark.parametrize("metric", ["mase", "rmsse", "mae", "rmse", "smape"])
def test_scores_of_a_fit_are_the_measures_of_a_backtest(metric: str) -> None:
    frame = panel("random walk", 1, 90)
    model = Forecaster(model="last", metric=metric, horizon=6).fit(frame)
    values, score = frame["s00"].to_numpy(), model.fitted_.config.scores["last"]
    held = model.fitted_.ensemble.validation
    assert held is not None
    step = np.abs(np.diff(values))  # the in-sample error of repeating the last value
    losses = []
    for first in held.first - held.first.min() + len(values) - 6 - np.ptp(held.first):
        actual, point = values[first : first + 6], values[first - 1]
        error = np.abs(actual - point)
        losses.append(
            {
                "mase": error.mean() / step.mean(),
                "rmsse": np.sqrt((error**2).mean() / (step**2).mean()),
                "mae": error.mean(),
                "rmse": np.sqrt((error**2).mean()),
                "smape": 200 * (error / (np.abs(actual) + np.abs(point))).mean(),
            }[metric]
        )
    assert score == pytest.approx(np.mean(losses), rel=1e-5)
