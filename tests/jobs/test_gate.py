"""What a check of forecasts refuses is not published: blocked, kept and accepted, or replaced by the last run."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.artifacts.store import Store
from forecast.inference.forecasting import Forecasts, numbered, tabulated
from forecast.jobs import run as module
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]
DATABASE = 'url = "sqlite:///f.db"\ntable = "forecasts"'
TOTALS = '[[totals]]\nby = "all"\npath = "all.csv"'


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a model that goes wrong: what it forecasts is multiplied, for all series or one."""
    made = module.forecast_table

    def wrong(factor: float, series: int | None = None) -> None:
        def forecast_table(predictor: Any, *args: Any, **options: Any) -> Forecasts:
            found = made(predictor, *args, **options)
            scale = np.ones(len(found.series))
            scale[slice(None) if series is None else series] = factor
            parts = {name: getattr(found, name) * scale[:, None, None] for name in ("quantiles", "shown")}
            changed = replace(found, means=found.means * scale[:, None], **parts)
            return tabulated(
                numbered(changed, predictor.fitted, options["output"]), predictor.fitted, options["output"]
            )

        monkeypatch.setattr(module, "forecast_table", forecast_table)

    return wrong


def left(job: Job) -> tuple[Any, ...]:
    """What sinks, ledger and store hold of published runs."""
    files = [path.read_bytes() for path in (job.output, job.folder / "all.csv")]
    cells = job.ledger("SELECT as_of, cells FROM forecast_cells ORDER BY 1")
    return files, cells, job.ledger("SELECT * FROM forecast_totals ORDER BY 2"), Store(job.store).current(), rows(job)


def rows(job: Job) -> list[Any]:
    import sqlite3

    with sqlite3.connect(job.folder / "f.db") as connection:
        return sorted(connection.execute("SELECT * FROM forecasts").fetchall(), key=repr)


