"""Messages about parts of some work are held back, and logged once for all parts."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from forecast.errors import Setting
from forecast.jobs.record import warnings_into
from forecast.logs import Redactor, held_back, log_kinds

log = logging.getLogger("forecast")


def test_the_first_message_of_each_kind_is_logged_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    records = []
    for part in range(3):
        with held_back() as messages:
            log.warning("%d gaps; pass %s", part, Setting("freq"))
            if part == 1:
                log.warning("all")
        records += messages
    assert not caplog.messages
    log_kinds(records)
    assert caplog.messages == [
        "0 gaps; pass freq= (the first of 3 such messages about parts)",
        "all",
    ]


def test_each_thread_holds_back_its_own(caplog: pytest.LogCaptureFixture) -> None:
    def say(part: int) -> list[str]:
        with held_back() as messages:
            log.warning("part %d", part)
        return [record.getMessage() for record in messages]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(say, range(20))) == [[f"part {part}"] for part in range(20)]
    log.warning("after")
    assert caplog.messages == ["after"]


def test_all_threads_share_filters_that_never_change() -> None:
    before = list(log.filters)
    with held_back(), warnings_into([]), Redactor().kept_out():
        assert log.filters == before
