"""The precision in which a network trains: bfloat16 where processor and network gain by it."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

from forecast.settings import Precision, PrecisionName
from forecast.training.plan import Candidate

# models, and the units of a layer from which on bfloat16 is worth it: at 128 a step takes 1.9 and 1.7 times as long in
# float32, and the loss on held-out values is the same within 0.1 %
GAINING = {"lstm": 96, "gru": 96}


def chosen_precision(asked: PrecisionName, candidate: Candidate, device: torch.device) -> Precision:
    """The precision that a network trains in: as asked, else by the model and by what the processor can do.

    It follows from the machine alone, so that a fit repeats on it; the plan holds the result.
    """
    if asked != "auto":
        return asked
    units = candidate.params.get("hidden_size", 64)
    least = GAINING.get(candidate.model)
    return "bfloat16" if least is not None and units >= least and _multiplies_natively(device.type) else "float32"


def lowered(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """The block in which a network computes in a precision; its weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()


@cache
def _multiplies_natively(device: str) -> bool:
    """Whether a processor multiplies numbers in bfloat16 as they are; on GPUs nothing was measured yet."""
    units = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # older releases of torch lack them
    return device == "cpu" and any(getattr(torch.cpu, unit, bool)() for unit in units)
