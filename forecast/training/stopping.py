"""Defer signals until training can stop without a loss."""

import signal
import threading
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Deferred:
    """A block in which the first SIGINT or SIGTERM is only noted, as `pending`; a second one acts at once.

    A pending signal acts, as it would outside, when `deliver` is called or the block ends. Ignored signals stay
    ignored. Only the main thread gets signals; in another one the block does nothing.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            try:
                for number in SIGNALS:
                    handler = signal.getsignal(number)
                    if handler not in (None, signal.SIG_IGN):  # None was set by C code and could not be restored
                        self._before[number] = handler
                        signal.signal(number, self._note)
            except BaseException:  # a signal that came before its handler was replaced
                self._release()
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._release()
        if kind is None and self.pending is not None:
            signal.raise_signal(self.pending)

    def deliver(self) -> None:
        """Let the pending signal act; where that does not end the block, the next one is deferred again."""
        number, self.pending = self.pending, None
        if number is not None:
            self._release()
            signal.raise_signal(number)
            self.__enter__()

    def _release(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pending = number
        self._release()  # the next one acts at once
