"""Where networks run: devices, processes of torchrun, threads, memory."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.errors import Setting, Unavailable, UsageError, Words
from forecast.logs import log
from forecast.parallel import processes
from forecast.settings import TrainSettings
from forecast.windows.windows import ToArray

_lock = threading.Lock()
_outside: dict[
    int, int
] = {}  # threads that torch takes outside of the blocks, by the thread of each block


def pick_device(name: str) -> torch.device:
    """The device called `name`, which must exist (`Unavailable`); auto takes a GPU where one works."""
    if processes() > 1 and torch.cuda.is_available() and name in ("auto", "cuda"):
        return torch.device(
            "cuda", int(os.environ["LOCAL_RANK"])
        )  # each process of torchrun has a GPU of its own
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": False}
    if name == "auto":
        device = torch.device("cuda" if available["cuda"] else "cpu")
        try:
            torch.zeros(1, device=device)
        except RuntimeError as error:
            problem = str(error).split("\n")[0]
            log.warning("device '%s' does not answer (%s); the CPU is used", device.type, problem)
            return torch.device("cpu")
        return device
    if not available[name]:
        cure = Words("pass ", Setting("device", "cpu"), " or ", Setting("device", "auto"))
        reason = ", as it has no numbers of 64 bits" if name == "mps" else " on this machine"
        raise Unavailable(f"device '{name}' is not available{reason}", cure=cure)
    return torch.device(name)


def on_device(device: torch.device) -> ToArray:
    """The function that copies an array of numpy to a device; a fitted forecaster, which holds it, can be pickled."""
    return partial(_to_tensor, device)


def _to_tensor(device: torch.device, array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run with one thread and without denormal numbers, which slow a CPU a hundredfold; then as before."""
    thread = threading.get_ident()
    with _lock:
        nested = thread in _outside
        # a thread that is new to torch takes over what another block has set for its own time
        _outside.setdefault(thread, next(iter(_outside.values()), None) or torch.get_num_threads())
    torch.set_num_threads(1)
    flushed = sys.float_info.min / 2 == 0.0  # torch does not tell
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        if not nested:
            with _lock:
                torch.set_num_threads(_outside.pop(thread))


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
        cure = Words("forecast fewer series at once, or fit with a smaller ", Setting("lookback"))
        raise Unavailable("out of memory", cure=cure) from None


@contextmanager
def process_group(device: torch.device, settings: TrainSettings) -> Iterator[None]:
    """The block in which the processes that torchrun started train together; nothing where there is only one."""
    if processes() == 1:
        yield
        return
    if settings.budget is not None:
        budget = Setting("budget", settings.budget)
        cure = Words("pass ", Setting("steps"), " instead, or leave torchrun out")
        raise UsageError("several processes have no common clock", setting=budget, cure=cure)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()
