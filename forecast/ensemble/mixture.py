"""The mixture that forecasts: shares of networks and baselines by series, and what calibration adds."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from forecast.baselines import baseline_names
from forecast.ensemble.calibration import Calibration, calibrate, moved_by, widened
from forecast.ensemble.components import (
    Baseline,
    baseline_points,
    baselines_of,
    past_places,
)
from forecast.ensemble.guard import choose
from forecast.ensemble.judge import HeldOut, Judge
from forecast.evaluation.quantiles import error_quantiles
from forecast.panel.inputs import Inputs
from forecast.panel.windows import WindowIndex

Numbers = NDArray[np.float64]

NETWORKS, CHOSEN = "networks together", "chosen"  # names among the scores


@dataclass(frozen=True)
class Mixture:
    """Components and their shares.

    Attributes
    ----------
    components : labels, those of the networks first
    networks : the plan's groups of members that the first components are, by number
    shares : [series + 1, components]; row 0 is for a series that was not there at fit
    errors : [components, horizon, levels], quantiles of each baseline's errors in units of the window's scale
    calibration : of the mixture
    lookback : steps that the window's scale is taken from
    memory : steps that a baseline looks back
    scores : mean loss of each component on held-out windows, and of what was chosen
    held_out : what the mixture made of them; after a fit only, no version holds it
    """

    components: tuple[str, ...]
    networks: tuple[int, ...]
    shares: NDArray[np.float32]
    errors: NDArray[np.float32]
    calibration: Calibration
    lookback: int
    memory: int
    scores: dict[str, float]
    held_out: HeldOut | None = None

    def names(self, numbers: NDArray[np.int64]) -> list[str]:
        """What forecasts series, given by their numbers at fit from 1, 0 for one that was not there."""
        rows, index = np.unique(self.shares[numbers], axis=0, return_inverse=True)
        words = ["+".join(name for name, share in zip(self.components, row, strict=True) if share > 0) for row in rows]
        return [words[i] for i in index.ravel()]

    def quantiles(
        self,
        inputs: Inputs,
        places: WindowIndex,
        numbers: NDArray[np.int64],
        networks: list[Numbers],
        joint: bool = False,
    ) -> Numbers:
        """Calibrated quantiles of windows, [windows, horizon, levels], in the unit of the panel's values.

        Parameters
        ----------
        numbers : [windows], of each window's series
        networks : [windows, horizon, levels] of each network among the components
        joint : widen the intervals so that they hold whole paths
        """
        shares = self.shares[numbers].astype(np.float64)
        scale = window_scale(inputs, places, self.lookback)[:, None, None]
        mixed = np.zeros((len(scale), inputs.horizon, len(inputs.levels)))
        for at, label in enumerate(self.components):
            share = shares[:, at, None, None]
            if at < len(networks):
                mixed += share * networks[at]
            elif (share > 0).any():
                baseline = baseline_labelled(label, inputs.lags)
                points = baseline_points(inputs.panel, places, baseline, inputs.horizon, self.memory)
                mixed += share * (points[..., None] + scale * self.errors[at].astype(np.float64))
        moved = moved_by(mixed, self.calibration.margins.astype(np.float64), scale[:, 0, 0])
        return widened(moved, self.calibration.joint) if joint else moved


def base_name(label: str) -> str:
    """The name of the baseline that a component's label belongs to: seasonal-naive for seasonal-naive-24."""
    return label if label in baseline_names() else label.rpartition("-")[0]


def baseline_labelled(label: str, lags: tuple[int, ...]) -> Baseline:
    """The baseline that has this label where the data have these seasons.

    Raises
    ------
    ValueError
        If there is none.
    """
    name = base_name(label)
    for found in baselines_of((name,), lags) if name in baseline_names() else ():
        if found.label == label:
            return found
    raise ValueError(f"no baseline '{label[:80]}' for these seasons")


def window_scale(inputs: Inputs, places: WindowIndex, lookback: int) -> Numbers:
    """[windows], the deviation of each window's past; 0 for one that never moved."""
    _, scale, weight = inputs.windows(lookback).scales(*places)
    return np.where(weight > 0, scale[:, 0], 0.0)


