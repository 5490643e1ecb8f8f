"""What came of forecasts: corrections of intervals, what the ledger keeps for them, and new values that surprise."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.artifacts.store import Store
from forecast.inference.contents import from_contents, to_contents
from forecast.jobs import ledger
from forecast.jobs.checks.accuracy import since_last_run
from forecast.jobs.ledger import PUBLISHED, RAW
from forecast.panel.infer import read
from forecast.panel.panel import Panel
from forecast.panel.schema import build_calendar
from forecast.report.sections import actuals_lines
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import At, Run
from tests.jobs.a_job import Job

SERIES, DAYS, HORIZON = 120, 200, 7


def write(
    job: Job, values: np.ndarray, top: str = 'refit = "never"', output: str = ""
) -> pd.DataFrame:
    """Write a daily table of [series, days], and a job whose nights take no time."""
    day = (
        pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(values.shape[1]), unit="D")
    ).strftime("%Y-%m-%d")
    shop = [f"s{place:03}" for place in range(len(values))]
    wide = pd.DataFrame(values, index=shop, columns=day).rename_axis("shop")
    frame = wide.reset_index().melt("shop", var_name="day", value_name="units")
    frame.to_csv(job.folder / "sales.csv", index=False)
    job.file.write_text(
        f'store = "store"\n{top}\n[source]\npath = "sales.csv"\n[train]\nmodel = "mean"\nhorizon = {HORIZON}\n'
        f'[table]\nid = "shop"\nseason = [7]\n[sink]\npath = "out.csv"\n[output]\n{output}\n'
    )
    return frame


def noise(series: int = SERIES, days: int = DAYS) -> np.ndarray:
    return (200 + 5 * np.random.default_rng(0).normal(size=(series, days))).round(3)


def rescale(job: Job, factor: float | np.ndarray) -> None:
    """Put a version live whose quantiles lie further from the median by factors, [horizon, levels], than in the one."""
    store = Store(job.store)
    fitted = from_contents(store.load()[0])
    factor = np.broadcast_to(np.float32(factor), fitted.ensemble.errors.shape[1:])
    margins = fitted.ensemble.calibration.margins * (factor > 0)
    ensemble = replace(
        fitted.ensemble,
        errors=fitted.ensemble.errors * factor,
        calibration=replace(fitted.ensemble.calibration, margins=margins),
    )
    with store.lock() as writer:
        writer.save(to_contents(replace(fitted, ensemble=ensemble)))


def nights(job: Job, forecast: Run, at: At, *days: int) -> None:
    for day in days:
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 0, ran.err


def inside(job: Job, frame: pd.DataFrame, level: int = 80) -> pd.Series:
    """Whether each value lies inside the interval of the output, by shop and day."""
    both = pd.read_csv(job.output).merge(frame, on=["shop", "day"]).set_index(["shop", "day"])
    assert len(both)
    return both["units"].between(both[f"lo_{level}"], both[f"hi_{level}"])


def cells(job: Job, names: list[str]) -> np.ndarray:
    """Numbers of the newest run in the ledger, [series x horizon, names]."""
    return job.stored()[names].to_numpy()


def output(job: Job, names: list[str]) -> np.ndarray:
    return pd.read_csv(job.output).sort_values(["shop", "day"])[names].to_numpy(float)


@pytest.mark.parametrize("factor", [0.5, pytest.param(2.0, marks=pytest.mark.slow)])
def test_corrections_do_not_outlive_the_version_that_earned_them(
    job: Job, forecast: Run, at: At, factor: float
) -> None:
    frame = write(job, noise(), top='refit = "every 20 days"')
    nights(job, forecast, at, 150)
    rescale(job, factor)
    nights(job, forecast, at, *range(151, 170, 2))
    before = job.record()
    assert before["intervals"][0] == pytest.approx(1 / factor, rel=0.15)
    assert 0.75 <= inside(job, frame).mean() <= 0.85
    for day in range(170, 176):
        nights(job, forecast, at, day)
        assert job.record()["version"] != before["version"]
        assert 0.75 <= inside(job, frame).mean() <= 0.85
        assert 0.91 <= inside(job, frame, 95).mean() <= 0.98


@pytest.mark.slow
def test_old_errors_of_a_growing_series_are_measured_at_their_own_scale(
    job: Job, forecast: Run, at: At
) -> None:
    frame = write(job, (200 + 0.4 * (noise(100) - 200) * np.exp(0.012 * np.arange(DAYS))).round(3))
    nights(job, forecast, at, 120)
    rescale(job, 0.5)
    nights(job, forecast, at, *range(121, 160, 3))
    rescale(job, 2)
    for day in (160, 163):
        nights(job, forecast, at, day)
        assert job.record()["intervals"][0] == pytest.approx(0.95, abs=0.1)
        assert 0.75 <= inside(job, frame).mean() <= 0.85


def test_errors_of_the_live_version_outweigh_those_of_others(
    job: Job, forecast: Run, at: At
) -> None:
    values = noise(40)
    values[:, 150:170] += 2 * (
        values[:, 150:170] - 200
    )  # three times as noisy for as long as one version is live
    write(job, values)
    nights(job, forecast, at, *range(149, 169, 2))
    noisy = job.record()["version"]
    rescale(job, 1)  # another version with the same forecasts
    nights(job, forecast, at, *range(169, 183, 2))
    calm = job.record()["intervals"]
    assert forecast("promote", noisy, job.file).code == 0
    nights(job, forecast, at, 182)
    assert job.record()["version"] == noisy
    assert job.record()["intervals"][0] > 1.1 * calm[0]


def test_intervals_without_width_teach_nothing(job: Job, forecast: Run, at: At) -> None:
    frame = write(job, noise(20))
    nights(job, forecast, at, 150)
    factor = np.ones((HORIZON, 1))
    factor[1::3] = 0
    rescale(job, factor)
    nights(job, forecast, at, *range(151, 166, 2))
    raw = cells(job, RAW)
    assert ((raw[:, 1] == raw[:, 2]).reshape(-1, HORIZON) == (factor[:, 0] == 0)).all()
    assert job.record()["intervals"] == pytest.approx([1, 1], abs=0.15)
    assert len(frame)


@pytest.mark.parametrize(
    "options",
    [
        "",
        "integer = true",
        "min = 197.5\nmax = 203.25",
        'point = "mean"',
        "levels = [95, 50, 80]",
    ],
)
def test_the_ledger_holds_the_numbers_of_the_output(
    job: Job, forecast: Run, at: At, options: str
) -> None:
    write(job, noise(8), output=options)
    nights(job, forecast, at, 150)
    rescale(job, 0.6)
    nights(job, forecast, at, *range(151, 164, 2))
    assert job.record()["intervals"][0] > 1.2
    assert (cells(job, PUBLISHED) == output(job, PUBLISHED)).all()


def test_the_ledger_holds_intervals_of_counts_and_scores_them_as_they_were_published(
    job: Job, forecast: Run, at: At
) -> None:
    frame = write(job, np.random.default_rng(0).poisson(1.4, (8, DAYS)).astype(float))
    nights(job, forecast, at, 150)
    assert (cells(job, PUBLISHED) == output(job, PUBLISHED)).all()
    held = inside(job, frame).groupby("day").mean()
    nights(job, forecast, at, 150 + HORIZON)
    days = json.loads(forecast("status", job.file, "--json").out)[0]["days"]
    assert {day["day"]: day["coverage_80"] for day in days} == pytest.approx(held.to_dict())


def test_ends_of_other_levels_are_rounded_and_bounded_too(job: Job, forecast: Run, at: At) -> None:
    write(job, noise(8), output="levels = [50]\ninteger = true\nmin = 196")
    nights(job, forecast, at, 150)
    found = cells(job, PUBLISHED)
    assert (found == found.round()).all()
    assert found.min() == 196
    assert (found[:, 0] == output(job, ["forecast"])[:, 0]).all()


def test_both_sets_of_numbers_are_in_order(job: Job, forecast: Run, at: At) -> None:
    write(job, noise(30))
    nights(job, forecast, at, 150)
    factor = np.ones((HORIZON, 9))
    factor[:, [0, 1, 7, 8]] = np.where(np.arange(HORIZON) == 0, 0.66, 2.5)[
        :, None
    ]  # of ends beyond 80 %
    rescale(job, factor)
    nights(job, forecast, at, *range(151, 164, 2))
    wide, narrow = job.record()["intervals"]
    assert narrow < 0.8 < wide
    for names in (PUBLISHED, RAW):
        assert (np.diff(cells(job, names)[:, [3, 1, 0, 2, 4]]) >= 0).all()


@pytest.mark.slow
def test_samples_of_older_runs_are_enough_for_intervals_and_keep_the_scores(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(job, noise(60), top='refit = "every 6 days"')
    nights(job, forecast, at, 150)
    rescale(job, 0.5)
    shutil.copytree(job.folder, job.folder.with_name("begin"))
    states = []
    for whole, sample in ((10_000, 10_000), (3_000, 105)):
        shutil.copytree(job.folder.with_name("begin"), job.folder, dirs_exist_ok=True)
        monkeypatch.setattr(ledger, "WHOLE_FORECASTS", whole)
        monkeypatch.setattr(ledger, "MAX_SAMPLE", sample)
        nights(job, forecast, at, *range(151, 161))
        counts = [
            count for (count,) in job.ledger("SELECT count FROM forecast_cells ORDER BY as_of")
        ]
        states.append(
            (
                job.record(),
                json.loads(forecast("status", job.file, "--json").out)[0]["days"],
                counts,
            )
        )
    (whole, days, counts), (sampled, same_days, fewer) = states
    assert set(counts) == {60 * HORIZON}
    assert fewer[-7:] == [60 * HORIZON] * 7
    assert max(fewer[:-7]) <= 2 * 105
    assert sampled["intervals"] == pytest.approx(whole["intervals"], rel=0.1)
    assert [(day["day"], day["count"], day["mase"]) for day in same_days] == [
        (day["day"], day["count"], pytest.approx(day["mase"])) for day in days
    ]
    assert all(day["count"] == 60 * HORIZON for day in days[:4])


MANY_SERIES = 10_000
TIMES = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
NUMBERS = {"forecast": 10.0, "lo_80": 8.0, "hi_80": 12.0, "lo_95": 7.0, "hi_95": 13.0}


def test_status_record_and_report_name_a_value_far_outside_its_interval(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(checks='output.on_error = "warn"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = job.table()
    frame.loc[(frame["shop"] == "south") & (frame["day"] == "2024-05-31"), "units"] = 500.0
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    found = job.record()["actuals"]
    assert (found["values"], found["outside_80"], found["outside_95"], found["usual_80"]) == (
        2,
        0.5,
        0.5,
        None,
    )
    assert [(each["series"], each["time"], each["actual"]) for each in found["farthest"]] == [
        ("south", "2024-05-31", 500.0)
    ]
    out = forecast("status", job.file).out
    assert (
        "actuals  2 new values: 50 % outside 80 % intervals, 50 % outside 95 % intervals\n" in out
    )
    assert "farthest south 2024-05-31: 500, forecast" in out
    assert forecast("report", job.file, "--output", job.folder / "r.html").code == 0
    assert "farthest south 2024-05-31: 500" in (job.folder / "r.html").read_text()


def found_tonight(values: np.ndarray, past: int = 30) -> dict:
    """What is found where each of many series has one new value."""
    count, instant = len(values), int(pd.Timestamp("2024-01-03").timestamp())
    names, none = [f"s{i:05}" for i in range(count)], np.zeros((3 * count, 0))
    schema = read(
        table_from_frame(pd.DataFrame({"day": TIMES, "s": 10.0})), TableSettings(), horizon=1
    ).schema
    start = int(build_calendar(schema).positions(np.array([instant]))[0])
    panel = Panel(
        ids=tuple((name,) for name in names),
        order=np.arange(count),
        offsets=2 * np.arange(count + 1),
        starts=np.full(count, start),
        ahead=1,
        values=np.c_[values, np.zeros(count)].ravel(),
        observed=np.tile([True, False], count),
        known=none,
        past=none,
        static=np.zeros((count, 0)),
    )
    texts = pd.Categorical([f'["{name}"]' for name in names])
    last = pd.DataFrame({"series": texts, "step": 1, "instant": instant, **NUMBERS})
    shares = [
        {"outside_80": 0.15 + 0.01 * (i % 10), "outside_95": 0.04 + 0.005 * (i % 10)}
        for i in range(past)
    ]
    return since_last_run(last, panel, schema, shares)


def test_a_share_like_any_other_is_no_surprise_and_a_common_shock_is_named() -> None:
    generator = np.random.default_rng(0)
    found = found_tonight(10 + generator.normal(0, 2 / 1.2816, MANY_SERIES))
    assert found["usual_80"] == [0.15, 0.24]
    assert not any("more than ever" in line for line in actuals_lines(found))
    found = found_tonight(np.r_[np.full(25, 14.5), np.full(25, 5.0)])
    assert found["outside_80"] == 1.0
    assert (
        "100 % outside 80 % intervals (more than ever, 15 to 24 % in past runs)"
        in actuals_lines(found)[0]
    )


@pytest.mark.parametrize(("past", "known"), [(19, False), (20, True)])
def test_a_share_has_a_usual_range_after_twenty_runs(past: int, known: bool) -> None:
    found = found_tonight(np.full(3, 10.0), past)
    assert (found["usual_95"] is not None) == known
    assert found["farthest"] == []
