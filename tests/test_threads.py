"""Work that is done side by side, and handed on in order."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from forecast import threads
from forecast.threads import in_order, in_threads


@pytest.fixture(autouse=True, params=[1, 3])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The same on one core and on several."""
    monkeypatch.setattr(threads, "cores", lambda: request.param)
    return int(request.param)


def test_results_come_in_order_while_the_next_parts_are_at_work(cores: int) -> None:
    taken: list[int] = []

    def parts() -> Iterator[int]:
        for part in range(20):
            taken.append(part)
            yield part

    def work(part: int) -> int:
        time.sleep(0.002 * (part % 3))
        return part * part

    results = in_order(work, parts())
    assert next(results) == 0
    assert len(taken) <= cores + 1  # no more are held in memory
    assert list(results) == [part * part for part in range(1, 20)]


def test_an_error_ends_the_work() -> None:
    def work(part: int) -> int:
        if part == 3:
            raise ValueError("part 3")
        return part

    results = in_order(work, range(100))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="part 3"):
        next(results)
    with pytest.raises(ValueError, match="part 3"):
        in_threads(work, range(100))


def test_threads_are_used_and_treat_overflow_as_their_caller_does(cores: int) -> None:
    seen, together = set(), threading.Barrier(cores)

    def work(part: int) -> None:
        together.wait(timeout=30)
        seen.add(threading.get_ident())
        np.array([1e300]) * 1e300  # a warning, but for the caller's settings

    with np.errstate(over="ignore"):
        in_threads(work, range(6))
    assert len(seen) == cores
    seen.clear()
    together = threading.Barrier(1)
    with np.errstate(over="ignore"):
        list(in_order(lambda part: in_threads(work, range(4)), range(4)))
    assert len(seen) <= cores  # not threads of threads


SIDE_BY_SIDE = """
import threading
from concurrent.futures import ThreadPoolExecutor
import numpy
from threadpoolctl import threadpool_info
from forecast.threads import in_threads

first_works, second_works, first_is_done = (threading.Event() for _ in range(3))

def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

def first(part):
    first_works.set()
    assert second_works.wait(60)

def second(part):
    second_works.set()
    assert first_is_done.wait(60)

with ThreadPoolExecutor(2) as pool:
    seen = [blas_threads()]
    one = pool.submit(in_threads, first, [0])
    assert first_works.wait(60)
    seen.append(blas_threads())
    other = pool.submit(in_threads, second, [0])
    one.result()
    first_is_done.set()
    other.result()
    seen.append(blas_threads())
assert seen == [seen[0], {1}, seen[0]], seen
"""


def test_work_side_by_side_leaves_the_threads_of_blas_as_they_were() -> None:
    several = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    words = [sys.executable, "-c", SIDE_BY_SIDE]
    ran = subprocess.run(
        words, env={**os.environ, **several}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
