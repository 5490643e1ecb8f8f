"""What users ask of a store and its jobs: status, which version is live, and which job owns it."""

import json
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from forecast.jobs.record import Record
from tests._databases import Server
from tests.conftest import At, Run
from tests.jobs.a_job import Job


def test_status_is_for_a_monitor(job: Job, forecast: Run, at: At) -> None:
    assert forecast("status", job.file).code == 66
    for day in (150, 153, 156):
        forecast("run", job.file, "--as-of", at(day))
    ran = forecast("status", job.file, "--json")
    (state,) = json.loads(ran.out)
    assert ran.code == 0
    assert state["said"] == "all is well"
    assert len(state["runs"]) == 3
    assert [day["day"] for day in state["days"]] == [f"2024-06-0{n}" for n in (5, 4, 3, 2, 1)] + [
        "2024-05-31"
    ]
    assert all(day["mase"] > 0 and 0 <= day["coverage_80"] <= 1 for day in state["days"])
    assert forecast("status", "--artifact", job.store).code == 0
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(157)).code == 66
    failed = forecast("status", job.file)
    assert failed.code == 3
    assert "does not exist" in failed.out


def test_a_killed_run_leaves_a_trace_in_the_status(job: Job, forecast: Run, at: At) -> None:
    from forecast.jobs.administration import open_ledger
    from forecast.jobs.pipeline import read_pipeline

    forecast("run", job.file, "--as-of", at(150))
    ledger = open_ledger(read_pipeline(str(job.file)))
    begun = {
        **job.record(),
        "as_of": "2024-05-31T20:00:00Z",
        "error": "it began, and did not end",
        "exit_code": 137,
    }
    ledger.add_run(Record.model_validate(begun))
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
    shown.append(
        forecast("status", job.file, "--as-of", at(158)).out
    )  # no run for five days: the data are stale
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(159)).code == 66
    for day, before in zip((150, 153, 158), shown, strict=True):
        then = forecast("status", job.file, "--as-of", at(day))
        assert then.out == before
        codes.append(then.code)
    assert codes == [0, 0, 4]
    lives = [
        json.loads(forecast("versions", job.file, "--json").out)[place]["version"]
        for place in (0, 1)
    ]
    assert [next(live for live in lives if f"live     {live}" in text) for text in shown] == [
        *lives,
        lives[1],
    ]
    early = forecast("status", job.file, "--as-of", at(149))
    assert (early.code, early.out) == (66, "")
    assert "job 'job' had not run at 2024-05-" in early.err


def test_a_run_of_a_clock_that_was_ahead_hides_no_failure(job: Job, forecast: Run, at: At) -> None:
    for time in (at(150), "2999-01-01"):
        assert forecast("run", job.file, "--as-of", time).code == 0
    assert (
        forecast("run", job.file, "--as-of", "").code == 2
    )  # a variable of a script that is not set
    (job.folder / "sales.csv").unlink()
    assert forecast("run", job.file, "--as-of", at(151)).code == 66
    status = forecast("status", job.file)
    assert status.code == 3
    assert "does not exist" in status.out.splitlines()[0]


@pytest.fixture
def second(job: Job) -> Job:
    """Another job whose file lies in the same folder and names the same store."""
    other = Second(job.folder)
    other.file.write_text(
        job.file.read_text().replace("out.csv", "second.csv").replace("horizon = 7", "horizon = 3")
    )
    return other


class Second(Job):
    """The job of `second.toml`."""

    @property
    def file(self) -> Path:
        return self.folder / "second.toml"

    @property
    def output(self) -> Path:
        return self.folder / "second.csv"


