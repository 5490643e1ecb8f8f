"""From which past runs checks learn what is usual, and which checks have limits."""

from typing import Any

import pytest

from forecast.jobs.checks.finding import (
    MIN_REFERENCE_RUNS,
    has_held,
    select_reference_runs,
    usual_size,
)
from forecast.jobs.checks.limits import CHECKS, RULES, ActualCheckSettings, OutputCheckSettings
from forecast.jobs.record import Record

NIGHT = "2025-03-{:02}T02:00:00Z"


def run(day: int, **facts: Any) -> Record:
    at = NIGHT.format(day)
    return Record(
        id="",
        job="job",
        as_of=at,
        **{
            "started": at,
            "settled": True,
            "exit_code": 0,
            "checks": {"late": {"age": day}},
            **facts,
        },
    )


@pytest.mark.parametrize(
    ("facts", "teaches"),
    [
        ({}, True),
        ({"settled": False}, False),
        ({"findings": ["group"]}, False),
        ({"findings": ["group"], "held": True}, True),
        ({"findings": ["group"], "accepted": ["group"]}, True),
        ({"horizon_over": True}, False),
        ({"started": "2025-02-01T02:00:00Z"}, False),
    ],
)
def test_nights_that_were_right_teach(facts: dict[str, Any], teaches: bool) -> None:
    assert (len(select_reference_runs([run(2, **facts)])) == 1) == teaches


def test_a_night_whose_values_were_revised_since_teaches_nothing() -> None:
    later, earlier = run(3, revised=[NIGHT.format(2)]), run(2)
    assert select_reference_runs([later, earlier]) == [later]


def test_what_is_usual_is_a_quantile_and_one_large_night_does_not_set_it() -> None:
    nights = [run(day) for day in range(1, 31)]
    assert usual_size(nights[: MIN_REFERENCE_RUNS - 1], "late", "age") is None
    assert usual_size(nights, "late", "age") == pytest.approx(28.55)
    large = run(31, checks={"late": {"age": 1e6}})
    assert usual_size([large, *nights], "late", "age") == pytest.approx(29.5)


def test_what_was_accepted_lately_is_usual() -> None:
    accepted = run(31, checks={"late": {"age": 90.0}}, findings=["late"], accepted=["late"])
    nights = [run(day) for day in range(30, 0, -1)]
    assert usual_size([accepted, *nights], "late", "age") == 90.0
    assert usual_size([*nights, accepted], "late", "age") < 90.0


def test_a_finding_holds_after_a_week_and_seven_runs_that_all_had_it() -> None:
    found = [run(day, findings=["group"], settled=False) for day in range(9, 0, -1)]
    assert has_held("group", found)
    assert not has_held("jump", found)  # what is usual of one check never excuses another
    assert not has_held("duplicate", found)
    assert not has_held("finite", found)
    assert not has_held("group", found[:6])
    assert not has_held("group", [*found[:3], run(6), *found[3:]])


def test_every_check_but_the_rules_has_limits_and_every_limit_a_check() -> None:
    limits = ActualCheckSettings.model_fields | OutputCheckSettings.model_fields
    assert CHECKS.keys() - RULES == limits.keys() - {"on_error"}
