"""Work in a thread for each core; numpy lets other threads run while it computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from threading import Lock
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from forecast.parallel import cores

Part = TypeVar("Part")
Result = TypeVar("Result")

OnPart = Callable[[int, int], None]
"""Receives how many parts of some work are done, and how many there are."""

MOST_PARTS = 4  # parts that `in_order` works on at once, each of which takes memory
_busy: ContextVar[bool] = ContextVar("busy", default=False)
_libraries = cache(ThreadpoolController)
_limiting = Lock()


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Let BLAS take one thread, as its threads only wait for each other on matrices so small.

    The limit is that of the process: a block that begins while another one runs leaves it alone.
    """
    if not _limiting.acquire(blocking=False):
        yield
        return
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        _limiting.release()


def in_threads(work: Callable[[Part], None], parts: Sequence[Part], threads: bool = True) -> None:
    """Call `work` with each of the parts, in several threads if it may."""
    for _ in in_order(work, parts, threads and len(parts) > 1 and not _busy.get(), cores()):
        pass


def in_order(
    work: Callable[[Part], Result],
    parts: Iterable[Part],
    threads: bool = True,
    most: int = MOST_PARTS,
) -> Iterator[Result]:
    """Yield the result of each part in their order, while `work` is at the next ones."""
    count = min(cores(), most)
    with _one_blas_thread():
        if count < 2 or not threads:
            yield from map(work, parts)
            return
        waiting: deque[Future[Result]] = deque()
        with ThreadPoolExecutor(count) as pool:
            try:
                for part in parts:
                    context = copy_context()  # how numpy treats overflows is a thread's own
                    context.run(_busy.set, True)
                    waiting.append(pool.submit(context.run, work, part))
                    if len(waiting) > count:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()