def test_two_jobs_in_one_folder_do_not_share_the_store_that_neither_names(
    job: Job, second: Job, forecast: Run, at: At
) -> None:
    for one in (job, second):
        one.file.write_text(one.file.read_text().replace('store = "store"\n', ""))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    runs = job.folder / "forecast-model.runs"
    before = {path: path.read_bytes() for path in (*runs.iterdir(), *(job.folder / "forecast-model").glob("[!.]*"))
              if path.is_file()}  # fmt: skip
    refused = forecast("run", second.file, "--as-of", at(151))
    assert refused.code == 2
    assert f"belongs to job 'job' ({job.file})" in refused.err
    assert f"store at the top of {second.file}" in refused.err
    assert "--take-over" in refused.err
    assert not second.output.exists()
    assert {path: path.read_bytes() for path in before} == before
    second.file.write_text('store = "second-model"\n' + second.file.read_text())
    assert forecast("run", second.file, "--as-of", at(151)).code == 0
    assert len(pd.read_csv(second.output)) == 6
    assert forecast("run", job.file, "--as-of", at(151)).code == 0


@pytest.mark.parametrize("made_by", ["fit", "a job of before"])
def test_a_store_without_an_owner_belongs_to_the_first_job_that_runs_with_it(
    job: Job, second: Job, forecast: Run, at: At, made_by: str
) -> None:
    if made_by == "fit":
        words = ("--artifact", job.store, "--model", "seasonal-naive", "--horizon", "7")
        assert forecast("fit", job.folder / "sales.csv", *words).code == 0
    else:
        assert forecast("run", job.file, "--as-of", at(150)).code == 0
        (job.store / "OWNER").unlink()
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    refused = forecast("run", second.file, "--as-of", at(161))
    assert refused.code == 2
    assert "belongs to job 'job'" in refused.err


def test_a_pipeline_file_may_be_moved_and_its_owner_follows(
    job: Job, forecast: Run, at: At
) -> None:
    job.file.write_text(job.file.read_text().replace('"store"', f'"{job.store}"'))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    first = _owner(job.store)
    (job.folder / "moved").mkdir()
    shutil.move(job.folder / "sales.csv", job.folder / "moved")
    moved = job.file.rename(job.folder / "moved" / "job.toml")
    assert forecast("run", moved, "--as-of", at(151)).code == 0
    assert _owner(job.store) == {**first, "file": str(moved)}
    copy = shutil.copy(moved, job.file)
    shutil.copy(job.folder / "moved" / "sales.csv", job.folder)
    assert forecast("run", copy, "--as-of", at(152)).code == 2


def test_the_check_and_the_status_of_a_copied_folder_say_who_owns_the_store(
    job: Job, forecast: Run, at: At, tmp_path: Path
) -> None:
    assert "store    belongs to no job yet" in forecast("run", job.file, "--check").err
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    copied = tmp_path / "copied"
    shutil.copytree(job.folder, copied, ignore=shutil.ignore_patterns("copied"))
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    for words in ((), ("--check",)):
        ran = forecast("run", copied / "job.toml", "--as-of", at(151), *words)
        assert (ran.code, f"this store belongs to job 'job' ({job.file})" in ran.err) == (
            2,
            True,
        ), ran.err
    for file in (job.file, copied / "job.toml"):
        assert f"store    belongs to job 'job' ({job.file})\n" in forecast("status", file).out
    (state,) = json.loads(forecast("status", job.file, "--json").out)
    assert state["owner"] == f"job 'job' ({job.file})"
    checked = forecast("run", copied / "job.toml", "--as-of", at(151), "--check", "--take-over")
    assert (checked.code, "takes the store over from job 'job'" in checked.err) == (0, True), (
        checked.err
    )
    assert {path: path.read_bytes() for path in before} == before
    assert forecast("run", copied / "job.toml", "--as-of", at(151), "--take-over").code == 0


def test_a_job_that_failed_before_it_had_a_version_owns_no_store(
    job: Job, forecast: Run, at: At
) -> None:
    first = job.file.rename(job.folder / "first.toml")
    lost = 'url = "sqlite:///lost.db"\nsql = "SELECT 1"'
    first.write_text(first.read_text().replace('path = "sales.csv"', lost))
    assert forecast("run", first).code == 66
    job.write()
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert _owner(job.store)["file"] == str(job.file)
    assert forecast("run", first).code == 2


