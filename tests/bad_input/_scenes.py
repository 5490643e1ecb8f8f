"""The scenes of bad input by name: each changes the folder of a case, or lets something fail."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

Scene = Callable[[Path, pytest.MonkeyPatch], Iterator[None]]
STORE = "forecast-model"
SCENES: dict[str, Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[None]]] = {}


def scene(function: Scene) -> Scene:
    """Register what sets a scene in the folder of a case."""
    SCENES[function.__name__] = contextmanager(function)
    return function
