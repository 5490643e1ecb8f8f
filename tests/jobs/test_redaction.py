"""Secrets: neither addresses nor what came from the environment stand in any message or record."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from forecast.jobs.record import warnings_into
from forecast.logs import Redactor, held_back, log_kinds
from tests.conftest import At, Run
from tests.jobs.a_job import Job

SECRET = "hunter2-Geheim"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret in the environment, in the forms in which one is kept there."""
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setenv(
        "SECRET_URL", f"postgresql://bob_{SECRET}:{SECRET}@db-{SECRET}.invalid/base_{SECRET}"
    )
    monkeypatch.setenv("SECRET_LINES", f"a\n{SECRET}\nb'\"")


@pytest.mark.parametrize(
    "value", ['["{0}"]', '{{ a = "{0}" }}', '"{0}"', '[["{0}"], 1]', "4711471147114711"]
)
@pytest.mark.parametrize("key", ["source.url", "sink.url"])
@pytest.mark.parametrize("given", [f"https://h/{SECRET}", "${SECRET_LINES}"])
def test_an_address_of_any_shape_is_never_echoed(
    job: Job, forecast: Run, key: str, value: str, given: str
) -> None:
    line = f"{key.split('.')[-1]} = {value.format(given)}"
    section = (
        {"source": f"{line}\nsql = 'SELECT 1'"}
        if key == "source.url"
        else {"sink": f"{line}\ntable = 't'"}
    )
    job.write(**section)
    ran = forecast("run", job.file, "--check")
    assert ran.code in (0, 2), ran.err
    for text in (SECRET, "4711471147114711"):
        assert text not in ran.err + ran.out
    if ran.code == 2 and "go together" not in ran.err:
        assert key.split(".")[-1] in ran.err


@pytest.mark.parametrize(
    ("top", "sections"),
    [
        ("refit = '${SECRET}'", {}),
        ("as_of = '${SECRET}'", {}),
        ("keep = '${SECRET}'", {}),
        ("wait = ['${SECRET}']", {}),
        ("ledger = '${SECRET}'", {}),
        ("store = '${SECRET_URL}'", {}),
        ("", {"checks": "warn_after = 'x${SECRET}'"}),
        ("", {"output": "levels = ['${SECRET}']"}),
        ("", {"output": "min = '${SECRET}'"}),
        ("", {"table": "freq = '${SECRET}'"}),
        ("", {"table": "id = '${SECRET}'"}),
        ("", {"table": "holidays = '${SECRET}'"}),
        ("", {"train": "params = { hidden_size = '${SECRET}' }"}),
        ("", {"source": "encoding = '${SECRET}'"}),
        ("", {"source": "future = '${SECRET}.csv'"}),
        ("", {"source": "url = '${SECRET_URL}'\nsql = 'SELECT 1'"}),
        ("", {"sink": "url = 'sqlite:///${SECRET}/none/f.db'\ntable = 't'"}),
        ("", {"sink": "url = '${SECRET_URL}'\ntable = 't'"}),
        ("", {"sink": "url = 'sqlite:///f.db'\ntable = '${SECRET}.${SECRET}.x'"}),
    ],
)
def test_what_came_from_the_environment_is_never_echoed(
    job: Job, forecast: Run, at: At, top: str, sections: dict[str, str]
) -> None:
    text = job.write(top, **sections).read_text()
    if top.startswith("store"):
        text = text.replace('store = "store"\n', "")
    if "sql" in str(sections.get("source")):
        text = text.replace('path = "sales.csv"\n', "")
    if "params" in str(sections):
        text = text.replace('"seasonal-naive"', '"gru"')
    job.file.write_text(text)
    ran = (
        forecast("run", job.file, "--as-of", at(150), "--json")
        if "as_of" not in top
        else forecast("run", job.file)
    )
    assert ran.code != 0
    assert SECRET.lower() not in (ran.err + ran.out).lower()
    assert "${SECRET" in ran.err or "***" in ran.err or ": " in ran.err
    record = job.folder / "store.runs" / "run.json"
    if record.exists():
        assert SECRET not in record.read_text()
        assert SECRET not in str(job.ledger("SELECT * FROM forecast_runs"))


