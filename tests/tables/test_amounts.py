"""Messages about parts of a table come out as one about all of it."""

import logging
from contextlib import suppress

import pytest

from forecast.logs import PART, Count, First, Most, Names, Rows, matters, messages_as_one

log = logging.getLogger("forecast")


def say(part: int, new: list[str], gaps: int) -> None:
    PART.set(part)
    if new:
        log.warning(
            "%s: %d new (%s), %s, up to %d of %d", "t", Count(len(new)), Names.of(new, 2), Rows(9), Most(gaps), 7
        )
    if matters(gaps):
        log.warning("%d gaps in %d, first %s", Count(gaps), Count(10), First(new[0] if gaps else ""))


def test_numbers_add_up_and_names_come_in_their_order(caplog: pytest.LogCaptureFixture) -> None:
    with messages_as_one(log):
        say(1, ["d"], 0)
        say(0, ["c", "e", "b"], 3)
        say(2, ["a"], 1)
    assert caplog.messages == ["t: 5 new (a, b, ...), 27 rows, up to 3 of 7", "4 gaps in 30, first a"]


def test_nothing_is_said_of_none_or_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with messages_as_one(log):
        say(0, [], 0)
    with suppress(ValueError), messages_as_one(log):
        say(0, ["a"], 1)
        raise ValueError("bad")
    assert not caplog.messages
    say(0, [], 0)
    say(0, ["a"], 2)
    assert caplog.messages[-1] == "2 gaps in 10, first a"
    assert len(caplog.messages) == 2


def test_what_differs_is_said_apart_in_the_order_of_the_parts(caplog: pytest.LogCaptureFixture) -> None:
    with messages_as_one(log):
        for part, word in ((2, "x"), (0, "y"), (1, "x")):
            PART.set(part)
            log.warning("%d of kind %s", Count(1), word)
            log.warning("all")
    assert caplog.messages == ["1 of kind y", "all", "2 of kind x"]