def test_a_renamed_job_says_who_it_was_or_takes_over(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    renamed = job.file.rename(job.folder / "renamed.toml")
    assert forecast("run", renamed, "--as-of", at(151)).code == 2
    renamed.write_text('name = "job"\n' + renamed.read_text())
    assert forecast("run", renamed, "--as-of", at(151)).code == 0
    assert len(job.ledger("SELECT * FROM forecast_runs WHERE job = 'job'")) == 2
    other = shutil.copy(renamed, job.folder / "other.toml")
    assert forecast("run", other, "--as-of", at(152)).code == 2
    taken = forecast("run", other, "--as-of", at(152), "--take-over")
    assert taken.code == 0
    assert "takes the store over from job 'job'" in taken.err
    assert forecast("run", renamed, "--as-of", at(153)).code == 2


def test_a_copy_of_a_store_gets_an_identity_of_its_own(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    shutil.copytree(job.folder, job.folder / "copy")
    ran = forecast("run", job.folder / "copy" / "job.toml", "--as-of", at(151), "--take-over")
    assert ran.code == 0, ran.err
    first = _owner(job.store)["id"]
    assert _owner(job.folder / "copy" / "store")["id"] != first
    moved = job.folder / "moved"
    shutil.move(job.store, moved)
    job.file.write_text(job.file.read_text().replace('"store"', '"moved"'))
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    assert _owner(moved)["id"] == first


def test_predict_and_status_write_nothing_into_a_store_without_an_owner(
    job: Job, forecast: Run, at: At
) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    (job.store / "OWNER").unlink()
    job.store.chmod(stat.S_IRUSR | stat.S_IXUSR)
    before = sorted(os.listdir(job.store))
    assert forecast("predict", "--artifact", job.store).code == 0
    assert forecast("status", job.file).code == 0
    assert sorted(os.listdir(job.store)) == before
    job.store.chmod(0o755)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"id": "x", "store": "a", "job": "a", "file": "a"}', "\0" * 200_000]
)
def test_a_damaged_owner_is_refused_by_its_file(job: Job, forecast: Run, at: At, text: str) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    (job.store / "OWNER").write_text(text)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 76
    assert str(job.store / "OWNER") in ran.err
    assert job.record()["as_of"] == "2024-05-31T12:00:00Z"