def test_a_blocked_run_changes_nothing_and_is_published_as_it_was(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    job.write(top='refit = "daily"', sink=DATABASE + "\n" + TOTALS)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = left(job)
    spoil(1000.0)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 5, ran.err
    assert "bounds: 100 % is the share of series with a median above 3 times the largest value of a year" in ran.err
    assert left(job) == before
    record = job.record()
    assert record["exit_code"] == 5
    assert not record["settled"]
    kept = Path(record["blocked"]["folder"])
    assert pd.read_parquet(kept / "0-rows.parquet")["forecast"].min() > 10_000
    versions = [version.id for version in Store(job.store).versions()]
    job.table(scale=3.0)  # what was blocked does not depend on what the source has now
    accepted = forecast("run", job.file, "--accept")
    assert accepted.code == 0, accepted.err
    assert pd.read_csv(job.output)["forecast"].min() > 10_000
    assert Store(job.store).current() == versions[-1] != before[3]
    assert job.record()["settled"]
    assert len(job.ledger("SELECT as_of FROM forecast_cells")) == 2
    assert len(rows(job)) == 28
    again = forecast("run", job.file, "--accept")
    assert (again.code, "nothing to accept" in again.err) == (2, True)


def test_an_accepted_run_leaves_what_one_leaves_that_only_warned(
    forecast: Run, at: At, spoil: Callable[..., None], tmp_path: Path
) -> None:
    found = []
    for place, on_error in (("blocked", "block"), ("warned", "warn")):
        (tmp_path / place).mkdir()
        each = Job(tmp_path / place)
        each.table()
        each.write(top='refit = "daily"', sink=f'{DATABASE}\n{TOTALS}\n[checks.output]\non_error = "{on_error}"')
        spoil(1.0)
        codes = [forecast("run", each.file, "--as-of", at(150)).code]
        spoil(30.0)
        codes.append(forecast("run", each.file, "--as-of", at(151)).code)
        codes += [forecast("run", each.file, "--accept").code] if on_error == "block" else []
        assert codes == [0, *([5, 0] if on_error == "block" else [0])]
        found.append(left(each))
    assert found[0] == found[1]


def test_a_blocked_run_is_too_old_once_a_later_one_has_published(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    spoil(1000.0)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    spoil(1.0)
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    ran = forecast("run", job.file, "--accept")
    assert (ran.code, "has published since" in ran.err) == (2, True)


def test_a_blocked_run_is_explained_and_a_failed_acceptance_is_not_gone_on_with(
    job: Job, forecast: Run, at: At
) -> None:
    many(job)
    job.write(top='refit = "never"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = pd.read_csv(job.folder / "sales.csv")
    good, before = frame.copy(), job.output.read_bytes()
    frame.loc[(frame["shop"] < "shop20") & (frame["day"] > "2024-05-25"), "units"] *= 1000
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    ran = forecast("diff", job.file)
    assert ran.code == 0, ran.err
    assert "was blocked, and published nothing" in ran.out
    assert "revised history: 100 values of 20 series (shop00, " in ran.out
    assert forecast("status", job.file).out.startswith("job      job: blocked, and nothing was published: ")
    job.output.unlink()
    job.output.mkdir()
    assert forecast("run", job.file, "--accept").code == 73
    job.output.rmdir()
    job.output.write_bytes(before)
    good.to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(152))
    assert (ran.code, "accepted" in ran.err) == (0, False)
    assert forecast("run", job.file, "--accept").code == 2


def test_what_was_kept_and_is_damaged_is_refused(job: Job, forecast: Run, at: At, spoil: Callable[..., None]) -> None:
    spoil(1000.0)
    assert forecast("run", job.file, "--as-of", at(150)).code == 5
    folder = Path(job.record()["blocked"]["folder"])
    (folder / "0-rows.parquet").write_bytes(b"PAR1")
    ran = forecast("run", job.file, "--accept")
    assert (ran.code, str(folder) in ran.err) == (76, True)
    assert not job.output.exists()


def test_a_fallback_writes_rows_of_the_last_run_and_says_which(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    many(job)
    job.write(sink=f'{DATABASE}\n{TOTALS}\n[checks.output]\non_error = "fallback"')
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"drift"'))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = pd.read_csv(job.output)
    assert set(before["source"]) == {"forecast"}
    spoil(1000.0, series=3)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 3, ran.err
    assert "shop03" in ran.err
    table = pd.read_csv(job.output)
    own = table[table["shop"] == "shop03"].reset_index(drop=True)
    assert own["source"].tolist() == ["last run"] * 6 + ["seasonal naive"]
    assert set(table.loc[table["shop"] != "shop03", "source"]) == {"forecast"}
    last = before[before["shop"] == "shop03"].reset_index(drop=True)
    numbers = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    assert (own[numbers].iloc[:6].to_numpy() == last[numbers].iloc[1:].to_numpy()).all()
    days = table.groupby("day")["forecast"].sum().to_numpy()
    assert np.allclose(pd.read_csv(job.folder / "all.csv")["mean"], days, rtol=0.05)  # means, not medians
    assert {row[7] for row in rows(job)} == {"forecast", "last run", "seasonal naive"}
    assert {row[10] for row in rows(job)} == {"drift"}  # the model
    steps, by_series = changes(forecast, job)
    assert steps["fallback"]["size"] > 0
    assert "not reproduced" not in steps
    assert {row["shop"] for row in by_series if row["steps"]["fallback"]} == {"shop03"}


def test_a_fallback_fills_in_for_a_series_that_is_gone_and_blocks_where_a_tenth_are(
    job: Job, forecast: Run, at: At
) -> None:
    frame = many(job)
    job.write(sink=f'{TOTALS}\n[checks.output]\non_error = "fallback"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    total = pd.read_csv(job.folder / "all.csv")["mean"]
    frame[frame["shop"] != "shop07"].to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 3, ran.err
    table = pd.read_csv(job.output)
    assert table.loc[table["shop"] == "shop07", "source"].tolist() == ["last run"] * 6 + ["seasonal naive"]
    assert len(table) == 30 * 7
    assert pd.read_csv(job.folder / "all.csv")["mean"].iloc[:6].to_numpy() == pytest.approx(total.iloc[1:], rel=0.05)
    steps, _ = changes(forecast, job)
    assert "not reproduced" not in steps
    output = job.output.read_bytes()
    frame[frame["shop"] >= "shop05"].to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(152))
    assert (ran.code, "too many" in ran.err) == (5, True)
    assert job.output.read_bytes() == output


def changes(forecast: Run, job: Job) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What `forecast diff` says of the two newest runs: the steps by name, and the rows of series."""
    ran = forecast("diff", job.file, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)[0]
    return {step["step"]: step for step in found["steps"]}, found["by_series"]


def many(job: Job) -> pd.DataFrame:
    """Thirty shops."""
    frame = job.table().drop_duplicates("day")
    shops = [frame.assign(shop=f"shop{i:02}", units=frame["units"] + i) for i in range(30)]
    found = pd.concat(shops)
    found.to_csv(job.folder / "sales.csv", index=False)
    return found


def test_a_replay_says_what_the_limits_of_the_file_would_have_done(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    job.write(checks='[checks.output]\non_error = "warn"')
    for day, factor in ((150, 1.0), (151, 1000.0), (152, 1.0)):
        spoil(factor)
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    assert len(job.record()["warnings"]) == 0
    ran = forecast("run", job.file, "--check", "--replay", "90")
    assert [line.split(":")[0] for line in ran.err.splitlines()[:-1]] == ["2024-06-01T12"]
    assert "replayed 3 runs" in ran.err
    assert "1 error" in ran.err
    job.write(checks="[checks.output]\nbounds = {warn = 1, error = 1}")
    assert "no alarm" in forecast("run", job.file, "--check", "--replay", "90").err
    assert forecast("run", job.file, "--replay", "90").code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jump = 3", "[checks.output.jump] is a table of settings"),
        ("jump = {warn = -1}", "[checks.output.jump] warn=-1: input should be greater than or equal to 0"),
        ("jump = {warn = 0.9}", "[checks.output.jump] warn 0.9 lies above error"),
        ("jump = {warm = 1}", "[checks.output.jump] unknown key 'warm'; did you mean 'warn'"),
        ("flat = {error = nan}", "[checks.output.flat] error: input should be a finite number"),
        ("width = {warn = true}", "[checks.output.width] warn cannot be true or false"),
        ('on_error = "blok"', "[checks.output] on_error='blok': input should be 'block', 'fallback' or 'warn'"),
        ("jum = {}", "[checks.output] unknown key 'jum'; did you mean 'jump'"),
    ],
)
def test_a_wrong_limit_is_named(job: Job, forecast: Run, line: str, said: str) -> None:
    job.write(checks=f"[checks.output]\n{line}")
    ran = forecast("run", job.file)
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert not job.store.exists()


def test_a_run_for_another_output_is_blocked_and_never_accepted_into_the_sink(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    spoil(1000.0)
    ran = forecast("run", job.file, "--as-of", at(150), "--output", job.folder / "other.csv")
    assert ran.code == 5, ran.err
    assert forecast("run", job.file, "--accept").code == 2
    assert not job.output.exists()
    assert not (job.folder / "other.csv").exists()
