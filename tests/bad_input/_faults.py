"""Machines on which a case fails: without a GPU or an extra, short of memory, stopped, with a loss that is NaN."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bad_input._scenes import scene


@scene
def no_gpu(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without a GPU."""
    import torch

    patch.setattr(torch.cuda, "is_available", lambda: False)
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    yield


@scene
def no_excel(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without the extra that reads workbooks."""
    patch.setitem(sys.modules, "python_calamine", None)
    yield


@scene
def stops(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C comes while a network is trained."""
    on_step(patch, lambda: signal.raise_signal(signal.SIGINT))
    yield


@scene
def ends(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The system ends the process while a network is trained."""
    on_step(patch, lambda: signal.raise_signal(signal.SIGTERM))
    yield


@scene
def memory_gone(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is never enough memory for a batch."""

    def fail() -> None:
        raise MemoryError

    on_step(patch, fail)
    yield


@scene
def memory_short(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is not enough memory for the first batch."""
    left = [MemoryError()]

    def fail() -> None:
        if left:
            raise left.pop()

    on_step(patch, fail)
    yield


@scene
def diverges(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The loss is NaN at every step."""
    nan_at(patch, lambda step: True)
    yield


@scene
def stumbles(folder: Path, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """The loss is NaN once."""
    nan_at(patch, lambda step: step == 2)
    yield


def on_step(patch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let something happen before each step of training."""
    from forecast.training.loop import TrainingState

    take = TrainingState.take

    def acting(self: TrainingState, batch: object) -> float:
        act()
        return take(self, batch)  # type: ignore[arg-type]

    patch.setattr(TrainingState, "take", acting)


def nan_at(patch: pytest.MonkeyPatch, wrong: Callable[[int], bool]) -> None:
    """Make the loss NaN at some steps, counted from 1."""
    from forecast.models.shared.model import RecurrentModel

    loss, steps = RecurrentModel.loss, [0]

    def spoiled(self: RecurrentModel, batch: object) -> object:
        steps[0] += self.training
        found = loss(self, batch)  # type: ignore[arg-type]
        return found * float("nan") if self.training and wrong(steps[0]) else found

    patch.setattr(RecurrentModel, "loss", spoiled)
