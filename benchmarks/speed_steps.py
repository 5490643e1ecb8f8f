"""Training steps of this project beside those of a plain torch loop over the same LSTM, in turns in one run."""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.pairs import Pairs
from forecast import Forecaster
from forecast.engine.requests import Callbacks
from forecast.tables.synthetic import synthesize
from forecast.training.plan import Progress

LOOKBACK, HORIZON, BATCH, HIDDEN, LAYERS = 144, 48, 128, 128, 2
WARM_UP = 5  # pairs that do not count


def measure_pairs(pairs: int) -> Pairs:
    """Milliseconds of steps of an LSTM in `Forecaster.fit`, and after each of one step of a plain loop.

    Ours draws, scales and weights its windows in its time; the plain loop is given one ready batch for ever. The
    LSTM has the same layers, sizes and input width, and both clip and use AdamW, under the same threads. A validation
    between two of our steps would fall into one pair, which the median does not see.
    """
    frame = synthesize("seasonal", series=20, length=1000, seed=0)
    step = _plain_step(_fit(frame, 1, None).predictor_.backend.groups[0][0])
    ours: list[float] = []
    plain: list[float] = []
    last: float | None = None

    def on_step(progress: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        if last is not None:
            ours.append(now - last)
            step()
            plain.append(time.perf_counter() - now)
        last = time.perf_counter()

    _fit(frame, pairs + WARM_UP + 1, on_step)
    return Pairs(1000 * np.array(ours[WARM_UP:]), 1000 * np.array(plain[WARM_UP:]))


def _fit(frame: pd.DataFrame, steps: int, on_step: Callable[[Progress], None] | None) -> Forecaster:
    forecaster = Forecaster(
        model="lstm",
        params={"hidden_size": HIDDEN, "layers": LAYERS},
        lookback=LOOKBACK,
        horizon=HORIZON,
        batch_size=BATCH,
        steps=steps,
        members=1,
        guard=False,
        patience=steps,
    )
    return forecaster.fit(frame, callbacks=Callbacks(on_step=on_step))


class _Plain(nn.Module):
    """An LSTM and a linear head on its last state."""

    def __init__(self, recurrent: nn.LSTM, outputs: int) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(
            recurrent.input_size, recurrent.hidden_size, recurrent.num_layers, batch_first=True
        )
        self.head = nn.Linear(recurrent.hidden_size, outputs)

    def forward(self, past: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.head(self.recurrent(past)[0][:, -1]))


def _plain_step(network: nn.Module) -> Callable[[], None]:
    recurrent = next(part for part in network.modules() if isinstance(part, nn.LSTM))
    plain = _Plain(recurrent, HORIZON)
    past, target = torch.randn(BATCH, LOOKBACK, recurrent.input_size), torch.randn(BATCH, HORIZON)
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-3, foreach=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = (plain(past) - target).abs().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        optimizer.step()

    return step