@dataclass(frozen=True)
class Rivals:
    """What baselines make of the held-out windows, and of windows all over the past.

    Attributes
    ----------
    baselines : with their seasons
    points : [baselines, windows, horizon], of the held-out windows
    everywhere : the judge of the windows all over the past
    their_points : [baselines, windows, horizon], of those
    errors : [baselines, horizon, levels], quantiles of their errors, in units of a window's scale
    """

    baselines: list[Baseline]
    points: Numbers
    everywhere: Judge
    their_points: Numbers
    errors: Numbers

    @classmethod
    def of(cls, inputs: Inputs, judge: Judge, names: tuple[str, ...], *, lookback: int, memory: int) -> Self:
        """Let the baselines called `names` forecast; `judge` is that of the held-out windows."""
        panel, horizon, baselines = inputs.panel, inputs.horizon, baselines_of(names, inputs.lags)
        past = past_places(panel, inputs.lags[0] if inputs.lags else 1)
        everywhere = Judge.of(inputs, past, judge.power, judge.metric)
        scale = window_scale(inputs, past, lookback)

        def forecast(places: WindowIndex) -> Numbers:
            made = [baseline_points(panel, places, one, horizon, memory) for one in baselines]
            return np.stack(made) if made else np.zeros((0, len(places[0]), horizon))

        theirs = forecast(past)
        errors = np.zeros((len(baselines), horizon, len(inputs.levels)))
        for own, points in zip(errors, theirs, strict=True):
            own[:] = error_quantiles(points, everywhere.actual, everywhere.observed, scale, inputs.levels)
        return cls(baselines, forecast(judge.places), everywhere, theirs, errors)

    def suffice(self, judge: Judge) -> bool:
        """Whether networks cannot help: a baseline is exact on the held-out windows, or no window could show it.

        Parameters
        ----------
        judge : of the held-out windows
        """
        if not self.baselines:
            return False
        comparable = any(np.isfinite(judge.losses(points)).any() for points in self.points)
        return not comparable or any(judge.exact(points) for points in self.points)


@dataclass(frozen=True)
class Group:
    """Networks that differ in their seed only.

    Attributes
    ----------
    model : its name
    members : networks
    quantiles : their median on the held-out windows, [windows, horizon, levels]
    """

    model: str
    members: int
    quantiles: Numbers


def choose_mixture(
    inputs: Inputs,
    judge: Judge,
    networks: list[Group],
    rivals: Rivals,
    *,
    lookback: int,
    memory: int,
) -> Mixture:
    """Compare the networks with the baselines on held-out windows, choose, and calibrate the choice.

    Parameters
    ----------
    judge : of the held-out windows
    networks : what was trained
    rivals : the baselines; none if the networks are to forecast whatever they do
    """
    levels, places, count = inputs.levels, judge.places, len(networks)
    scale = window_scale(inputs, places, lookback)
    spread = scale[:, None, None] * rivals.errors[:, None]  # [baselines, windows, horizon, levels]
    quantiles = np.concatenate([*(group.quantiles[None] for group in networks), rivals.points[..., None] + spread])
    medians = quantiles[..., levels.index(0.5)]
    numbers = inputs.series_index[places[0]]
    shares, scores = choose(
        [group.members for group in networks],
        len(rivals.baselines),
        lambda share: judge.losses(np.tensordot(share, medians, 1)),
        np.stack([numbers - 1, _horizons_of_time(places, inputs.horizon)], 1),
        inputs.series,
        lambda share: rivals.everywhere.mean(np.tensordot(share[count:], rivals.their_points, 1)),
    )
    mixed = np.einsum("wc,cwhl->whl", shares[numbers], quantiles)
    labels = [*(group.model for group in networks), *(one.label for one in rivals.baselines)]
    keep: NDArray[np.bool_] = np.asarray(shares.any(0))
    errors = np.concatenate([np.zeros((count, *rivals.errors.shape[1:])), rivals.errors])
    return Mixture(
        components=tuple(np.array(labels)[keep].tolist()),
        networks=tuple(np.flatnonzero(keep[:count]).tolist()),
        shares=shares[:, keep].astype(np.float32),
        errors=errors[keep].astype(np.float32),
        calibration=calibrate(mixed, judge.actual, judge.observed, scale, levels, adaptive=len(inputs.panel) == 1),
        lookback=lookback,
        memory=memory,
        scores=_scores(count, labels, scores),
        held_out=HeldOut.of(judge, inputs, mixed[..., levels.index(0.5)]) if len(places[0]) else None,
    )


def _horizons_of_time(places: WindowIndex, horizon: int) -> NDArray[np.int64]:
    """[windows], windows of a series that lie within one horizon share a number; each number has as many windows."""
    series, position = places
    if not len(series):
        return position
    starts = np.flatnonzero(np.diff(series, prepend=-1))  # places are in the order of the series, then of time
    counts = np.diff(starts, append=len(series))
    oldest, newest = position[starts], position[starts + counts - 1]
    parts = 1 + np.repeat((newest - oldest) // horizon, counts)
    share = (position - np.repeat(oldest, counts)) / np.repeat(newest - oldest + 1, counts)
    return np.asarray((share * parts).astype(np.int64) - parts)  # counted from the newest, -1, backwards


def _scores(count: int, labels: list[str], scores: Numbers) -> dict[str, float]:
    """The mean losses by name; several groups of networks come one by one and together."""
    if not np.isfinite(scores).all():
        return {}
    own = [f"{label} {at}" if count > 1 else label for at, label in enumerate(labels[:count], start=1)]
    named = dict(zip([*own, *labels[count:]], scores.tolist(), strict=False))
    together = {NETWORKS: float(scores[-2])} if count > 1 else {}
    return {**named, **together, CHOSEN: float(scores[-1])}
