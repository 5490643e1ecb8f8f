"""The first signal waits for the end of a step, the second one does not."""

import signal
from collections.abc import Iterator

import pytest

from forecast.training.loop import Deferred


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_second_signal_acts_at_once() -> None:
    reached = []

    def two() -> None:
        with Deferred() as signals:
            signal.raise_signal(signal.SIGINT)
            reached.append(signals.pending)
            signal.raise_signal(signal.SIGINT)
            reached.append(None)

    with pytest.raises(KeyboardInterrupt):
        two()
    assert reached == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_pending_signal_acts_when_it_is_delivered_or_the_block_ends() -> None:
    with pytest.raises(KeyboardInterrupt), Deferred():
        signal.raise_signal(signal.SIGINT)
    delivered = []
    signal.signal(signal.SIGINT, lambda number, frame: delivered.append(number))
    with Deferred() as signals:
        signal.raise_signal(signal.SIGINT)
        assert delivered == []
        signals.deliver()
        assert (delivered, signals.pending) == ([signal.SIGINT], None)
