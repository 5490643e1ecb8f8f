"""Resume a fit that was stopped: which fit a checkpoint belongs to, what it holds, and when one is written."""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from forecast.models.shared.building import to_arrays
from forecast.panel.panel import ARRAYS, Panel
from forecast.panel.schema import Schema
from forecast.settings import Stored, TrainSettings
from forecast.training.context import Checkpoint, CheckpointStore
from forecast.training.plan import Member, Plan
from forecast.training.state import RETRIES, TrainingState

log = logging.getLogger("forecast")

INTERVAL = 10.0  # seconds between two checkpoints of a network
WRITING_SHARE = 0.01  # of the time that writing them may take

FORMAT = 2
UNKEYED = {"jobs", "device", "plan", "warm_start"}  # settings that change nothing, or whose result is in the key
PLAN = "plan"  # name of the checkpoint of the decisions


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

    `started_from` is the hash of the artifact whose networks the fit continues.
    """
    facts = {
        "format": FORMAT,
        "settings": settings.model_dump(mode="json", exclude=UNKEYED),
        "plan": None if plan is None else plan.model_dump(mode="json"),
        "device": device.type,
        "started_from": started_from,
        "machine": [torch.backends.cpu.get_cpu_capability(), str(torch.__version__), np.__version__],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Decisions(Stored):
    """What a fit decided so far: a resumed one repeats it, and does not measure again."""

    rounds: tuple[tuple[Member, ...], ...] = Field((), description="networks of each round; an empty one ends training")
    costs: dict[str, float] = Field(default_factory=dict, description="seconds of each candidate")
    left: float | None = Field(None, description="seconds of the budget that were left")

    @classmethod
    def read(cls, store: CheckpointStore | None) -> "Decisions":
        checkpoint = store.read(PLAN) if store is not None else None
        try:
            return cls() if checkpoint is None else cls.model_validate(checkpoint.facts)
        except ValidationError:
            log.warning("the checkpoint of the plan cannot be read; training starts anew")
            return cls()

    def write(self, store: CheckpointStore | None) -> None:
        if store is not None:
            store.write(PLAN, Checkpoint(self.model_dump(mode="json"), {}))


class _Numbers(Stored):
    """The numbers of a training state, under the names that it has for them."""

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
        self.store, self.state, self.name, self.number = store, state, f"member-{number}", number + 1
        self._next = time.monotonic() + INTERVAL

    def restore(self) -> None:
        """Continue from the checkpoint where there is one of the same training."""
        checkpoint = self.store.read(self.name) if self.store is not None else None
        if checkpoint is None:
            return
        if not restore(self.state, checkpoint):
            log.warning("the checkpoint of network %d belongs to another plan; its training starts anew", self.number)
        elif not self.state.finished:
            log.info("network %d goes on from step %d of %d", self.number, self.state.step, self.state.member.steps)

    def write(self, now: bool) -> None:
        """Write where training stands, `now` or if it is time; the longer that takes, the longer until the next one."""
        start = time.monotonic()
        if self.store is not None and (now or start > self._next):
            self.store.write(self.name, checkpoint_of(self.state))
            end = time.monotonic()
            self._next = end + max(INTERVAL, (end - start) / WRITING_SHARE)


def checkpoint_of(state: TrainingState) -> Checkpoint:
    """All of a training state, between two steps."""
    numbers = _Numbers(**{name: getattr(state, name) for name in _Numbers.model_fields})
    random = {name: get() for name, (get, _) in _generators(state).items()}
    return Checkpoint(numbers.model_dump(mode="json"), to_arrays(_tensors(state) | random))


def restore(state: TrainingState, checkpoint: Checkpoint) -> bool:
    """Continue from a checkpoint of the same training; False, and nothing changes, where it is of another one."""
    saved = {name: torch.tensor(array) for name, array in checkpoint.arrays.items()}
    if layout_of(checkpoint.arrays) != layout_of(checkpoint_of(state).arrays):
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
        for name, tensor in _tensors(state).items():
            tensor.copy_(saved[name])
    for name, (_, set_state) in _generators(state).items():
        set_state(saved[name])
    return True


def layout_of(arrays: dict[str, NDArray[Any]]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of each array; the weights of one network always have the same."""
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """The tensors of a state by name, not copies of them."""
    parts: dict[str, dict[Any, Tensor]] = {
        "network": state.network.state_dict(),
        "best": state.best_weights,
        "exp_avg": dict(enumerate(state.optimizer.exp_avg)),
        "exp_avg_sq": dict(enumerate(state.optimizer.exp_avg_sq)),
        "optimizer": {"steps": state.optimizer.steps},
        "held_out": {"quantiles": state.held_out},
    }
    return {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}


def _generators(state: TrainingState) -> dict[str, tuple[Callable[[], Tensor], Callable[[Tensor], Any]]]:
    """What reads and sets the generator that draws windows, and torch's own, from which dropout draws."""
    generator = state.generator
    found: dict[str, Any] = {
        "random/draw": (generator.get_state, generator.set_state),
        "random/cpu": (torch.get_rng_state, torch.set_rng_state),
    }
    if state.device.type != "cpu":
        module = getattr(torch, state.device.type)  # torch.cuda, torch.mps
        found["random/device"] = module.get_rng_state, module.set_rng_state
    return found
