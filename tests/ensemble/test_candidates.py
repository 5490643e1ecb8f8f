"""What auto tries: few candidates, the best bet first, and only what is named where something is."""

from types import SimpleNamespace
from typing import Any

import pytest

from forecast import Forecaster
from forecast.ensemble.candidates import candidates_for
from forecast.errors import UsageError
from forecast.settings import TrainSettings
from forecast.tables.synthetic import synthesize


def columns(known: bool = False, static: bool = False) -> Any:
    """The covariates of a schema, one of each kind that it has."""
    return SimpleNamespace(known=("price",) * known, past=(), static=("size",) * static)


def kinds(
    settings: TrainSettings,
    lookback: int = 24,
    longest: int = 100,
    season: int = 12,
    windows: int = 9999,
) -> list:
    found = candidates_for(settings, columns(known=True), lookback, longest, season, windows)
    return [(one.model, one.scaling, one.lookback) for one in found]


REST = ("last", 24), ("standard", 48)


def test_long_series_are_given_a_longer_past_too() -> None:
    found = kinds(TrainSettings())
    assert found[0] == ("segrnn", "standard", 24)
    assert found[1:5] == [
        ("trees", "standard", 96),
        ("trees", "standard", 24),
        *(("segrnn", *rest) for rest in REST),
    ]
    assert ("linear", "last", 24) in found
    assert ("segrnn", "last", 48) in found
    assert len(set(found)) == len(found)


def test_short_series_are_given_no_longer_past() -> None:
    assert {steps for model, _, steps in kinds(TrainSettings(), longest=40)} == {24}


def test_the_pretrained_network_reads_all_of_the_past_up_to_a_limit() -> None:
    few = TrainSettings()

    def steps(longest: int) -> int:
        return next(
            steps
            for model, _, steps in kinds(few, longest=longest, windows=999)
            if model == "finetuned"
        )

    assert (steps(5), steps(100), steps(5000)) == (24, 200, 256)


def test_few_windows_train_the_pretrained_network_alone() -> None:
    found = candidates_for(TrainSettings(), columns(), 24, 40, 12, windows=999)
    assert [one.model for one in found] == ["finetuned"]
    assert (
        candidates_for(TrainSettings(model="gru"), columns(), 24, 40, 12, windows=999)[0].model
        == "gru"
    )
    with_columns = candidates_for(TrainSettings(), columns(known=True), 24, 40, 12, windows=999)
    assert [one.model for one in with_columns][:3] == ["segrnn", "trees", "finetuned"]
    many = [
        one.model for one in candidates_for(TrainSettings(), columns(), 24, 40, 12, windows=1000)
    ]
    assert not {"finetuned", "trees"} & set(many)
    static = [
        one.model
        for one in candidates_for(TrainSettings(), columns(static=True), 24, 40, 12, windows=1000)
    ]
    assert "trees" not in static  # which are worth their time where columns are known in advance


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "gru"},
        {"steps": 10},
        {"params": {"hidden_size": 8}},
        {"model": "gru", "lookback": 24},
    ],
)
def test_what_is_named_is_not_searched(settings: dict[str, object]) -> None:
    found = kinds(TrainSettings(**settings))
    assert {model for model, _, _ in found} == {settings.get("model", "segrnn")}
    assert {scaling for _, scaling, _ in found} == {"standard"}


def test_a_scaling_that_is_asked_for_is_the_only_one() -> None:
    assert {scaling for _, scaling, _ in kinds(TrainSettings(scaling="robust"))} == {"robust"}


def test_an_unknown_model_is_answered_with_the_nearest_baseline_too() -> None:
    with pytest.raises(UsageError, match="unknown model 'thetta'; did you mean 'theta'"):
        Forecaster(model="thetta").fit(synthesize("seasonal", length=80))


def test_knobs_of_a_baseline_are_refused() -> None:
    with pytest.raises(UsageError, match="the baseline 'theta' has no hyperparameters"):
        Forecaster(model="theta", params={"hidden_size": 8}).fit(synthesize("seasonal", length=80))
