"""What training keeps so that it can go on where it was stopped; where that is kept is not its business."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EVERY = 10.0  # seconds between two states that are written while training goes on
SHARE = 0.01  # of the time that writing them may take


@dataclass(frozen=True)
class State:
    """Something on its way.

    Attributes
    ----------
    facts : plain values by name: text, numbers, None, lists and dictionaries of them
    arrays : by name
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class Keeper(Protocol):
    """Keeps states by name. What cannot be read or written it says itself; training goes on without."""

    def read(self, name: str) -> State | None:
        """The state that was kept, None where there is none to go on from."""

    def write(self, name: str, state: State) -> None:
        """Keep a state in place of the one before it."""


class Watch:
    """Says when the next state is due."""

    def __init__(self) -> None:
        self._due = time.monotonic() + EVERY

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() > self._due

    def write(self, keep: Keeper, name: str, state: Callable[[], State]) -> None:
        """Write a state; the longer it takes, the longer until the next one."""
        start = time.monotonic()
        keep.write(name, state())
        end = time.monotonic()
        self._due = end + max(EVERY, (end - start) / SHARE)


def to_arrays(prefix: str, tensors: dict[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Tensors by name as arrays, the prefix before each name."""
    return {f"{prefix}/{name}": one.detach().cpu().numpy() for name, one in tensors.items()}


def from_arrays(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Tensor]:
    """What `to_arrays` took, in memory of torch's own."""
    start = f"{prefix}/"
    own = {name.removeprefix(start): one for name, one in arrays.items() if name.startswith(start)}
    return {name: torch.from_numpy(one).clone() for name, one in own.items()}


def form(arrays: dict[str, NDArray[Any]]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Names, shapes and types: states of one network are alike in them."""
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Where torch's global generators stand, from which dropout draws."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        found["device"] = torch.mps.get_rng_state()
    return found


def set_random_states(device: torch.device, states: dict[str, Tensor]) -> None:
    """Put torch's global generators where `random_states` found them."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["device"])