def test_a_run_that_succeeds_shows_the_variable_and_not_its_value(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job.folder / SECRET).mkdir()
    (job.folder / "sales.csv").rename(job.folder / f"{SECRET}.csv")
    job.write(sink='path = "${SECRET}/out.csv"')
    text = (
        job.file.read_text()
        .replace('path = "out.csv"\n', "")
        .replace('"sales.csv"', '"${SECRET}.csv"')
    )
    job.file.write_text(text)
    for words in (("--check",), ("--as-of", at(150), "--json")):
        ran = forecast("run", job.file, *words)
        assert ran.code == 0, ran.err
        assert SECRET not in ran.err + ran.out
        assert "${SECRET}/out.csv" in ran.err
    assert (job.folder / SECRET / "out.csv").exists()
    record = json.loads(ran.out)
    assert record["input"]["name"] == "${SECRET}.csv"
    assert record["output"]["path"].endswith("/${SECRET}/out.csv")
    assert SECRET not in (job.folder / "store.runs" / "run.json").read_text()


def test_a_name_from_the_environment_is_a_key_and_never_shown(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='name = "${SECRET}"')
    ran = forecast("run", job.file, "--as-of", at(150), "--json")
    assert ran.code == 0, ran.err
    status = forecast("status", job.file)
    assert status.code == 0
    other = job.folder / "other.toml"
    other.write_text(job.file.read_text().replace("${SECRET}", "other"))
    refused = forecast("run", other)
    assert refused.code == 2
    assert "belongs to job '${SECRET}'" in refused.err
    assert SECRET not in ran.out + ran.err + status.out + status.err + refused.err
    assert job.ledger("SELECT job FROM forecast_runs") == [(SECRET,)]


def test_commands_on_versions_show_the_variable_and_not_its_value(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='name = "${SECRET}"')
    job.file.write_text(
        job.file.read_text().replace('store = "store"', 'store = "${SECRET}/store"')
    )
    for day in (150, 170):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    shown = ""
    for words, code in (
        (["versions"], 0),
        (["versions", "--json"], 0),
        (["rollback"], 0),
        (["rollback"], 66),
        (["promote", "v-2024"], 2),
        (["promote", "none"], 2),
        (["inspect", "--version", "none"], 2),
    ):
        place = 2 if words[0] == "promote" else 1
        ran = forecast(*words[:place], job.file, *words[place:])
        assert ran.code == code, ran.err
        shown += ran.out + ran.err
    page = job.folder / "report.html"
    ran = forecast("report", job.file, "--output", page)
    assert ran.code == 0, ran.err
    shown += ran.out + ran.err + page.read_text()
    assert SECRET not in shown
    assert "${SECRET}/store" in shown
    assert "Forecast report: ${SECRET}" in shown
    assert "${SECRET}: " in shown


def test_an_address_in_the_place_of_a_path_is_refused_without_its_password(
    job: Job, forecast: Run
) -> None:
    job.file.write_text(
        job.file.read_text().replace("sales.csv", f"postgresql://bob:{SECRET}@host/sales")
    )
    ran = forecast("run", job.file)
    assert ran.code == 2
    assert "[source] path is a path" in ran.err
    assert SECRET not in ran.err


def test_a_pipeline_in_a_traceback_holds_no_address(job: Job) -> None:
    from forecast.jobs.pipeline import read_pipeline

    job.write(
        sink=f'url = "postgresql://bob:{SECRET}@h/d"\ntable = "t"',
    )
    assert SECRET not in repr(read_pipeline(str(job.file)))


def test_short_words_and_own_words_stay_readable() -> None:
    hidden = Redactor()
    hidden.add("7", "${DAYS}")
    hidden.add("data", "${SHOP}")
    hidden.add("forecast", "${NAME}")
    assert (
        hidden("7 rows of data in a database; `forecast fit`")
        == "7 rows of ${SHOP} in a database; `forecast fit`"
    )


def test_an_exit_shows_no_secret() -> None:
    redactor = Redactor()
    redactor.add("sesame-street")
    with pytest.raises(RuntimeError, match=r"SystemExit: refused \*\*\*"), redactor.kept_out():
        raise SystemExit("refused sesame-street")


def test_each_thread_hides_its_own_secrets(caplog: pytest.LogCaptureFixture) -> None:
    log, together = logging.getLogger("forecast"), Barrier(2)

    def run(secret: str) -> None:
        redactor, texts = Redactor(), list[str]()
        redactor.add(secret)
        with redactor.kept_out(), held_back() as records:
            together.wait(60)
            log.warning("SECRET-1 and SECRET-2")
            together.wait(60)
        with redactor.kept_out(), warnings_into(texts, redactor):
            log_kinds(records)
        assert len(texts) == 1
        assert secret not in texts[0]

    with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as other:
        runs = [pool.submit(run, "SECRET-1"), other.submit(run, "SECRET-2")]
        assert [ended.result() for ended in runs] == [None, None]
    assert sorted(caplog.messages) == ["*** and SECRET-2", "SECRET-1 and ***"]
