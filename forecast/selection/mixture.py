"""The mixture that forecasts: shares of networks and baselines by series, and what calibration adds."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.evaluation.calibration import Calibration, calibrate, moved_by, widened
from forecast.evaluation.metrics import seasonal_errors
from forecast.selection.components import (
    NETWORK,
    Baseline,
    actual_of,
    baseline_points,
    baselines_of,
    error_quantiles,
    past_places,
)
from forecast.selection.guard import MetricName, choose, window_losses
from forecast.series.transforms import undo_power
from forecast.training.inputs import Inputs
from forecast.training.members import Places
from forecast.training.plan import Candidate

Numbers = NDArray[np.float64]

CHUNK = 8192  # windows that are mixed at once


@dataclass(frozen=True)
class Mixture:
    """Components and their shares.

    Attributes
    ----------
    components : labels, ``network`` first where there is one
    shares : [series + 1, components]; row 0 is for a series that was not there at fit
    errors : [components, horizon, levels], quantiles of each baseline's errors in units of the window's scale
    calibration : of the mixture
    lookback : steps that the window's scale is taken from
    memory : steps that a baseline looks back
    scores : mean loss of each component on held-out windows, and of what was chosen
    """

    components: tuple[str, ...]
    shares: NDArray[np.float32]
    errors: NDArray[np.float32]
    calibration: Calibration
    lookback: int
    memory: int
    scores: dict[str, float]

    @property
    def used(self) -> NDArray[np.bool_]:
        """[components], whether any series has a share of it."""
        return np.asarray((self.shares > 0).any(0))

    def names(self, numbers: NDArray[np.int64]) -> list[str]:
        """What forecasts series, given by their numbers at fit from 1, 0 for one that was not there."""
        rows, index = np.unique(self.shares[numbers], axis=0, return_inverse=True)
        words = ["+".join(name for name, share in zip(self.components, row, strict=True) if share > 0) for row in rows]
        return [words[i] for i in index.ravel()]

    def quantiles(
        self, inputs: Inputs, places: Places, numbers: NDArray[np.int64], network: Numbers | None, joint: bool = False
    ) -> Numbers:
        """Calibrated quantiles of windows, [windows, horizon, levels], in the unit of the panel's values.

        Parameters
        ----------
        numbers : [windows], of each window's series
        network : [windows, horizon, levels], where a network is among the components
        joint : widen the intervals so that they hold whole paths
        """
        parts = [np.zeros((0, inputs.horizon, len(inputs.levels)))]
        shares = self.shares[numbers].astype(np.float64)
        for start in range(0, len(places[0]), CHUNK):
            rows = slice(start, start + CHUNK)
            some = places[0][rows], places[1][rows]
            scale = window_scale(inputs, some, self.lookback)
            mixed = np.zeros((len(scale), inputs.horizon, len(inputs.levels)))
            for at, label in enumerate(self.components):
                share = shares[rows, at]
                if label == NETWORK and network is not None:
                    mixed += share[:, None, None] * network[rows]
                elif (share > 0).any():
                    points = baseline_points(
                        inputs.panel, some, _named(label, inputs.lags), inputs.horizon, self.memory
                    )
                    spread = scale[:, None, None] * self.errors[at].astype(np.float64)
                    mixed += share[:, None, None] * (points[..., None] + spread)
            moved = moved_by(mixed, scale[:, None, None] * self.calibration.margins.astype(np.float64))
            parts.append(widened(moved, self.calibration.joint) if joint else moved)
        return np.concatenate(parts)


def window_scale(inputs: Inputs, places: Places, lookback: int) -> Numbers:
    """[windows], the deviation of each window's past; 0 for one that never moved."""
    windows = inputs.windows(Candidate(model="", lookback=lookback))
    series, position = (torch.from_numpy(part).to(inputs.device) for part in places)
    _, scale, weight = windows.scales(series, position)
    return np.where(weight.cpu().numpy() > 0, scale[:, 0].cpu().double().numpy(), 0.0)


def choose_mixture(
    inputs: Inputs,
    places: Places,
    network: Numbers | None,
    names: tuple[str, ...],
    *,
    lookback: int,
    memory: int,
    power: float,
    metric: MetricName,
) -> Mixture:
    """Compare the networks with the baselines on held-out windows, choose, and calibrate the choice.

    Parameters
    ----------
    places : the held-out windows
    network : [windows, horizon, levels], what the networks made of them; None where there is none
    names : of the baselines; none if the network is to forecast whatever they do
    power : exponent of the target's transform, undone before errors are measured
    """
    panel, horizon, levels = inputs.panel, inputs.horizon, inputs.levels
    baselines = baselines_of(names, inputs.lags)
    components = (*([NETWORK] if network is not None else []), *(one.label for one in baselines))
    errors = np.zeros((len(components), horizon, len(levels)))
    scale = window_scale(inputs, places, lookback)
    held = [network] if network is not None else []
    everywhere = past_places(panel, inputs.lags[0] if inputs.lags else 1)
    their_actual, their_scale = actual_of(panel, everywhere, horizon), window_scale(inputs, everywhere, lookback)
    season = inputs.lags[0] if inputs.lags else 1
    plain = undo_power(panel.values.astype(np.float64), power).astype(np.float32)
    unit = seasonal_errors(plain, panel.observed, panel.offsets, season)

    def losses(points: Numbers, seen: tuple[Numbers, NDArray[np.bool_]], of: Places) -> Numbers:
        return window_losses(undo_power(points, power), undo_power(seen[0], power), seen[1], unit[of[0]], metric)

    their_points = np.zeros((len(components), len(everywhere[0]), horizon))
    for at, baseline in enumerate(baselines, start=len(held)):
        their_points[at] = baseline_points(panel, everywhere, baseline, horizon, memory)
        errors[at] = error_quantiles(their_points[at], *their_actual, their_scale, levels)
        points = baseline_points(panel, places, baseline, horizon, memory)
        held.append(points[..., None] + scale[:, None, None] * errors[at])
    quantiles = np.stack(held)  # [components, windows, horizon, levels]
    actual, observed = actual_of(panel, places, horizon)
    points = quantiles[..., levels.index(0.5)]

    def loss_of(share: Numbers) -> Numbers:
        return losses(np.tensordot(share, points, 1), (actual, observed), places)

    def past_of(share: Numbers) -> float:
        found = losses(np.tensordot(share, their_points, 1), their_actual, everywhere)
        return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")

    numbers = inputs.numbers[places[0]]
    blocks = np.stack([numbers - 1, (panel.lengths[places[0]] - places[1] - 1) // horizon], 1)
    shares, scores = choose(components, loss_of, blocks, inputs.series, past_of)
    mixed = np.einsum("wc,cwhl->whl", shares[numbers], quantiles)
    calibration = calibrate(mixed, actual, observed, scale, levels, adaptive=len(panel) == 1)
    keep = shares.any(0)
    return Mixture(
        components=tuple(np.array(components)[keep].tolist()),
        shares=shares[:, keep].astype(np.float32),
        errors=errors[keep].astype(np.float32),
        calibration=calibration,
        lookback=lookback,
        memory=memory,
        scores=scores,
    )


def _named(label: str, lags: tuple[int, ...]) -> Baseline:
    for name in (label, label.rpartition("-")[0]):
        for found in baselines_of((name,), lags):
            if found.label == label:
                return found
    raise ValueError(f"no baseline '{label}' for these seasons")
