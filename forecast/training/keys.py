"""Name the fit that a checkpoint belongs to: one key for its data, one for all else that decides its result."""

import hashlib
import json

import numpy as np
import torch

from forecast.panel.panel import ARRAYS, Panel
from forecast.panel.schema import Schema
from forecast.settings import TrainSettings
from forecast.training.plan import Plan

CHECKPOINT_FORMAT = 1
FREE = {"jobs", "device", "plan", "warm_start"}  # settings that change nothing, or whose result is a part of the key


def data_key(panel: Panel, schema: Schema) -> str:
    """The sha256 of all that a fit sees of the data, in hexadecimal."""
    digest = hashlib.sha256(schema.model_dump_json().encode())
    digest.update(json.dumps([panel.ids, panel.status, panel.ahead]).encode())
    for name in ARRAYS:
        array = getattr(panel, name)
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def plan_key(settings: TrainSettings, plan: Plan | None, device: torch.device, started_from: str | None = None) -> str:
    """The sha256, in hexadecimal, of all but the data that decides the result of a fit, to the last bit.

    Parameters
    ----------
    plan : to be repeated
    device : where the networks run
    started_from : hash of the artifact whose networks the fit continues
    """
    facts = {
        "format": CHECKPOINT_FORMAT,
        "settings": settings.model_dump(mode="json", exclude=FREE),
        "plan": None if plan is None else plan.model_dump(mode="json"),
        "device": device.type,
        "started_from": started_from,
        "machine": [torch.backends.cpu.get_cpu_capability(), str(torch.__version__), np.__version__],
    }
    return hashlib.sha256((json.dumps(facts, sort_keys=True, indent=1) + "\n").encode()).hexdigest()
