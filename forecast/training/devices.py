"""Where networks run: devices, threads, and running out of memory."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.errors import Setting, Unavailable
from forecast.logs import log
from forecast.windows.windows import ToArray

_lock = threading.Lock()
# torch's number of threads outside the blocks of `one_thread`, by thread that entered one
_threads_outside: dict[int, int] = {}


def pick_device(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU that works, else the CPU.

    Raises `Unavailable` if this machine has no such device.
    """
    if name == "auto":
        return _working_gpu() or torch.device("cpu")
    if name == "cpu" or (name == "cuda" and torch.cuda.is_available()):
        return torch.device(name)
    cure = f"pass {Setting('device', 'cpu')} or {Setting('device', 'auto')}"
    reason = ", as it has no numbers of 64 bits" if name == "mps" else " on this machine"
    raise Unavailable(f"device '{name}' is not available{reason}", cure=cure)


def _working_gpu() -> torch.device | None:
    if not torch.cuda.is_available():
        return None
    device = torch.device("cuda")
    try:
        torch.zeros(1, device=device)
    except RuntimeError as error:
        problem = str(error).split("\n")[0]
        log.warning("device 'cuda' does not answer (%s); the CPU is used", problem)
        return None
    return device


def on_device(device: torch.device) -> ToArray:
    """A function that copies a numpy array to a device; it can be pickled."""
    return partial(_to_tensor, device)


def _to_tensor(device: torch.device, array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run a block with one thread and without denormal numbers, which slow a CPU a hundredfold."""
    thread = threading.get_ident()
    with _lock:
        nested = thread in _threads_outside
        # a thread that is new to torch inherits the setting of a block that another thread is in
        outside = next(iter(_threads_outside.values()), None) or torch.get_num_threads()
        _threads_outside.setdefault(thread, outside)
    torch.set_num_threads(1)
    flushed = sys.float_info.min / 2 == 0.0  # torch has no function for it
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        if not nested:
            with _lock:
                torch.set_num_threads(_threads_outside.pop(thread))


def out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "alloc" in str(error) and "memory" in str(error)


@contextmanager
def report_out_of_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        cure = f"forecast fewer series at once, or fit with a smaller {Setting('lookback')}"
        raise Unavailable("out of memory", cure=cure) from None
