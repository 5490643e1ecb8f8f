"""What a run records."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from forecast.jobs.record import Record, sha256_of_file, warnings_into, written_later
from forecast.logs import held_back, log_kinds

RUNS = [
    Record(id="", job="", started="", as_of="2024-03-03T00:00:00Z", output={"path": "b.csv"}),
    Record(
        id="",
        job="",
        started="",
        as_of="2024-03-02T00:00:00Z",
        output={"path": "a.csv", "table": "t"},
    ),
    Record(id="", job="", started="", as_of="2024-03-01T00:00:00Z"),
]


@pytest.mark.parametrize(
    ("as_of", "output", "later"),
    [
        ("2024-03-01T12:00:00Z", {"path": "a.csv", "table": None}, "2024-03-02T00:00:00Z"),
        ("2024-03-01T12:00:00Z", {"path": "c.csv", "table": "t"}, "2024-03-02T00:00:00Z"),
        ("2024-03-01T12:00:00Z", {"path": "c.csv", "table": None}, None),
        ("2024-03-02T00:00:00Z", {"path": "a.csv", "table": "t"}, None),
    ],
)
def test_only_a_later_run_with_the_same_output_was_before_us(
    as_of: str, output: dict[str, str | None], later: str | None
) -> None:
    assert written_later(RUNS, as_of, output) == later


def test_only_an_ordinary_file_has_a_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert (
        sha256_of_file(str(tmp_path / "a"))
        == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert sha256_of_file(str(tmp_path)) is None
    assert sha256_of_file("") is None


def test_warnings_are_collected_and_still_logged(caplog: pytest.LogCaptureFixture) -> None:
    texts: list[str] = []
    log = logging.getLogger("forecast")
    with warnings_into(texts), caplog.at_level(logging.INFO, "forecast"):
        log.info("no")
        log.warning("%d rows", 3)
    log.warning("after")
    assert texts == ["3 rows"]
    assert "3 rows" in caplog.text


def test_each_thread_collects_its_own_warnings() -> None:
    log, together = logging.getLogger("forecast"), Barrier(2)

    def run(name: str) -> list[str]:
        texts: list[str] = []
        with warnings_into(texts):
            together.wait(60)
            log.warning("of %s", name)
            together.wait(60)
        return texts

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, ["one", "other"])) == [["of one"], ["of other"]]


def test_a_warning_that_is_held_back_counts_when_it_is_logged() -> None:
    texts: list[str] = []
    with warnings_into(texts):
        with held_back() as records:
            logging.getLogger("forecast").warning("2 rows")
        assert texts == []
        log_kinds(records)
    assert texts == ["2 rows"]


@pytest.mark.parametrize(
    ("as_of", "over", "ahead_of_clock", "dated_ahead"),
    [
        ("2024-03-01T02:00:00Z", False, False, False),
        ("2024-03-01T03:00:00Z", False, False, False),  # cron was an hour early
        ("2024-03-01T03:00:01Z", False, True, True),
        ("2024-01-01T00:00:00Z", False, False, False),  # a night that is made up for
        ("2024-03-01T02:00:00Z", True, False, True),
    ],
)
def test_a_record_knows_whether_it_is_dated_ahead(
    as_of: str, over: bool, ahead_of_clock: bool, dated_ahead: bool
) -> None:
    record = Record(id="", job="", started="2024-03-01T02:00:00Z", as_of=as_of, horizon_over=over)
    assert (record.ahead_of_clock, record.dated_ahead) == (ahead_of_clock, dated_ahead)
