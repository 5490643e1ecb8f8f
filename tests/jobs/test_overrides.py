"""A job whose forecasts people override, and what the ledger, status, report and diff say of it."""

import json
from math import fsum

import numpy as np
import pandas as pd
import pytest

from forecast.jobs.ledger import OVERRIDES
from tests.conftest import At, Run
from tests.docs._pages import ROOT
from tests.jobs.a_job import Job

PAGE = (ROOT / "docs" / "how-to" / "overrides.md").read_text(encoding="utf-8")
SUMS = '\n[[totals]]\nby = "all"\nevery = ["horizon", "day"]\npath = "sums.csv"\n'


def day(number: int) -> str:
    return str((pd.Timestamp("2024-01-01") + pd.Timedelta(days=number)).date())


def override(job: Job, rows: str, head: str = "shop,day,value,who,why") -> None:
    (job.folder / "people.csv").write_text(f"{head}\n{rows}\n", encoding="utf-8")


@pytest.fixture
def planned(job: Job) -> Job:
    job.write(table='overrides = "people.csv"')
    job.file.write_text(job.file.read_text() + SUMS)
    return job


def run_at(job: Job, forecast: Run, at: At, number: int) -> pd.DataFrame:
    ran = forecast("run", job.file, "--as-of", at(number))
    assert ran.code == 0, ran.err
    return pd.read_csv(job.output, index_col=["shop", "day"])


def test_published_is_what_people_say_and_the_ledger_keeps_both(
    planned: Job, forecast: Run, at: At
) -> None:
    override(planned, f"north,{day(150)},80,anna,fair\n,{day(152)},+10%,ben,\n")
    after = run_at(planned, forecast, at, 149)
    sums = pd.read_csv(planned.folder / "sums.csv")
    kept = planned.ledger(f"SELECT count FROM {OVERRIDES}")
    assert kept == [(3,)]
    model = planned.stored().set_index(["series", "step"])["forecast"]
    assert after["forecast"]["north", day(150)] == 80
    assert model['["north"]', 1] != 80
    override(planned, "")
    before = run_at(planned, forecast, at, 149)
    assert np.allclose(model, before["forecast"])
    sums_before = pd.read_csv(planned.folder / "sums.csv")
    change = (after["forecast"] - before["forecast"]).groupby("day").sum()
    numbers = ["forecast", "mean", "lo_80", "hi_80", "lo_95", "hi_95"]
    of_days = sums["level"] == "all/day"
    for name in numbers:
        moved = sums[name] - sums_before[name]
        assert np.allclose(moved[of_days], change, atol=1e-3)
        assert np.allclose(moved[~of_days], change.sum(), atol=1e-3)
    assert planned.ledger(f"SELECT count FROM {OVERRIDES}") == []


def test_overrides_whose_days_are_over_stop_no_night(planned: Job, forecast: Run, at: At) -> None:
    override(planned, f"north,{day(150)},80,anna,fair\nsouth,{day(149)},70,ben,\n")
    ran = forecast("run", planned.file, "--as-of", at(149))
    assert ran.code == 0
    assert "people.csv: without effect: line 3" in ran.err
    assert "override 1 of" in ran.err
    assert "by anna" in ran.err
    rows = pd.read_csv(planned.output, index_col=["shop", "day"])["forecast"]
    assert rows["north", day(150)] == 80
    assert forecast("run", planned.file, "--check", "--as-of", at(151)).code == 0
    assert forecast("run", planned.file, "--as-of", at(151)).code == 0
    assert planned.ledger(f"SELECT count FROM {OVERRIDES}") == [(1,)]


def test_a_job_without_overrides_leaves_what_it_always_left(
    job: Job, forecast: Run, at: At
) -> None:
    run_at(job, forecast, at, 149)
    tables = {name for (name,) in job.ledger("SELECT name FROM sqlite_master")}
    assert OVERRIDES not in tables
    assert "overrides" not in {*job.record(), *job.record()["actuals"]}


