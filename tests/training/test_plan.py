"""A plan is a function of its arguments, and is stored as older releases read it."""

from hypothesis import given
from hypothesis import strategies as st

from forecast.training.plan import (
    STEP_PRIORS,
    Candidate,
    Plan,
    enough_steps,
    fit_seconds,
    makespan,
    plan_member,
    schedule,
)

GRU = Candidate(model="gru", lookback=6)


def test_the_last_fifth_of_the_steps_trains_on_held_out_values_too() -> None:
    assert plan_member(GRU, 500, 64, refit=True).refit_steps == 100
    assert plan_member(GRU, 500, 64, refit=False).refit_steps == 0
    assert plan_member(GRU, 500, 64, refit=True).candidate == GRU


def test_many_windows_need_more_steps_and_trained_networks_fewer() -> None:
    assert enough_steps(10, 128) == STEP_PRIORS.min_steps < enough_steps(1_000_000, 128)
    assert enough_steps(10, 128, warm=True) == STEP_PRIORS.min_steps // 4
    assert (
        enough_steps(10, 128, pretrained=True)
        == STEP_PRIORS.tuning_steps
        < enough_steps(5_000, 128, pretrained=True)
    )
    assert enough_steps(10**6, 128, warm=True) == enough_steps(10**6, 128, pretrained=True)


def test_time_grows_with_the_windows_within_bounds() -> None:
    assert (
        fit_seconds(1)
        == STEP_PRIORS.least_seconds
        < fit_seconds(2000)
        == 10.0
        < fit_seconds(10**9)
        == STEP_PRIORS.most_seconds
    )


def test_members_that_differ_in_their_training_only_are_one_group() -> None:
    first, other = plan_member(GRU, 500, 64, refit=True), plan_member(GRU, 20, 8, refit=True)
    third = plan_member(GRU.model_copy(update={"scaling": "last"}), 20, 8, refit=True)
    assert Plan(members=(first, third, other)).groups() == [[0, 2], [1]]


def test_a_plan_comes_back() -> None:
    plan = Plan(members=(plan_member(GRU, 9, 8, refit=True),), origins=0)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_no_core_stands_idle_while_another_has_networks_to_train() -> None:
    assert schedule([1.0, 5.0, 2.0, 3.0], 2) == [[1, 0], [3, 2]]
    assert makespan([1.0, 5.0, 2.0, 3.0], 2) == 6.0
    assert schedule([1.0], 4) == [[0]]
    assert makespan([], 2) == 0.0


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=12), st.integers(1, 4))
def test_each_network_has_one_worker_and_none_is_much_longer_than_need_be(
    costs: list[float], jobs: int
) -> None:
    found = schedule(costs, jobs)
    assert sorted(number for worker in found for number in worker) == list(range(len(costs)))
    least = max(max(costs), sum(costs) / jobs)
    assert makespan(costs, jobs) <= (2 - 1 / jobs) * least + 1e-9
