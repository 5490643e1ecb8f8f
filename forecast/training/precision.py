"""The precision that networks train in: as the user asked, or bfloat16 where it is faster."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

from forecast.errors import Setting, Unavailable, Words
from forecast.logs import log
from forecast.models.shared.building import build
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.settings import Precision, PrecisionName
from forecast.training.plan import Candidate, Member

# by model, the hidden units of a layer from which on bfloat16 is worth it: with 128 units, a
# training step takes 1.9 and 1.7 times as long in float32, and losses on held-out values differ by
# less than 0.1 %
GAINING = {"lstm": 96, "gru": 96}


def chosen_precision(asked: PrecisionName, candidate: Candidate, device: torch.device) -> Precision:
    """The precision that a network trains in: as asked, or else by its model and the processor."""
    if asked != "auto":
        return asked
    least_units = GAINING.get(candidate.model, math.inf)
    if candidate.params.get("hidden_size", 64) < least_units:
        return "float32"
    able = _multiplies_natively(device.type) and trains_in_bfloat16(candidate.model, device.type)
    return "bfloat16" if able else "float32"


def require_precision(
    asked: PrecisionName, candidates: Sequence[Candidate], device: torch.device
) -> None:
    """Refuse (`Unavailable`) a precision that was asked for if a network cannot train in it."""
    if asked == "bfloat16" and (unable := _unable(candidates, device)):
        cure = Words("pass ", Setting("precision", "auto"))
        raise Unavailable(f"this machine cannot train {unable} in bfloat16", cure=cure)


def trainable(members: Sequence[Member], device: torch.device) -> list[Member]:
    """Members of a plan from another machine, in float32 where this one needs it."""
    unable = _unable([member for member in members if member.precision == "bfloat16"], device)
    if not unable:
        return list(members)
    problem = "this machine cannot train %s in bfloat16, as was planned; training is in float32"
    log.warning(problem, unable)
    return [member.model_copy(update={"precision": "float32"}) for member in members]


def lowered(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """The block in which a network computes in a precision; its weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


@cache
def trains_in_bfloat16(model: str, device: str) -> bool:
    """Whether a device trains a tiny network of a model; oneDNN lacks LSTMs without AVX-512."""
    shape = Shape(lookback=12, horizon=2)
    network = build(Candidate(model=model, lookback=12), shape).to(device)
    batch = random_batch(shape, 2, 0).map(lambda array: array.to(device))
    try:
        with torch.random.fork_rng(devices=[]), lowered("bfloat16", torch.device(device)):
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
    """Whether a processor multiplies bfloat16 in hardware; False for GPUs, not measured yet."""
    units = "_is_avx512_bf16_supported", "_is_amx_tile_supported"  # older torch lacks them
    return device == "cpu" and any(getattr(torch.cpu, unit, bool)() for unit in units)
