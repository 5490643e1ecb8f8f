"""Resume a fit that was stopped: which fit a checkpoint belongs to, what it holds, and when one is written."""

import hashlib
import json
import time
from typing import Any

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor

from forecast.artifacts.checkpoints import Checkpoint
from forecast.logs import log
from forecast.models.shared.building import layout_of, to_arrays, to_tensors
from forecast.panel.panel import ARRAYS, Panel
from forecast.panel.schema import Schema
from forecast.settings import Stored, TrainSettings
from forecast.training.context import CheckpointStore
from forecast.training.plan import Member, Plan
from forecast.training.state import RETRIES, TrainingState

INTERVAL = 10.0  # seconds between two checkpoints of a network
WRITING_SHARE = 0.01  # of the time that writing them may take
FORMAT = 2
UNKEYED = {
    "jobs",
    "device",
    "plan",
    "warm_start",
}  # settings that change nothing, or whose result is in the key
PLAN = "plan"  # name of the checkpoint of the decisions


def data_key(panel: Panel, schema: Schema) -> str:
    """The sha256 of all that a fit sees of the data, in hexadecimal."""
    digest = hashlib.sha256(schema.model_dump_json().encode())
    digest.update(json.dumps([panel.ids, panel.status, panel.ahead]).encode())
    arrays = {name: getattr(panel, name) for name in ARRAYS}
    arrays |= {} if panel.vintages is None else vars(panel.vintages)
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def plan_key(
    settings: TrainSettings,
    plan: Plan | None,
    device: torch.device,
    started_from: str | None = None,
) -> str:
    """The sha256 of all but the data that decides a fit; `started_from` is the hash of what it continues."""
    facts = {
        "format": FORMAT,
        "settings": settings.model_dump(mode="json", exclude=UNKEYED),
        "plan": None if plan is None else plan.model_dump(mode="json"),
        "device": device.type,
        "started_from": started_from,
        "machine": [
            torch.backends.cpu.get_cpu_capability(),
            str(torch.__version__),
            np.__version__,
        ],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Decisions(Stored):
    """What a fit decided so far: a resumed one repeats it, and does not measure again."""

    rounds: tuple[tuple[Member, ...], ...] = Field(
        (), description="networks of each round; an empty one ends training"
    )
    costs: dict[str, float] = Field(default_factory=dict, description="seconds of each candidate")
    left: float | None = Field(None, description="seconds of the budget that were left")

    @classmethod
    def read(cls, store: CheckpointStore | None) -> "Decisions":
        checkpoint = store.read(PLAN) if store is not None else None
        try:
            return cls.model_validate(checkpoint.facts if checkpoint is not None else {})
        except ValidationError:
            log.warning("the checkpoint of the plan cannot be read; training starts anew")
            return cls()

    def write(self, store: CheckpointStore | None) -> None:
        if store is not None:
            store.write(PLAN, Checkpoint(self.model_dump(mode="json"), {}))


class _Numbers(Stored):
    member: Member
    step: int = Field(ge=0)
    done: int = Field(ge=0)
    stale: int = Field(ge=0)
    best: float | None
    factor: float = Field(gt=0, le=1)
    retries: int = Field(ge=0, le=RETRIES)
    cut: int | None = Field(ge=1)
    finished: bool


class NetworkCheckpoint:
    """The checkpoint of one network: continues its training from there, and writes where it stands now and then."""

    def __init__(self, store: CheckpointStore | None, state: TrainingState, number: int) -> None:
        self.store, self.state, self.name, self.number = (
            store,
            state,
            f"member-{number}",
            number + 1,
        )
        self._next = time.monotonic() + INTERVAL

    def restore(self) -> None:
        checkpoint = self.store.read(self.name) if self.store is not None else None
        if checkpoint is not None and not restore(self.state, checkpoint):
            log.warning(
                "the checkpoint of network %d belongs to another plan; its training starts anew",
                self.number,
            )
        elif checkpoint is not None and not self.state.finished:
            log.info(
                "network %d goes on from step %d of %d",
                self.number,
                self.state.step,
                self.state.member.steps,
            )

    def write(self, now: bool) -> None:
        """Write where training stands, `now` or if it is time; the longer that takes, the longer until the next one."""
        start = time.monotonic()
        if self.store is not None and (now or start > self._next):
            numbers = _Numbers(
                **{name: getattr(self.state, name) for name in _Numbers.model_fields}
            )
            self.store.write(
                self.name,
                Checkpoint(numbers.model_dump(mode="json"), to_arrays(_tensors(self.state))),
            )
            end = time.monotonic()
            self._next = end + max(INTERVAL, (end - start) / WRITING_SHARE)


def restore(state: TrainingState, checkpoint: Checkpoint) -> bool:
    """Continue from a checkpoint of the same training; False, and nothing changes, where it is of another one."""
    saved, tensors = to_tensors(checkpoint.arrays), _tensors(state)
    if layout_of(saved) != layout_of(tensors):
        return False
    try:
        numbers = _Numbers.model_validate(checkpoint.facts)
        for name in ("random/draw", "random/cpu"):
            torch.Generator().set_state(saved[name])
    except (ValidationError, RuntimeError):
        return False
    if not state.member.continues(numbers.member) or numbers.step > state.member.steps:
        return False
    for name in _Numbers.model_fields.keys() - {"member"}:
        setattr(state, name, getattr(numbers, name))
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
    state.generator.set_state(saved["random/draw"])
    torch.set_rng_state(saved["random/cpu"])
    if state.device.type != "cpu":
        torch.cuda.set_rng_state(saved["random/device"])
    return True


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """The tensors of a state by name, not copies of them; the states of random generators, which are."""
    random = {
        "draw": state.generator.get_state(),
        "cpu": torch.get_rng_state(),
    }  # dropout draws from torch's own
    if state.device.type != "cpu":
        random["device"] = torch.cuda.get_rng_state()
    parts: dict[str, dict[Any, Tensor]] = {
        "network": state.network.state_dict(),
        "best": state.best_weights,
        "exp_avg": dict(enumerate(state.optimizer.exp_avg)),
        "exp_avg_sq": dict(enumerate(state.optimizer.exp_avg_sq)),
        "optimizer": {"steps": state.optimizer.steps},
        "held_out": {"quantiles": state.held_out},
        "random": random,
    }
    return {
        f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()
    }
