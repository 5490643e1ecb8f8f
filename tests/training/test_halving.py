"""Rounds of training: the better half again, no longer than there is time, and a plan that repeats them."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.errors import UsageError
from forecast.tables.synthetic import synthesize
from forecast.training.halving import MAX_NETWORKS
from forecast.training.plan import makespan, schedule


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
