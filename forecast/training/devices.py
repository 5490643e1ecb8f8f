"""Where networks run: devices, processes of torchrun, threads, memory, and the precision that a processor gains by."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, replace
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.errors import Setting, Unavailable, UsageError, Words
from forecast.logs import log
from forecast.models.shared.building import build
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.parallel import processes
from forecast.settings import Precision, PrecisionName, TrainSettings
from forecast.training.plan import Candidate, Member
from forecast.windows.windows import ToArray

# models, and the units of a layer from which on bfloat16 is worth it: at 128 a step takes 1.9 and 1.7 times as long in
# float32, and the loss on held-out values is the same within 0.1 %
GAINING = {"lstm": 96, "gru": 96}


def pick_device(name: str) -> torch.device:
    """The device called `name`, which must exist (`Unavailable`); auto takes a GPU where one works."""
    if processes() > 1 and torch.cuda.is_available() and name in ("auto", "cuda"):
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))  # each process of torchrun has a GPU of its own
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
    """Whether an exception means that memory ran out, whichever library raised it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "alloc" in str(error) and "memory" in str(error)


@contextmanager
def report_out_of_memory() -> Iterator[None]:
    """Turn an out-of-memory exception of any library into `Unavailable`."""
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


def chosen_precision(asked: PrecisionName, candidate: Candidate, device: torch.device) -> Precision:
    """The precision that a network trains in: as asked, else by the model and by what the processor can do."""
    if asked != "auto":
        return asked
    gains = candidate.params.get("hidden_size", 64) >= GAINING.get(candidate.model, math.inf)
    able = gains and _multiplies_natively(device.type) and trains_in_bfloat16(candidate.model, device.type)
    return "bfloat16" if able else "float32"


def require_precision(asked: PrecisionName, candidates: Sequence[Candidate], device: torch.device) -> None:
    """Refuse (`Unavailable`) a precision that is asked for by name where a network cannot train in it."""
    if asked == "bfloat16" and (unable := _unable(candidates, device)):
        cure = Words("pass ", Setting("precision", "auto"))
        raise Unavailable(f"this machine cannot train {unable} in bfloat16", cure=cure)


def trainable(members: Sequence[Member], device: torch.device) -> list[Member]:
    """The members of a plan, in float32 where this machine cannot train them as they were planned on another one."""
    if unable := _unable([member for member in members if member.precision == "bfloat16"], device):
        log.warning("this machine cannot train %s in bfloat16, as was planned; training is in float32", unable)
        return [member.model_copy(update={"precision": "float32"}) for member in members]
    return list(members)


def lowered(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """The block in which a network computes in a precision; its weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


@cache
def trains_in_bfloat16(model: str, device: str) -> bool:
    """Whether a device trains a model in bfloat16: a tiny network is tried, as oneDNN lacks LSTMs without AVX-512."""
    shape, torch_device = Shape(lookback=12, horizon=2), torch.device(device)
    network, batch = build(Candidate(model=model, lookback=12), shape).to(torch_device), random_batch(shape, 2, 0)
    batch = replace(batch, **{field.name: getattr(batch, field.name).to(torch_device) for field in fields(batch)})
    try:
        with torch.random.fork_rng(devices=[]), lowered("bfloat16", torch_device):
            loss = network.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
    except RuntimeError:
        return False
    return True


def _unable(candidates: Sequence[Candidate], device: torch.device) -> str:
    models = dict.fromkeys(candidate.model for candidate in candidates)
    return ", ".join(model for model in models if not trains_in_bfloat16(model, device.type))


@cache
def _multiplies_natively(device: str) -> bool:
    """Whether a processor multiplies numbers in bfloat16 as they are; on GPUs nothing was measured yet."""
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # older releases of torch lack them
    return device == "cpu" and any(getattr(torch.cpu, unit, bool)() for unit in units)
