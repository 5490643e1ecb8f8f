"""What users ask of a store and its jobs: status, and which version is live."""

import json
from collections.abc import Callable

from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]


def test_status_is_for_a_monitor(job: Job, forecast: Run, at: At) -> None:
    assert forecast("status", job.file).code == 66
    for day in (150, 153, 156):
        forecast("run", job.file, "--as-of", at(day))
    ran = forecast("status", job.file, "--json")
    (state,) = json.loads(ran.out)
    assert ran.code == 0
    assert state["said"] == "all is well"
    assert len(state["runs"]) == 3
    assert [day["day"] for day in state["days"]] == [f"2024-06-0{n}" for n in (5, 4, 3, 2, 1)] + ["2024-05-31"]
    assert all(day["mase"] > 0 and 0 <= day["coverage_80"] <= 1 for day in state["days"])
    assert forecast("status", "--artifact", job.store).code == 0
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(157)).code == 66
    failed = forecast("status", job.file)
    assert failed.code == 3
    assert "does not exist" in failed.out


def test_a_killed_run_leaves_a_trace_in_the_status(job: Job, forecast: Run, at: At) -> None:
    from forecast.jobs.administration import ledger_of
    from forecast.jobs.pipeline import read_pipeline

    forecast("run", job.file, "--as-of", at(150))
    ledger = ledger_of(read_pipeline(str(job.file)))
    begun = {**job.record(), "as_of": "2024-05-31T20:00:00Z", "error": "it began, and did not end"}
    ledger.add_run("2024-05-31T20:00:00Z", 137, json.dumps(begun), None, [])
    ran = forecast("status", job.file)
    assert ran.code == 3
    assert "it began, and did not end" in ran.out


def test_a_short_id_promotes_where_it_can_mean_only_one(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"')
    for day in (150, 151):
        forecast("run", job.file, "--as-of", at(day))
    first = json.loads(forecast("versions", "--artifact", job.store, "--json").out)[0]
    assert forecast("promote", first["hash"][:8], "--artifact", job.store).code == 0
    assert json.loads(forecast("versions", "--artifact", job.store, "--json").out)[0]["live"]
    assert forecast("promote", "v-2024", "--artifact", job.store).code == 2
    assert forecast("promote", "../x", "--artifact", job.store).code == 2


def test_the_status_of_an_earlier_time_is_what_it_was_then(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"', checks='error_after = "4d"')
    shown, codes = [], []
    for day in (150, 153):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        shown.append(forecast("status", job.file, "--as-of", at(day)).out)
    shown.append(forecast("status", job.file, "--as-of", at(158)).out)  # no run for five days: the data are stale
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(159)).code == 66
    for day, before in zip((150, 153, 158), shown, strict=True):
        then = forecast("status", job.file, "--as-of", at(day))
        assert then.out == before
        codes.append(then.code)
    assert codes == [0, 0, 4]
    lives = [json.loads(forecast("versions", job.file, "--json").out)[place]["version"] for place in (0, 1)]
    assert [next(live for live in lives if f"live     {live}" in text) for text in shown] == [*lives, lives[1]]
    early = forecast("status", job.file, "--as-of", at(149))
    assert (early.code, early.out) == (66, "")
    assert "job 'job' had not run at 2024-05-" in early.err


def test_a_run_of_a_clock_that_was_ahead_hides_no_failure(job: Job, forecast: Run, at: At) -> None:
    for time in (at(150), "2999-01-01"):
        assert forecast("run", job.file, "--as-of", time).code == 0
    assert forecast("run", job.file, "--as-of", "").code == 2  # a variable of a script that is not set
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(151)).code == 66
    status = forecast("status", job.file)
    assert status.code == 3
    assert "does not exist" in status.out.splitlines()[0]
