"""Stop a fit at a step of its training, as a signal does."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from forecast.training.loop import TrainingState


@contextmanager
def stopped_at(step: int) -> Iterator[None]:
    """Every fit in the block gets SIGTERM once it has taken so many steps."""
    real = TrainingState.take

    def stopped(self: TrainingState, batch: object) -> float:
        if self.done == step:
            signal.raise_signal(signal.SIGTERM)
        return real(self, batch)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "take", stopped)
        yield
