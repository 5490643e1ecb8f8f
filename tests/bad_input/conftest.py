"""What a case of bad input needs beside files that can be committed: links, pipes, huge files, a held lock, a fault."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.bad_input import _faults, _files, _scenes, _stores

PARTS = (_files, _stores, _faults)  # each registers its scenes


@pytest.fixture(scope="session")
def scenes() -> dict[str, Callable[[Path, pytest.MonkeyPatch], AbstractContextManager[None]]]:
    """What sets each scene, by name."""
    return _scenes.SCENES
