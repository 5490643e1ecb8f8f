"""Resume a fit that was stopped: what a checkpoint holds, which fit it is of, and when it is
written.
"""

import json
import time

import joblib
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from forecast.artifacts.checkpoints import Checkpoint, Checkpoints
from forecast.logs import log
from forecast.models.shared.building import layout_of, to_arrays, to_tensors
from forecast.panel.panel import ARRAYS, Panel
from forecast.panel.schema import Schema
from forecast.settings import Stored, TrainSettings
from forecast.training.plan import Member, Plan
from forecast.training.state import TrainingState

INTERVAL = 10.0  # seconds between two checkpoints of a network
WRITING_SHARE = 0.01  # share of the time that writing checkpoints may take
FORMAT = 3
# settings that do not enter the key of a fit: they have no effect, or enter it in another form
UNKEYED = {"jobs", "device", "plan", "warm_start"}
PLAN = "plan"  # name of the checkpoint of the decisions
COUNTERS = "step", "done", "stale", "best", "factor", "retries", "cut", "finished"  # of a state


def data_key(panel: Panel, schema: Schema) -> str:
    """The hash of all data that a fit sees, in hexadecimal."""
    texts = json.dumps([schema.model_dump_json(), panel.ids, panel.status, panel.ahead])
    arrays = [np.ascontiguousarray(getattr(panel, name)) for name in ARRAYS]
    return str(joblib.hash([texts, arrays, panel.vintages]))


def plan_key(
    settings: TrainSettings,
    plan: Plan | None,
    device: torch.device,
    started_from: str | None = None,
) -> str:
    """The hash of what decides a fit beside the data.

    `started_from` is the hash of the artifact that the fit continues.
    """
    machine = torch.backends.cpu.get_cpu_capability(), torch.__version__, np.__version__
    asked = settings.model_dump_json(exclude=UNKEYED)
    planned = None if plan is None else plan.model_dump_json()
    texts = [str(FORMAT), asked, planned, device.type, started_from, *map(str, machine)]
    return str(joblib.hash(texts))


class Decisions(Stored):
    """What a fit decided so far: a resumed one repeats it, and does not measure again."""

    rounds: tuple[tuple[Member, ...], ...] = ()  # of networks; an empty one ends training
    # seconds of full training, by key of a candidate
    costs: dict[str, float] = Field(default_factory=dict)
    left: float | None = None  # seconds of the time budget

    @classmethod
    def read(cls, store: Checkpoints | None) -> "Decisions":
        checkpoint = store.read(PLAN) if store is not None else None
        if checkpoint is None:
            return cls()
        return cls.model_validate(checkpoint.facts)

    def write(self, store: Checkpoints | None) -> None:
        if store is not None:
            facts = self.model_dump(mode="json")
            store.write(PLAN, Checkpoint(facts, {}))


class NetworkCheckpoint:
    """The checkpoint of one network, written from time to time and restored on resuming."""

    def __init__(self, store: Checkpoints | None, state: TrainingState, number: int) -> None:
        self.store = store
        self.state = state
        self.number = number
        self.name = f"member-{number}"
        self._next = time.monotonic() + INTERVAL

    def restore(self) -> None:
        checkpoint = self.store.read(self.name) if self.store is not None else None
        if checkpoint is None:
            return
        network = self.number + 1
        if not restore(self.state, checkpoint):
            problem = "the checkpoint of network %d belongs to another plan"
            log.warning(f"{problem}; its training starts anew", network)
        elif not self.state.finished:
            steps = self.state.member.steps
            log.info("network %d goes on from step %d of %d", network, self.state.step, steps)

    def write(self, now: bool) -> None:
        """Write where training stands, if `now` or if it is time again.

        The longer writing takes, the more rarely it is done.
        """
        start = time.monotonic()
        if self.store is None or (start <= self._next and not now):
            return
        facts = {name: getattr(self.state, name) for name in COUNTERS}
        facts["member"] = self.state.member.model_dump(mode="json")
        arrays = to_arrays(_tensors(self.state))
        self.store.write(self.name, Checkpoint(facts, arrays))
        end = time.monotonic()
        self._next = end + max(INTERVAL, (end - start) / WRITING_SHARE)


def restore(state: TrainingState, checkpoint: Checkpoint) -> bool:
    """Continue from a checkpoint; if it is of another training, return False and change nothing."""
    saved = to_tensors(checkpoint.arrays)
    tensors = _tensors(state)
    if layout_of(saved) != layout_of(tensors):
        return False
    member = Member.model_validate(checkpoint.facts["member"])
    if member.model_dump() != state.member.model_dump():
        return False

    for name in COUNTERS:
        setattr(state, name, checkpoint.facts[name])
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
    state.generator.set_state(saved["random/draw"])
    torch.set_rng_state(saved["random/cpu"])
    if state.device.type != "cpu":
        torch.cuda.set_rng_state(saved["random/device"])
    return True


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """The tensors of a state by name, not copied, and copies of the random generators' states."""
    optimizer = state.optimizer
    tensors = {
        "optimizer/steps": optimizer.steps,
        "held_out/quantiles": state.held_out,
        "random/draw": state.generator.get_state(),
        "random/cpu": torch.get_rng_state(),  # dropout draws from torch's own
    }
    if state.device.type != "cpu":
        tensors["random/device"] = torch.cuda.get_rng_state()
    for name, weights in state.network.state_dict().items():
        tensors[f"network/{name}"] = weights
        tensors[f"best/{name}"] = state.best_weights[name]
    for number in range(len(optimizer.parameters)):
        tensors[f"exp_avg/{number}"] = optimizer.exp_avg[number]
        tensors[f"exp_avg_sq/{number}"] = optimizer.exp_avg_sq[number]
    return tensors
