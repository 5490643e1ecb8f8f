"""Defer signals until training can stop without a loss."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Deferred:
    """A block in which the first SIGINT or SIGTERM is only noted; a second one acts at once.

    A noted signal acts, as it would outside, when `deliver` is called or the block ends. Ignored signals stay ignored.
    Only the main thread gets signals; in another one the block does nothing.

    Attributes
    ----------
    came : the signal that was noted and has not acted yet
    """

    def __init__(self) -> None:
        self.came: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._let()
        if error is None and self.came is not None:
            signal.raise_signal(self.came)

    def deliver(self) -> None:
        """Let the noted signal act; where that does not end the block, the next one is deferred again."""
        number, self.came = self.came, None
        if number is not None:
            self._let()
            signal.raise_signal(number)
            self._hold()

    def _hold(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        try:
            for number in SIGNALS:
                handler = signal.getsignal(number)
                # None was set by C code and could not be restored
                if handler is not None and handler != signal.SIG_IGN:
                    self._before[number] = handler
                    signal.signal(number, self._note)
        except BaseException:  # a signal that came before its handler was replaced
            self._let()
            raise

    def _let(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = number
        self._let()  # the next one acts at once
