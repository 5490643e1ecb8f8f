"""What a fit says of itself: the models, the comparison, and the mixtures of many series."""

from dataclasses import replace

import numpy as np
import pytest

from forecast.engine.stages import PanelFit
from forecast.inference.fitted import Fitted
from forecast.inference.summary import counted_models, describe_fit, models_of, ranking_of
from forecast.settings import TrainSettings
from tests._inputs import read_days

DAYS = np.random.default_rng(0).normal(10, 2, 60).tolist()


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """Two baselines of three series, by a fit that trains no network."""
    reading = read_days(DAYS, DAYS[::-1], DAYS[5:])
    settings = TrainSettings(model="last", baselines=("last", "mean"), device="cpu")
    return PanelFit(reading.panel, reading.schema, settings, "days.csv").run()


def mixed(fitted: Fitted, *weights: tuple[float, float]) -> Fitted:
    """The fit with these weights of last and mean, first those of a new series."""
    config = fitted.config.model_copy(update={"components": ("last", "mean")})
    return replace(
        fitted,
        config=config,
        ensemble=replace(fitted.ensemble, components=("last", "mean"), weights=np.array(weights, np.float32)),
    )


@pytest.mark.parametrize(
    ("model", "counted"),
    [("theta", "theta"), ("segrnn+segrnn+theta", "2 segrnn + theta"), ("gru+theta+gru", "2 gru + theta")],
)
def test_repeated_networks_are_counted(model: str, counted: str) -> None:
    assert counted_models(model) == counted


def test_one_model_for_all_series_is_named_alone(fitted: Fitted) -> None:
    one = mixed(fitted, (1, 0), (1, 0), (1, 0), (1, 0))
    assert models_of(one) == ["last"] * 3
    assert describe_fit(one)[0] == "model    last"


@pytest.mark.parametrize(
    ("weights", "line"),
    [
        (((1, 0), (1, 0), (1, 0), (0, 1)), "model    last for 2 of 3 series, 1 other mixture for the rest"),
        (((1, 0), (1, 0), (0.5, 0.5), (0, 1)), "model    last for 1 of 3 series, 2 other mixtures for the rest"),
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
    assert ranking_of(fitted)[0].startswith("MASE")
