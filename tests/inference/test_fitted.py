"""A fitted forecaster is plain arrays that need no torch, and says which models it has and how they compare."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.engine.fit import fit
from forecast.engine.requests import FitRequest
from forecast.ensemble.ensemble import CHOSEN, NETWORKS
from forecast.inference.fitted import (
    Fitted,
    counted_models,
    describe_fit,
    list_models,
    rank_candidates,
    verdict,
)
from forecast.settings import TrainSettings
from tests._inputs import read_days

MODULES = [
    "inference.fitted",
    "inference.contents",
    "inference.predictor",
    "ensemble.candidates",
]


def test_what_surrounds_the_networks_imports_no_torch() -> None:
    imports = "".join(
        f"import forecast.{module}\nif 'torch' in sys.modules: sys.exit('{module}')\n"
        for module in MODULES
    )
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys\n{imports}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


DAYS = np.random.default_rng(0).normal(10, 2, 60).tolist()


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """Two baselines of three series, by a fit that trains no network."""
    reading = read_days(DAYS, DAYS[::-1], DAYS[5:])
    settings = TrainSettings(model="last", baselines=("last", "mean"), device="cpu")
    return fit(FitRequest(reading, settings, sums=False))


def mixed(fitted: Fitted, *weights: tuple[float, float]) -> Fitted:
    """The fit with these weights of last and mean, first those of a new series."""
    config = fitted.config.model_copy(update={"components": ("last", "mean")})
    return replace(
        fitted,
        config=config,
        ensemble=replace(
            fitted.ensemble, components=("last", "mean"), weights=np.array(weights, np.float32)
        ),
    )


@pytest.mark.parametrize(
    ("model", "counted"),
    [
        ("theta", "theta"),
        ("segrnn+segrnn+theta", "2 segrnn + theta"),
        ("gru+theta+gru", "2 gru + theta"),
    ],
)
def test_repeated_networks_are_counted(model: str, counted: str) -> None:
    assert counted_models(model) == counted


def test_one_model_for_all_series_is_named_alone(fitted: Fitted) -> None:
    one = mixed(fitted, (1, 0), (1, 0), (1, 0), (1, 0))
    assert list_models(one) == ["last"] * 3
    assert describe_fit(one)[0] == "model    last"


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        (
            ((1, 0), (1, 0), (0, 1), (1, 0)),
            "model    last for 2 of 3 series, 1 other mixture for the rest",
        ),
        (
            ((1, 0), (0.5, 0.5), (0, 1), (1, 0)),
            "model    last for 1 of 3 series, 2 other mixtures for the rest",
        ),
    ],
)
def test_of_several_mixtures_the_most_frequent_is_named(
    fitted: Fitted, weights: tuple[tuple[float, float], ...], line: str
) -> None:
    assert describe_fit(mixed(fitted, *weights))[0] == line


def test_the_comparison_follows_and_nothing_is_said_of_what_is_not_there(fitted: Fitted) -> None:
    lines = describe_fit(fitted)
    assert [line.split()[0] for line in lines] == ["model", "guard"]
    assert "on held-out values" in lines[1]
    assert rank_candidates(fitted)[0].startswith("MASE")


@pytest.mark.parametrize(
    ("chosen", "naive", "sentence"),
    [
        (
            0.61,
            1.0,
            "error 39 % below seasonal naive on held-out values; 1 of 3 candidates is used",
        ),
        (1.2, 1.0, "error 20 % above seasonal naive on held-out values; 1 of 3 candidates is used"),
        (
            1.001,
            1.0,
            "error the same as seasonal naive on held-out values; 1 of 3 candidates is used",
        ),
        (
            1e-9,
            1.0,
            "error over 99 % below seasonal naive on held-out values; 1 of 3 candidates is used",
        ),
        (
            0.2,
            0.0,
            "mean error 0.2 on held-out values, where seasonal naive is exact; 1 of 3 candidates is used",
        ),
        (1e-10, 0.0, "exact on held-out values, as seasonal naive is; 1 of 3 candidates is used"),
        (
            1.02e-15,
            1e-15,
            "exact on held-out values, as seasonal naive is; 1 of 3 candidates is used",
        ),
        (
            0.2,
            1e-15,
            "mean error 0.2 on held-out values, where seasonal naive is exact; 1 of 3 candidates is used",
        ),
        (0.2, None, "mean error 0.2 on held-out values; 1 of 2 candidates is used"),
    ],
)
def test_the_choice_is_compared_with_seasonal_naive_in_one_sentence(
    chosen: float, naive: float | None, sentence: str
) -> None:
    scores = {"segrnn": 0.7, "theta": 0.9, NETWORKS: 0.7, CHOSEN: chosen}
    found = verdict(scores if naive is None else {**scores, "seasonal-naive": naive}, 1)
    assert found == sentence
    assert len(found) <= 120


@pytest.mark.parametrize(
    ("ratios", "sentence"),
    [
        ([0.3, 0.5, 0.8], "error 20 to 70 % below seasonal naive on 3 held-out windows"),
        ([0.3, 1.2], "error 20 % above to 70 % below seasonal naive on 2 held-out windows"),
        ([1.2, 1.5], "error 20 to 50 % above seasonal naive on 2 held-out windows"),
        ([0.001, 0.9], "error 10 to over 99 % below seasonal naive on 2 held-out windows"),
        ([0.6], "error 40 % below seasonal naive on one held-out window"),
        ([1.0, 1.0], "error the same as seasonal naive on 2 held-out windows"),
    ],
)
def test_of_a_single_series_the_range_over_windows_is_told(
    monkeypatch: pytest.MonkeyPatch, ratios: list[float], sentence: str
) -> None:
    monkeypatch.setattr("forecast.inference.fitted.RANGE", (0, 1))
    naive = np.full(len(ratios), 2.0)
    losses = {"seasonal-naive": naive, CHOSEN: naive * ratios}
    scores = {name: float(values.mean()) for name, values in losses.items()}
    found = verdict(scores, 1, losses)
    assert found == f"{sentence}; 1 of 1 candidates is used"
    assert len(found) <= 120


def test_a_fit_to_one_series_tells_a_range_and_a_loaded_one_the_mean(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    days = pd.date_range("2023-01-01", periods=120)
    sold = 20 + 10 * (days.day_of_week == 5) + draw.normal(0, 3, 120)
    baselines = ("seasonal-naive", "seasonal-mean")
    model = Forecaster(model="pretrained", baselines=baselines, horizon=7)
    model.fit(pd.DataFrame({"day": days, "sold": sold})).save(str(tmp_path / "store"))
    assert re.search(
        r" to \d+ % below seasonal naive on \d+ held-out windows", model.describe()[-1]
    )
    loaded = Forecaster.load(str(tmp_path / "store")).describe()[-1]
    assert re.search(r"error \d+ % below seasonal naive on held-out values", loaded)


def test_where_all_errors_are_rounding_no_share_of_them_is_told() -> None:
    scores = {"last": 3e-16, "seasonal-naive": 2e-16, CHOSEN: 2.04e-16}
    assert (
        verdict(scores, 1)
        == "exact on held-out values, as seasonal naive is; 1 of 2 candidates is used"
    )


def test_without_a_season_the_choice_is_compared_with_the_last_value() -> None:
    scores = {"last": 1.0, "theta": 0.9, CHOSEN: 0.8}
    assert (
        verdict(scores, 1)
        == "error 20 % below the last value on held-out values; 1 of 2 candidates is used"
    )


def test_without_held_out_values_the_sentence_says_so() -> None:
    assert verdict({}, 1) == "no values could be held out to compare candidates on"
    assert verdict({"gru": 1.0}, 1) == verdict({}, 1)


def test_the_table_lists_all_candidates_the_best_first(fitted: Fitted) -> None:
    def table(scores: dict[str, float]) -> list[str]:
        config = fitted.config.model_copy(update={"settings": {"metric": "rmsse"}})
        ensemble = replace(fitted.ensemble, scores=scores)
        return rank_candidates(replace(fitted, config=config, ensemble=ensemble))

    lines = table({"theta": 0.9, "segrnn": 0.712, CHOSEN: 0.7})
    assert lines == ["RMSSE  on held-out values", "  0.7  chosen", "0.712  segrnn", "  0.9  theta"]
    assert table({}) == []