def ten_weeks(job: Job, forecast: Run, at: At) -> None:
    """Weekly runs in which anna halves what the model misses on four days, and ben doubles it."""
    job.write(top='refit = "never"', table='overrides = "people.csv"')
    actual = job.table().set_index(["shop", "day"])["units"]
    random = np.random.default_rng(7)
    for week in range(10):
        origin = 119 + 7 * week
        rows = []
        for step in range(1, 8):
            who = "anna" if step % 2 else "ben"
            shop = "north" if step < 4 else "south"
            model = actual[shop, day(origin + step - 7)]  # seasonal naive
            missed = actual[shop, day(origin + step)] - model
            value = model + missed * (0.5 if who == "anna" else -1) + random.normal(0, 0.3)
            rows.append(f"{shop},{day(origin + step)},{value:.3f},{who},")
        override(job, "\n".join(rows))
        run_at(job, forecast, at, origin)
    override(job, "")
    run_at(job, forecast, at, 189)


def test_ten_weeks_tell_a_planner_who_helps_from_one_who_hurts(
    job: Job, forecast: Run, at: At
) -> None:
    ten_weeks(job, forecast, at)
    (state,) = json.loads(forecast("status", job.file, "--as-of", at(189), "--json").out)
    anna, ben = state["actuals"]["overrides"]
    assert (anna["overrides_by"], anna["runs"]) == ("anna", 10)
    assert (ben["overrides_by"], ben["runs"]) == ("ben", 10)
    assert anna["value_added"] > 2 * anna["standard_error"] > 0
    assert ben["value_added"] < -2 * ben["standard_error"] < 0
    assert anna["share"] == pytest.approx(0.5, abs=0.1)
    assert ben["share"] == pytest.approx(-1, abs=0.1)
    shown = forecast("status", job.file, "--as-of", at(189)).out
    lines = [line.split() for line in shown.splitlines()]
    told = [line.split() for line in PAGE.splitlines()]
    heads = told.index(list(anna))
    for line in told[heads : heads + 3]:
        assert line in lines, shown
    page = job.folder / "report.html"
    assert forecast("report", job.file, "--output", page).code == 0
    assert "Overrides of earlier runs against the actual values" in page.read_text()
    days = {score["day"]: score["mase"] for score in job.record()["scores"]}
    assert max(days.values()) < 2, "they are those of the model"


def test_the_value_added_counts_cells_of_one_run_once(job: Job, forecast: Run, at: At) -> None:
    job.write(table='overrides = "people.csv"')
    actual = job.table().set_index(["shop", "day"])["units"]
    gains = []
    for origin, count in ((149, 1), (156, 3)):
        cells = [("south", day(origin + step)) for step in range(1, count + 1)]
        rows = [f"south,{date},0,anna,why not" for _, date in cells]
        override(job, "\n".join(rows))
        run_at(job, forecast, at, origin)
        model = actual[[("south", day(origin + step - 7)) for step in range(1, count + 1)]]
        of_cells = actual[cells].to_numpy()
        gains.append((np.abs(model.to_numpy() - of_cells) - np.abs(of_cells)).mean())
    override(job, "")
    run_at(job, forecast, at, 163)
    (row,) = job.record()["actuals"]["overrides"]
    assert row["value_added"] == pytest.approx(np.mean(gains))
    assert row["standard_error"] == pytest.approx(abs(gains[0] - gains[1]) / 2)
    assert row["runs"] == 2


def test_checks_see_the_model_and_not_the_people(job: Job, forecast: Run, at: At) -> None:
    job.write(
        table='overrides = "people.csv"',
        **{
            "checks.output": "jump = {warn = 0.01, error = 0.01}\ntotal_jump = {warn = 0.2, error = 0.2}"
        },
    )
    override(job, "")
    run_at(job, forecast, at, 149)
    override(job, f"north,{day(151)},5000,anna,\n,{day(153)},*9,ben,")
    assert run_at(job, forecast, at, 150)["forecast"]["north", day(151)] == 5000
    override(job, "")
    run_at(job, forecast, at, 151)
    assert job.record()["findings"] == []


