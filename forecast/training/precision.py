"""The precision that networks train in: as asked, where a processor gains by it, and where it can at all."""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from functools import cache

import torch

from forecast.errors import Setting, Unavailable, Words
from forecast.logs import log
from forecast.models.shared.building import build
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.settings import Precision, PrecisionName
from forecast.training.plan import Candidate, Member

# models, and the units of a layer from which on bfloat16 is worth it: at 128 a step takes 1.9 and 1.7 times as long in
# float32, and the loss on held-out values is the same within 0.1 %
GAINING = {"lstm": 96, "gru": 96}


def chosen_precision(asked: PrecisionName, candidate: Candidate, device: torch.device) -> Precision:
    """The precision that a network trains in: as asked, else by the model and by what the processor can do."""
    if asked != "auto":
        return asked
    gains = candidate.params.get("hidden_size", 64) >= GAINING.get(candidate.model, math.inf)
    able = (
        gains
        and _multiplies_natively(device.type)
        and trains_in_bfloat16(candidate.model, device.type)
    )
    return "bfloat16" if able else "float32"


def require_precision(
    asked: PrecisionName, candidates: Sequence[Candidate], device: torch.device
) -> None:
    """Refuse (`Unavailable`) a precision that is asked for by name where a network cannot train in it."""
    if asked == "bfloat16" and (unable := _unable(candidates, device)):
        cure = Words("pass ", Setting("precision", "auto"))
        raise Unavailable(f"this machine cannot train {unable} in bfloat16", cure=cure)


def trainable(members: Sequence[Member], device: torch.device) -> list[Member]:
    """The members of a plan, in float32 where this machine cannot train them as they were planned on another one."""
    if unable := _unable([member for member in members if member.precision == "bfloat16"], device):
        log.warning(
            "this machine cannot train %s in bfloat16, as was planned; training is in float32",
            unable,
        )
        return [member.model_copy(update={"precision": "float32"}) for member in members]
    return list(members)


def lowered(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """The block in which a network computes in a precision; its weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


@cache
def trains_in_bfloat16(model: str, device: str) -> bool:
    """Whether a device trains a model in bfloat16: a tiny network is tried, as oneDNN lacks LSTMs without AVX-512."""
    shape, torch_device = Shape(lookback=12, horizon=2), torch.device(device)
    network, batch = (
        build(Candidate(model=model, lookback=12), shape).to(torch_device),
        random_batch(shape, 2, 0),
    )
    batch = replace(
        batch,
        **{field.name: getattr(batch, field.name).to(torch_device) for field in fields(batch)},
    )
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
    units = (
        "_is_avx512_bf16_supported",
        "_is_amx_tile_supported",
    )  # older releases of torch lack them
    return device == "cpu" and any(getattr(torch.cpu, unit, bool)() for unit in units)
