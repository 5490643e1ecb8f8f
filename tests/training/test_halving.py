"""What auto tries: few candidates, the best bet first, the better half again, no longer than there is time."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.ensemble.candidates import candidates_for
from forecast.errors import UsageError
from forecast.settings import TrainSettings
from forecast.tables.synthetic import synthesize
from forecast.training.halving import MAX_NETWORKS
from forecast.training.plan import makespan, schedule


def kinds(settings: TrainSettings, lookback: int = 24, longest: int = 100, season: int = 12) -> list:
    found = candidates_for(settings, lookback, longest, season)
    return [(one.model, one.scaling, one.lookback) for one in found]


def test_long_series_are_given_a_longer_past_too() -> None:
    found = kinds(TrainSettings())
    assert found[:3] == [("segrnn", "standard", 24), ("segrnn", "last", 24), ("segrnn", "standard", 48)]
    assert ("linear", "last", 24) in found
    assert ("segrnn", "last", 48) in found
    assert len(set(found)) == len(found)


def test_short_series_are_given_no_longer_past() -> None:
    assert {steps for _, _, steps in kinds(TrainSettings(), longest=40)} == {24}


@pytest.mark.parametrize(
    "settings", [{"model": "gru"}, {"steps": 10}, {"params": {"hidden_size": 8}}, {"model": "gru", "lookback": 24}]
)
def test_what_is_named_is_not_searched(settings: dict[str, object]) -> None:
    found = kinds(TrainSettings(**settings))
    assert {model for model, _, _ in found} == {settings.get("model", "segrnn")}
    assert {scaling for _, scaling, _ in found} == {"standard"}


def test_a_scaling_that_is_asked_for_is_the_only_one() -> None:
    assert {scaling for _, scaling, _ in kinds(TrainSettings(scaling="robust"))} == {"robust"}


def test_a_budget_trains_in_rounds_and_its_plan_repeats_it(tmp_path: object) -> None:
    frame = synthesize("seasonal", series=2, length=80)
    model = Forecaster(horizon=6, budget=6, jobs=1, params={"hidden_size": 4}).fit(frame)
    members = model.plan_.members
    assert 1 <= len(members) <= MAX_NETWORKS
    assert {member.model for member in members} == {"segrnn"}
    path = f"{tmp_path}/plan.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(model.plan_.model_dump_json())
    again = Forecaster(horizon=6, plan=path, jobs=2, params={"hidden_size": 4}).fit(frame)
    assert again.plan_ == model.plan_
    pd.testing.assert_frame_equal(again.predict(), model.predict(), check_exact=True)
    with pytest.raises(UsageError, match="the plan trains segrnn"):
        Forecaster(horizon=6, plan=path, model="gru").fit(frame)


def test_no_core_stands_idle_while_another_has_networks_to_train() -> None:
    assert schedule([1.0, 5.0, 2.0, 3.0], 2) == [[1, 0], [3, 2]]
    assert makespan([1.0, 5.0, 2.0, 3.0], 2) == 6.0
    assert schedule([1.0], 4) == [[0]]
    assert makespan([], 2) == 0.0


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12), st.integers(1, 4))
def test_each_network_has_one_worker_and_none_is_much_longer_than_need_be(costs: list[float], jobs: int) -> None:
    found = schedule(costs, jobs)
    assert sorted(number for worker in found for number in worker) == list(range(len(costs)))
    least = max(max(costs), sum(costs) / jobs)
    assert makespan(costs, jobs) <= (2 - 1 / jobs) * least + 1e-9


def test_an_unknown_model_is_answered_with_the_nearest_baseline_too() -> None:
    with pytest.raises(UsageError, match="unknown model 'thetta'; did you mean 'theta'"):
        Forecaster(model="thetta").fit(synthesize("seasonal", length=80))