def test_a_link_in_the_place_of_the_owner_is_refused(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    (job.store / "OWNER").rename(job.folder / "elsewhere")
    (job.store / "OWNER").symlink_to(job.folder / "elsewhere")
    assert forecast("run", job.file, "--as-of", at(151)).code == 76


def _owner(store: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((store / "OWNER").read_text())
    return found


def _fit(job: Job, forecast: Run, *words: str) -> None:
    assert forecast("fit", job.folder / "sales.csv", "--artifact", job.store, *words).code == 0


def test_a_fit_by_hand_with_other_settings_is_replaced_or_refused_and_never_used_in_silence(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "every 90 days"')
    assert forecast("run", job.file, "--as-of", at(195)).code == 0
    job.table(days=198)
    _fit(job, forecast, "--model", "mean", "--horizon", "3")
    job.table()
    by_hand = json.loads(forecast("versions", "--artifact", job.store, "--json").out)[-1]
    assert by_hand["live"]
    job.write(top='refit = "never"')
    refused = forecast("run", job.file, "--as-of", at(198))
    assert refused.code == 2
    assert (
        "model in [train] is seasonal-naive, and was mean; horizon in [train] is 7, and was 3"
        in refused.err
    )
    assert "allow a refit, or promote a version" in refused.err
    job.write(top='refit = "every 90 days"')
    ran = forecast("run", job.file, "--as-of", at(198))
    assert ran.code == 0, ran.err
    assert "horizon in [train] is 7, and was 3" in job.record()["fit"]["why"]
    assert pd.read_csv(job.output).groupby("shop").size().tolist() == [7, 7]


def test_a_store_made_by_fit_with_other_settings_is_fitted_anew_once(
    job: Job, forecast: Run, at: At
) -> None:
    job.table(days=150)
    _fit(job, forecast, "--model", "seasonal-naive", "--horizon", "7", "--season", "30")
    job.table()
    job.write(top='refit = "every 90 days"', table="season = 7")
    why = []
    for day in (151, 152):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        why.append(job.record()["fit"].get("why", ""))
    assert "season in [table] is 7, and was 30" in why[0]
    assert why[1] == ""


def test_settings_that_say_what_was_inferred_ask_for_no_fit(
    job: Job, forecast: Run, at: At
) -> None:
    job.table(days=150)
    _fit(job, forecast, "--model", "seasonal-naive")
    job.table()
    table = (
        'layout = "long"\ntime = "day"\nid = "shop"\ntarget = "units"\nfreq = "d"\nseason = [7]\n'
    )
    table += 'date_format = "%Y-%m-%d"\nmax_missing = 0.5\nstrict = true\non_duplicate = "first"'
    train = 'model = "seasonal-naive"\nhorizon = 14\nguard = true\nseed = 0\njobs = 2\nbudget = 60\ndevice = "cpu"'
    job.file.write_text(f'store = "store"\nrefit = "never"\n[source]\npath = "sales.csv"\n[table]\n{table}\n'
                        f'[train]\n{train}\n[sink]\npath = "out.csv"\n')  # fmt: skip
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 0, ran.err
    assert job.record()["fit"] == {}
    job.file.write_text(job.file.read_text().replace('"d"', '"W"'))
    assert "freq in [table] is W, and was D" in forecast("run", job.file, "--as-of", at(151)).err


def test_a_fit_that_a_gate_held_back_is_not_tried_again_every_night(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "every 90 days"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"mean"'))
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    assert job.record()["fit"]["promoted"] is False
    ran = forecast("run", job.file, "--as-of", at(161))
    assert ran.code == 0
    assert job.record()["fit"] == {}
    assert any(
        "model in [train] is mean, and was seasonal-naive" in text
        for text in job.record()["warnings"]
    )


def _shares_sinks(job: Job, second: Job) -> None:
    """Give the second job a store of its own, and the sinks of the first one."""
    second.file.write_text(
        job.file.read_text().replace('store = "store"', 'store = "second-store"')
    )


def test_a_file_has_one_job_that_writes_it(job: Job, second: Job, forecast: Run, at: At) -> None:
    _shares_sinks(job, second)
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    before = job.output.read_bytes()
    said = f"out.csv: is written by job 'job' ({job.file}); write elsewhere, or pass --take-over if this job replaces"
    for ran in (
        forecast("run", second.file, "--check"),
        forecast("run", second.file, "--as-of", at(150)),
    ):
        assert ran.code == 2
        assert said in ran.err
    assert job.output.read_bytes() == before
    assert not list((job.folder / "second-store").glob("v-*"))  # nothing was fitted
    shown = forecast("status", second.file)
    assert shown.code == 3
    assert "is written by job 'job'" in shown.out + shown.err
    elsewhere = forecast(
        "run", second.file, "--as-of", at(150), "--output", job.folder / "else.csv"
    )
    assert elsewhere.code == 0, elsewhere.err
    assert not (job.folder / ".else.csv.owner").exists()
    taken = forecast("run", second.file, "--as-of", at(150), "--take-over")
    assert taken.code == 0, taken.err
    assert "and job 'second' takes it over" in taken.err
    assert job.output.read_bytes() != before
    assert forecast("run", second.file, "--as-of", at(151)).code == 0
    assert forecast("run", job.file, "--as-of", at(153)).code == 2
    assert "is written by job 'second'" in forecast("status", job.file).out


def test_rows_of_a_table_have_one_job_that_writes_them(
    job: Job, second: Job, forecast: Run, at: At, url: str, rows: Callable[[str, str], list[tuple]]
) -> None:
    frame, wide = job.table(), url.startswith("sqlite")
    if wide:
        frame = frame.pivot(index="day", columns="shop", values="units").reset_index()
        frame.to_csv(job.folder / "sales.csv", index=False)
    text = job.file.read_text().replace('path = "out.csv"', f'url = "{url}"\ntable = "f"')
    job.file.write_text(text)
    _shares_sinks(job, second)
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    before = rows(url, "SELECT * FROM f")
    for ran in (
        forecast("run", second.file, "--check"),
        forecast("run", second.file, "--as-of", at(152)),
    ):
        assert ran.code == 2
        assert (
            f"sink.table f: is written by job 'job' ({job.file}); write elsewhere, or pass --take-over"
            in ran.err
        )
    assert rows(url, "SELECT * FROM f") == before
    assert not list((job.folder / "second-store").glob("v-*"))
    others = (
        frame.set_axis(["day", "a", "b"], axis=1)
        if wide
        else frame.assign(shop=frame["shop"] + "2")
    )
    others.to_csv(job.folder / "others.csv", index=False)
    second.file.write_text(second.file.read_text().replace("sales.csv", "others.csv"))
    ran = forecast("run", second.file, "--as-of", at(152))
    assert ran.code == 0, ran.err
    assert len(rows(url, "SELECT * FROM f")) == 2 * len(before)
    assert forecast("run", job.file, "--as-of", at(153)).code == 0
    assert rows(url, "SELECT COUNT(*) FROM forecast_owners") == [(4,)]


def test_a_job_whose_store_is_moved_or_new_keeps_its_sinks(
    job: Job, forecast: Run, at: At, rows: Callable[[str, str], list[tuple]]
) -> None:
    url = f"sqlite:///{job.folder}/f.db"
    job.write(sink=f'url = "{url}"\ntable = "f"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    job.store.rename(job.folder / "moved")
    job.file.write_text(job.file.read_text().replace('store = "store"', 'store = "moved"'))
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    shutil.rmtree(job.folder / "moved")
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    renamed = job.file.rename(job.folder / "renamed.toml")
    assert forecast("run", renamed, "--as-of", at(153), "--take-over").code == 0
    renamed.write_text(renamed.read_text().replace('store = "moved"', 'store = "new"'))
    assert forecast("run", renamed, "--as-of", at(154)).code == 0
    other = renamed.rename(job.folder / "other.toml")
    shutil.rmtree(job.folder / "new")
    assert forecast("run", other, "--as-of", at(155)).code == 2
    assert forecast("run", other, "--as-of", at(155), "--take-over").code == 0
    assert rows(url, "SELECT COUNT(DISTINCT owner) FROM forecast_owners") == [(1,)]


def test_a_damaged_note_beside_a_file_is_named(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    (job.folder / ".out.csv.owner").write_text("{")
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 76
    assert f"{job.folder}/.out.csv.owner: is damaged; remove it" in ran.err


def test_a_user_who_may_create_no_table_writes_as_before(
    job: Job, forecast: Run, at: At, server: Server
) -> None:
    job.write(sink=f'url = "{server.url}"\ntable = "f"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    server.execute("DROP TABLE forecast_owners")
    server.execute("CREATE ROLE clerk LOGIN PASSWORD 'p'")
    try:
        server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        server.execute("GRANT SELECT, INSERT, UPDATE ON f TO clerk")
        clerk = replace(server, user="clerk", password="p")
        job.write(sink=f'url = "{clerk.url}"\ntable = "f"')
        ran = forecast("run", job.file, "--as-of", at(151))
        assert ran.code == 0, ran.err
        assert (
            "which job writes which rows cannot be recorded, so that other jobs may replace them: "
            in ran.err
        )
        assert server.execute("SELECT COUNT(DISTINCT origin) FROM f") == [(2,)]
    finally:
        server.execute("DROP OWNED BY clerk")
        server.execute("DROP ROLE clerk")
