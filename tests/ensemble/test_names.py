"""Names of models: those that exist pass, others are refused with the nearest, settings only where they belong."""

import pytest

from forecast.ensemble.names import (
    AUTO,
    FIRST_NETWORK,
    check_model,
    check_models,
    check_names,
    is_baseline,
)
from forecast.errors import UsageError
from forecast.models import model_names
from forecast.registry import baseline_names
from forecast.settings import TrainSettings


@pytest.mark.parametrize("name", [AUTO, *model_names(), *baseline_names()])
def test_every_model_and_baseline_is_a_name(name: str) -> None:
    check_model(name)
    assert is_baseline(name) == (name in baseline_names())


def test_a_name_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'segrn'.*segrnn"):
        check_model("segrn")
    with pytest.raises(UsageError, match="thet"):
        check_models(TrainSettings(baselines=("thet",)))


def test_a_baseline_has_no_settings_of_its_own() -> None:
    given = TrainSettings(model="theta", params={"hidden_size": 8})
    with pytest.raises(UsageError, match="'theta' has no hyperparameters"):
        check_models(given)
    check_models(given, ("theta", "gru"))  # of several models, those that are networks take them


def test_the_settings_of_auto_are_those_of_the_network_that_it_trains_first() -> None:
    check_names(TrainSettings(params={"segment": 7}))
    with pytest.raises(UsageError, match=f"model {FIRST_NETWORK}"):
        check_names(TrainSettings(params={"paths": 50}))
    with pytest.raises(UsageError, match="model gru"):
        check_names(TrainSettings(model="gru", params={"segment": 7}))


def test_models_that_are_named_replace_that_of_the_settings() -> None:
    check_names(TrainSettings(model="nothing"), ("gru",))
    with pytest.raises(UsageError, match="unknown model 'nothing'"):
        check_names(TrainSettings(model="nothing"))
