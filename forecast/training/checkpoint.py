"""Checkpoints of training, from which a stopped fit resumes; the caller hands in the store for them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

INTERVAL = 10.0  # seconds between two checkpoints
WRITING_SHARE = 0.01  # of the time that writing checkpoints may take


@dataclass(frozen=True)
class Checkpoint:
    """A stage of training.

    Attributes
    ----------
    facts : plain values by name: text, numbers, None, lists and dictionaries of them
    arrays : by name
    """

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class CheckpointStore(Protocol):
    """Stores checkpoints by name. It reports its own failures; training continues without."""

    def read(self, name: str) -> Checkpoint | None:
        """Read a checkpoint; None if nothing can be resumed."""

    def write(self, name: str, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in place of the previous one."""


class CheckpointTimer:
    """Decides when the next checkpoint is due."""

    def __init__(self) -> None:
        self._next = time.monotonic() + INTERVAL

    def due(self) -> bool:
        """Whether it is time to write."""
        return time.monotonic() > self._next

    def write(self, store: CheckpointStore, name: str, checkpoint: Callable[[], Checkpoint]) -> None:
        """Write a checkpoint; the longer that takes, the longer until the next one."""
        start = time.monotonic()
        store.write(name, checkpoint())
        end = time.monotonic()
        self._next = end + max(INTERVAL, (end - start) / WRITING_SHARE)


def layout_of(arrays: dict[str, NDArray[Any]]) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Shape and type of each array; checkpoints of one network have the same."""
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}
