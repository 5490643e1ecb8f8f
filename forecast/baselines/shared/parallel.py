"""Do parts of some work side by side, in a thread for each core; numpy lets other threads run while it computes."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

Part = TypeVar("Part")


@cache
def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def side_by_side(work: Callable[[Part], None], parts: Sequence[Part], threads: bool = True) -> None:
    """Call `work` with each of the parts.

    Parameters
    ----------
    threads : whether it may run in several threads
    """
    # the threads of BLAS only wait for each other on matrices so small
    with _libraries().limit(limits=1, user_api="blas"):
        if len(parts) < 2 or cores() < 2 or not threads:
            for part in parts:
                work(part)
            return
        contexts = [copy_context() for _ in parts]  # how numpy treats overflows is a thread's own
        with ThreadPoolExecutor(cores()) as pool:
            for _ in pool.map(lambda context, part: context.run(work, part), contexts, parts):
                pass
