"""Rehearse the training of networks: a few steps of each are timed, on a network that is thrown away."""

import math
import time
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch

from forecast.models.shared.building import build, to_arrays
from forecast.models.shared.model import RecurrentModel
from forecast.training.context import TrainingContext
from forecast.training.devices import threads
from forecast.training.fitting import Fitter
from forecast.training.halving import PROCESS_START
from forecast.training.loop import Trained
from forecast.training.plan import Member, schedule
from forecast.training.rehearsal import PlannedNetwork, Rehearsal
from forecast.training.sampling import Draw
from forecast.training.state import TrainingState
from forecast.windows.windows import Batch

STEPS = 6  # that are timed, of which the first ones are slow
LATER = 1.1  # by which the steps of a long training are slower
SIDE_BY_SIDE = 1.1  # by which networks are slower that share a machine


@dataclass(frozen=True)
class Timed:
    """Seconds of one step and of one validation on a machine that does nothing else, and how many numbers it learns."""

    step: float
    validation: float
    weights: int


@dataclass(frozen=True)
class TrialFitter(Fitter):
    """Plans networks as a fitter does, and times what it would train."""

    rehearsal: Rehearsal = field(default_factory=Rehearsal)
    timed: dict[tuple[str, int], Timed] = field(default_factory=dict)

    def train(self, members: list[Member], context: TrainingContext) -> tuple[list[Member], list[Trained]]:
        """Time some steps of each network; what is returned is as large as what training returns."""
        begun = time.monotonic()
        number = 1 + max((network.round for network in self.rehearsal.networks), default=0)
        networks, trained = [], []
        for member in members:
            shape, draw, validation = self.make_data(member)
            network = build(member, shape, self.settings.seed).to(self.device)
            trained.append(_untrained(network, sum(map(len, validation)), member.steps))
            key = member.key, member.batch_size
            if key not in self.timed:
                self.timed[key] = _time(TrainingState(network, self.settings, member, 0), draw, validation)
            networks.append(self._planned(member, number, self.timed[key], context.jobs))
        self.rehearsal.spent += time.monotonic() - begun
        lanes = schedule(context.seconds or [1.0] * len(members), context.jobs)
        most = math.inf if context.deadline is None else max(0.0, context.deadline - self.rehearsal.clock())
        self.rehearsal.add(networks, lanes, PROCESS_START * self.rehearsal.busy(), most)
        return members, trained

    def _planned(self, member: Member, number: int, timed: Timed, jobs: int) -> PlannedNetwork:
        validations = (member.steps - member.refit_steps) // member.validate_every + 1
        seconds = member.steps * timed.step + validations * timed.validation
        busy = self.rehearsal.busy() if self.device.type == "cpu" else 1.0
        slower = LATER * (SIDE_BY_SIDE if jobs > 1 else 1.0) * busy
        return PlannedNetwork(member, number, timed.weights, slower * seconds)


def trial_fitter(fitter: Fitter, context: TrainingContext, rehearsal: Rehearsal) -> tuple[TrialFitter, TrainingContext]:
    """A fitter that rehearses what another one would do, and its context, whose clock tells when that would be over."""
    inner = {item.name: getattr(fitter, item.name) for item in fields(Fitter)}
    split = fitter.split
    rehearsal.windows = fitter.count, int(split.count(True).sum()), len(fitter.index[0])
    return TrialFitter(**inner, rehearsal=rehearsal), replace(context, clock=rehearsal.clock, checkpoints=None)


def _time(state: TrainingState, draw: Draw, validation: list[Batch]) -> Timed:
    """Take some steps and forecast held-out windows once; the network of the state is spoilt."""
    weights = sum(array.size for array in to_arrays(state.network.state_dict()).values())
    on_cpu = all(weight.device.type == "cpu" for weight in state.network.parameters())
    clock = time.process_time if on_cpu else time.monotonic  # other work of the machine does not count
    seconds = []
    with threads(1), torch.random.fork_rng(devices=[]):
        for _ in range(STEPS):
            begun = clock()
            state.take(draw(state.generator, state.member.batch_size, not validation))
            seconds.append(clock() - begun)
        begun = clock()
        if validation:
            state.validate(validation)
        held_out = clock() - begun
    return Timed(float(np.median(seconds[STEPS // 3 :])), held_out, weights)


def _untrained(network: RecurrentModel, windows: int, steps: int) -> Trained:
    """What training returns, with the first weights and without forecasts."""
    weights = {name: array.copy() for name, array in to_arrays(network.state_dict()).items()}
    held_out = np.full((windows, network.shape.horizon, len(network.shape.levels)), 0.0)
    return Trained(weights, {name: array.copy() for name, array in weights.items()}, None, held_out, None, steps)
