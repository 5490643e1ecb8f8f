"""Training in bfloat16 beside float32, in turns in one run: windows a second, and the loss on held-out values."""

import time
from dataclasses import dataclass

import numpy as np

from benchmarks.pairs import Pairs
from forecast import Forecaster
from forecast.engine.requests import Callbacks
from forecast.settings import Precision
from forecast.tables.synthetic import synthesize
from forecast.training.context import Progress

LOOKBACK, HORIZON, BATCH, UNITS = 144, 48, 128, 128
MODELS = {"lstm": 1, "lstm, two layers": 2, "gru": 1, "segrnn": 1}  # layers
STEPS, WARM_UP = 24, 4  # of a timed run, and those that do not count
LOSS_STEPS, SEEDS = 300, 3  # of a fit whose loss is compared


@dataclass(frozen=True)
class Compared:
    """What bfloat16 does to one model.

    Attributes
    ----------
    steps : milliseconds of a step in bfloat16 and in float32; medians of runs in turns
    losses : [seeds], loss on held-out values in bfloat16, relative to that in float32
    """

    steps: Pairs
    losses: "np.ndarray[tuple[int], np.dtype[np.float64]]"

    @property
    def windows(self) -> tuple[float, float]:
        """Windows a second in bfloat16 and in float32."""
        return 1000 * BATCH / float(np.median(self.steps.ours)), 1000 * BATCH / float(
            np.median(self.steps.plain)
        )

    @property
    def loss_text(self) -> str:
        """The losses as a sentence: their mean, and the range over seeds."""
        change = 100 * (self.losses - 1)
        return f"{change.mean():+.2f} % ({change.min():+.2f} to {change.max():+.2f}, {len(change)} seeds)"


def compare(name: str, pairs: int) -> Compared:
    """Train a model in both precisions.

    Parameters
    ----------
    name : of `MODELS`
    pairs : timed runs of each
    """
    timed = [
        [_step(name, precision) for precision in ("bfloat16", "float32")] for _ in range(pairs)
    ]
    low, full = np.array(timed).T
    losses = [
        [_loss(name, precision, seed) for precision in ("bfloat16", "float32")]
        for seed in range(SEEDS)
    ]
    return Compared(Pairs(low, full), np.array([a / b for a, b in losses]))


def _step(name: str, precision: Precision) -> float:
    """The median milliseconds of a step."""
    times: list[float] = []

    def on_step(progress: Progress) -> None:
        times.append(time.perf_counter())

    _fit(name, precision, STEPS + WARM_UP, 0, Callbacks(on_step=on_step))
    return 1000 * float(np.median(np.diff(times)[WARM_UP:]))


def _loss(name: str, precision: Precision, seed: int) -> float:
    (loss,) = _fit(name, precision, LOSS_STEPS, seed, Callbacks()).fitted_.config.validation
    return float(loss or np.nan)


def _fit(
    name: str, precision: Precision, steps: int, seed: int, callbacks: Callbacks
) -> Forecaster:
    frame = synthesize("seasonal", series=20, length=1000, seed=0)
    forecaster = Forecaster(
        model=name.partition(",")[0],
        params={"hidden_size": UNITS, "layers": MODELS[name]},
        lookback=LOOKBACK,
        horizon=HORIZON,
        batch_size=BATCH,
        steps=steps,
        members=1,
        baselines=("seasonal-naive",),
        seed=seed,
        precision=precision,
    )
    return forecaster.fit(frame, callbacks=callbacks)