def test_a_blocked_run_publishes_overrides_when_it_is_accepted(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(table='overrides = "people.csv"')
    override(job, "")
    run_at(job, forecast, at, 149)
    job.table(scale=30)
    override(job, f"north,{day(151)},5000,anna,\n")
    blocked = forecast("run", job.file, "--as-of", at(150))
    assert "blocked" in blocked.err, blocked.err
    assert job.ledger("SELECT name FROM sqlite_master WHERE name = 'forecast_overrides'")
    assert forecast("run", job.file, "--accept").code == 0
    assert pd.read_csv(job.output, index_col=["shop", "day"])["forecast"]["north", day(151)] == 5000
    assert job.ledger(f"SELECT count FROM {OVERRIDES}") == [(1,)]


def test_the_value_of_a_sum_is_measured_as_a_sum(job: Job, forecast: Run, at: At) -> None:
    model = run_at(job, forecast, at, 149)["forecast"]
    job.write(table='overrides = "people.csv"')
    rows = "from,to,total,who\n"
    (job.folder / "people.csv").write_text(f"{rows}{day(151)},{day(153)},300,anna\n")
    after = run_at(job, forecast, at, 150)["forecast"]
    days = [day(151), day(152), day(153)]
    published = after[after.index.get_level_values("day").isin(days)]
    assert fsum(published) == 300
    run_at(job, forecast, at, 154)
    sales = pd.read_csv(job.folder / "sales.csv", index_col=["shop", "day"])["units"]
    actual = sales[published.index].sum()
    stored = model[published.index].sum()  # a season is a week: the model says the same
    (row,) = job.record()["actuals"]["overrides"]
    assert row["overrides_by"] == "anna"
    assert row["error"] == pytest.approx(abs(stored - actual), rel=1e-6)
    assert row["value_added"] == pytest.approx(abs(stored - actual) - abs(300 - actual), rel=1e-6)


def test_diff_has_a_step_for_overrides(job: Job, forecast: Run, at: At) -> None:
    job.write(table='overrides = "people.csv"')
    override(job, f"north,{day(153)},+20%,anna,\n")
    first = run_at(job, forecast, at, 149)["forecast"]
    assert "overrides" not in forecast("diff", job.file).out
    override(job, f"south,{day(153)},90,ben,\n")
    second = run_at(job, forecast, at, 150)["forecast"]
    (changed,) = json.loads(forecast("diff", job.file, "--json").out)
    steps = {row["step"]: row["change"] for row in changed["steps"]}
    model = job.stored().set_index(["series", "instant"])["forecast"]
    north = first["north", day(153)]
    south = second["south", day(153)]
    assert steps["overrides"] == pytest.approx(90 - north / 6 - first["south", day(153)], abs=1)
    assert "not reproduced" not in steps
    shown = {row["time"]: row for row in changed["by_time"]}
    assert shown[day(153)]["old"] == pytest.approx(north + first["south", day(153)])
    assert shown[day(153)]["new"] == pytest.approx(second["north", day(153)] + south)
    assert len(model)


def test_a_table_of_overrides_calls_for_no_fit_and_is_checked(
    job: Job, forecast: Run, at: At
) -> None:
    run_at(job, forecast, at, 149)
    job.write(table='overrides = "people.csv"')
    override(job, f"north,{day(155)},80,anna,\n")
    run_at(job, forecast, at, 150)
    assert job.record()["fit"] == {}
    override(job, f"north,{day(155)},eighty,anna,\n")
    for more in ((), ("--check",)):
        refused = forecast("run", job.file, "--as-of", at(151), *more)
        assert refused.code == 65
        assert "people.csv line 2: 'eighty' is no override" in refused.err
    assert run_at_is_unchanged(job)


def test_a_row_for_a_shop_that_left_has_no_effect_and_one_far_from_the_forecast_is_named(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(table='overrides = "people.csv"')
    override(job, f"west,{day(152)},80,anna,\nnorth,{day(153)},800,anna,\nsouth,{day(153)},0,anna,")
    after = run_at(job, forecast, at, 151)
    assert after["forecast"]["north", day(153)] == 800
    effect, far = job.record()["warnings"]
    assert "people.csv: without effect: line 2; " in effect
    assert far == "people.csv: more than ten times from the forecast: line 3"


def run_at_is_unchanged(job: Job) -> bool:
    return pd.read_csv(job.output)["day"].min() == day(151)
