"""Where a network runs, and with how many threads."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from forecast.errors import Setting, Unavailable, Words

log = logging.getLogger("forecast")


def pick_device(name: str) -> torch.device:
    """The device called `name`; auto takes a GPU where one works.

    Raises
    ------
    Unavailable
        If the device was asked for by name and is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        device = next(torch.device(kind) for kind in ("cuda", "mps", "cpu") if there[kind])
        return device if _works(device) else torch.device("cpu")
    if not there[name]:
        cure = Words("pass ", Setting("device", "cpu"), " or ", Setting("device", "auto"))
        raise Unavailable(f"device '{name}' is not to be had on this machine", cure=cure)
    return torch.device(name)


def _works(device: torch.device) -> bool:
    try:
        torch.zeros(1, device=device)
    except RuntimeError as error:
        log.warning("device '%s' does not answer (%s); the CPU is used", device.type, str(error).split("\n")[0])
        return False
    return True


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with `count` threads and without denormal numbers, which slow a CPU a hundredfold; then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "alloc" in str(error) and "memory" in str(error)


@contextmanager
def memory() -> Iterator[None]:
    """Say that memory ran out, whichever library met its end.

    Raises
    ------
    Unavailable
        Then.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        cure = Words("forecast fewer series at once, or fit with a smaller ", Setting("lookback"))
        raise Unavailable("out of memory", cure=cure) from None
