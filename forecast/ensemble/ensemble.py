"""The ensemble that forecasts: weights of networks and baselines by series, and their calibration."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forecast.ensemble.baseline_forecasts import (
    BaselineForecasts,
    baseline_forecasts,
    baseline_labelled,
    steps_back,
)
from forecast.ensemble.names import PRETRAINED
from forecast.ensemble.validation import ValidationForecasts, ValidationSet, window_scale
from forecast.ensemble.weights import Losses, choose_weights, cross_fitted_weights, newer_half
from forecast.intervals import calibration as calibrating
from forecast.intervals.baseline_errors import independent_windows
from forecast.intervals.calibration import Calibration, at_least, data_weight
from forecast.intervals.own_past import (
    STEPS,
    Pasts,
    Recent,
    error_unit,
    has_few_values,
    largest,
    roughness,
    step_sizes,
)
from forecast.panel.panel import Integers, Numbers
from forecast.pretrained.forecasting import Network, network_for
from forecast.windows.inputs import Inputs, apply_power, undo_power
from forecast.windows.windows import WindowIndex

NETWORKS, CHOSEN = "networks together", "chosen"  # names among the scores
Networks = list[
    tuple[str, Numbers]
]  # the model of networks that differ in their seed only, and their median forecasts


@dataclass(frozen=True)
class Ensemble:
    components: tuple[str, ...]  # labels, those of the networks first
    networks: tuple[int, ...]  # the first components as numbers of the plan's groups of members
    weights: NDArray[
        np.float32
    ]  # [series + 1, components]; row 0 is for a series that was not in the fit
    # [components, horizon, levels], quantiles of each baseline's errors in units of `error_unit`; for what forecasts
    # quantiles itself, the distances that they have from their median at least
    errors: NDArray[np.float32]
    step_shares: NDArray[np.float32]  # [components], see `step_share`; 0 in older versions
    calibration: Calibration
    lookback: int  # steps that the window's scale is computed from
    context_length: int  # steps that a baseline looks back
    scores: dict[
        str, float
    ]  # mean loss of each candidate on validation windows, and of the choice by other windows
    network: Network | None = None  # the pretrained one, where it is a component
    validation: ValidationForecasts | None = (
        None  # forecasts of those windows; after a fit only, no version holds them
    )
    memory: dict[str, Numbers] | None = (
        None  # what baselines forecast, by what they saw; None: nothing is remembered
    )

    @property
    def steps_back(self) -> int:
        """Steps of the past that the baselines among the components see, and recent means where they count."""
        steps = steps_back(self.components[len(self.networks) :], self.context_length)
        return steps if self.calibration.mean_weight == 1 else max(steps, STEPS)

    def names(self, series_index: Integers) -> list[str]:
        """The components that forecast series, given by their numbers from 1; 0 is a series that was not in the fit."""
        rows, index = np.unique(self.weights[series_index], axis=0, return_inverse=True)
        words = [
            "+".join(name for name, part in zip(self.components, row, strict=True) if part > 0)
            for row in rows
        ]
        return [words[i] for i in index.ravel()]

    def quantiles(
        self, inputs: Inputs, windows: WindowIndex, series_index: Integers, networks: list[Numbers]
    ) -> Numbers:
        """Calibrated quantiles of windows, [windows, horizon, levels], in the unit of the panel's values.

        `series_index` is as `names` takes it, `networks` the quantiles of each network among the components.
        """
        weights = self.weights[series_index].astype(np.float64)
        scale = window_scale(inputs, windows, self.lookback)
        sizes = (
            step_sizes(inputs, windows, self.context_length)
            if self.step_shares.any()
            else np.ones((1, 1))
        )
        mixed = np.zeros((len(scale), inputs.horizon, len(inputs.levels)))
        for number in range(len(self.components)):
            weight = weights[:, number, None, None]
            if (weight > 0).any():
                unit = error_unit(scale, sizes, float(self.step_shares[number]))
                errors = unit[..., None] * self.errors[number].astype(np.float64)
                known = number < len(networks)
                ahead = (
                    networks[number]
                    if known
                    else self._ahead(inputs, windows, self.components[number])
                )
                mixed += weight * (
                    at_least(ahead, errors)
                    if ahead.ndim == errors.ndim
                    else ahead[..., None] + errors
                )
        moved = self.calibration.moved(
            mixed, scale, roughness(inputs, windows, scale, self.lookback), series_index
        )
        few = (scale == 0) & has_few_values(inputs, windows)
        moved[few] = self.calibration.of_few_values(moved[few])
        return calibrating.capped(
            moved, _limit(inputs, windows, self.steps_back, self.calibration.largest)
        )

    def _ahead(self, inputs: Inputs, windows: WindowIndex, label: str) -> Numbers:
        """As `baseline_forecasts`, or what is remembered: columns are nothing to most baselines."""
        baseline = baseline_labelled(label, inputs.lags)
        if self.memory is None:
            return baseline_forecasts(inputs, windows, baseline, self.context_length, self.network)
        panel, known = inputs.panel, list[NDArray[Any]]()
        if baseline.method.forecast_series is not None:
            known = [panel.known, *([] if panel.vintages is None else [panel.vintages.value])]
        seen = (
            *known,
            panel.values,
            panel.observed,
            panel.offsets,
            *windows,
            inputs.closed,
            inputs.bound,
        )
        arrays = (array.tobytes() for array in seen if array is not None)
        key = hashlib.sha256(label.encode() + b"".join(arrays)).hexdigest()
        if key not in self.memory:
            self.memory[key] = replace(self, memory=None)._ahead(inputs, windows, label)
        return self.memory[key]


@dataclass(frozen=True)
class _Candidates:
    labels: list[str]
    networks: int
    quantiles: Numbers  # [candidates, windows, horizon, levels]
    medians: Numbers  # [candidates, windows, horizon]
    errors: Numbers  # [candidates, horizon, levels], as `Ensemble.errors`
    step_shares: Numbers  # [candidates], as `Ensemble.step_shares`
    losses: Losses  # on the validation windows
    past: Losses  # of the baselines all over the past

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        validation: ValidationSet,
        networks: Networks,
        baselines: BaselineForecasts,
    ) -> Self:
        count = len(networks)
        # in the older half of a short series baselines know much less of it than they do now
        past = _losses(inputs, baselines.past, baselines.past_points)
        past = past.select(newer_half(past.series)).completed()
        share = 1 - data_weight(independent_windows(validation.windows, inputs.horizon))
        min_distances, step_share = _min_distances(inputs, baselines, past, share)
        errors = np.concatenate(
            [np.broadcast_to(min_distances, (count, *min_distances.shape)), baselines.errors]
        )
        errors[count:][baselines.gives_quantiles] = min_distances
        step_shares = np.append(np.zeros(count), baselines.step_shares)
        quantiles = np.concatenate(
            [*(forecasts[None] for _, forecasts in networks), baselines.quantiles]
        )
        with_quantiles = np.flatnonzero([True] * count + list(baselines.gives_quantiles))
        step_shares[with_quantiles] = step_share
        unit = error_unit(validation.scale, validation.sizes, step_share)
        quantiles[with_quantiles] = at_least(
            quantiles[with_quantiles], min_distances * unit[..., None]
        )
        medians = quantiles[..., inputs.levels.index(0.5)]
        losses = _losses(inputs, validation, medians).completed()
        labels = [
            *(model for model, _ in networks),
            *(baseline.label for baseline in baselines.baselines),
        ]
        return cls(labels, count, quantiles, medians, errors, step_shares, losses, past)

    def held_out(self, series: int, series_index: Integers) -> Numbers:
        """Quantiles of each validation window with weights from others, [windows, horizon, levels]."""
        quantiles = np.zeros(self.quantiles.shape[1:])
        for part, weights in cross_fitted_weights(self.losses, self.past, self.networks, series):
            quantiles[part] = _mixed(weights[series_index[part]], self.quantiles[:, part])
        return quantiles

    def named(self, weights: Numbers) -> dict[str, Numbers]:
        """Point forecasts of each candidate, and of several groups of networks together as well."""
        count = self.networks
        networks = [
            f"{label} {number}" if count > 1 else label
            for number, label in enumerate(self.labels[:count], 1)
        ]
        named = dict(zip([*networks, *self.labels[count:]], self.medians, strict=True))
        if count > 1:
            parts = weights[:count] if weights[:count].any() else np.ones(count)
            named[NETWORKS] = np.tensordot(parts / parts.sum(), self.medians[:count], 1)
        return named


def choose_ensemble(
    inputs: Inputs, validation: ValidationSet, networks: Networks, baselines: BaselineForecasts
) -> Ensemble:
    """Weigh networks and baselines by their losses, and calibrate on windows that did not choose.

    Forecasts of `networks` are those of the validation windows, [windows, horizon, levels].
    """
    candidates = _Candidates.of(inputs, validation, networks, baselines)
    labels, count = candidates.labels, len(networks)
    if (sole := baselines.sole_baseline(validation)) is not None:
        weights = np.tile(np.eye(len(labels))[count + sole], (inputs.series + 1, 1))
    else:
        weights = choose_weights(candidates.losses, candidates.past, count, inputs.series)
    held_out = candidates.held_out(inputs.series, inputs.series_index[validation.windows[0]])
    points = held_out[..., inputs.levels.index(0.5)]
    named = {**candidates.named(weights[0]), CHOSEN: points}
    scores = _scores(_losses(inputs, validation, np.stack(list(named.values()))), list(named))
    scored = [number for number in range(count, len(labels)) if labels[number] in scores]
    best_baseline = (
        candidates.medians[min(scored, key=lambda number: scores[labels[number]])]
        if scored
        else None
    )
    used = np.asarray(weights.any(0))
    components = [label for label, is_used in zip(labels, used, strict=True) if is_used]
    used_networks = np.flatnonzero(used[:count])
    steps = steps_back(components[len(used_networks) :], baselines.context)
    return Ensemble(
        components=tuple(components),
        networks=tuple(used_networks.tolist()),
        weights=weights[:, used].astype(np.float32),
        errors=candidates.errors[used].astype(np.float32),
        step_shares=candidates.step_shares[used].astype(np.float32),
        calibration=_calibrated(inputs, held_out, validation, steps),
        lookback=validation.lookback,
        context_length=baselines.context,
        scores=scores,
        network=network_for(inputs.lags) if PRETRAINED in components else None,
        validation=ValidationForecasts.of(validation, inputs, points, best_baseline),
    )


def _mixed(weights: Numbers, forecasts: Numbers) -> Numbers:
    """The mean of forecasts [candidates, windows, ...] by weights [windows, candidates]; NaN where one is missing."""
    missing = np.isnan(forecasts).any(tuple(range(2, forecasts.ndim))).T  # [windows, candidates]
    mixed = np.einsum(
        "wc,cw...->w...", weights, np.nan_to_num(forecasts) if missing.any() else forecasts
    )
    mixed[(missing & (weights > 0)).any(1)] = np.nan
    return np.asarray(mixed)


def _calibrated(
    inputs: Inputs, quantiles: Numbers, validation: ValidationSet, steps: int
) -> Calibration:
    """Calibrate on the validation windows that have quantiles, [windows, horizon, levels]."""
    rows = ~np.isnan(quantiles).any((1, 2))
    windows = validation.windows[0][rows], validation.windows[1][rows]
    actual, observed, scale = (
        validation.actual[rows],
        validation.observed[rows],
        validation.scale[rows],
    )
    recent = Recent.of(inputs.panel, windows)
    steps = max(steps, STEPS) if recent.at_rest.any() else steps
    most = _largest(inputs, windows, steps)[:, None]
    values = undo_power(actual, inputs.power)
    ratios = (values / np.where(most > 0, most, np.inf))[
        observed & (scale > 0)[:, None]
    ]  # 0 where nothing is bounded
    cap_factor = calibrating.PRIORS.cap_factor
    if len(ratios):
        cap_factor = float(
            np.float32(max(cap_factor, calibrating.score_at(ratios, inputs.levels[-1])))
        )
    rough = roughness(inputs, windows, scale, validation.lookback)
    series, limit = inputs.series_index[windows[0]], _limit(inputs, windows, steps, cap_factor)
    span = (series << 32) + _horizon_blocks(inputs, windows)
    known = Pasts(series, span, inputs.series, rough, recent, limit)
    size = independent_windows(windows, inputs.horizon)
    found = calibrating.calibrate(
        quantiles[rows], actual, observed, scale, inputs.levels, size, known
    )
    return replace(found, largest=cap_factor)


def _largest(inputs: Inputs, windows: WindowIndex, steps: int) -> Numbers:
    """The largest value of each past, [windows], in the target's unit; infinite where a series falls below 0."""
    found = undo_power(largest(inputs.panel, windows, steps), inputs.power)
    bounded = (inputs.panel.lowest_seen()[windows[0]] >= 0) | (inputs.power == 0)
    return np.where(bounded & np.isfinite(found), found, np.inf)


def _limit(inputs: Inputs, windows: WindowIndex, steps: int, cap_factor: float) -> Numbers:
    """The bound of the highest quantiles of windows, [windows], in the unit of the panel's values."""
    if np.isinf(cap_factor):
        return np.full(len(windows[0]), np.inf)
    limit = cap_factor * _largest(inputs, windows, steps)
    return apply_power(limit, np.isfinite(limit), inputs.power) + np.where(
        np.isfinite(limit), 0.0, np.inf
    )


def _min_distances(
    inputs: Inputs, baselines: BaselineForecasts, past: Losses, share: float
) -> tuple[Numbers, float]:
    """The least distances of networks' quantiles from the median, [horizon, levels]: a share of a baseline's errors.

    Also its `step_share`.
    """
    losses = past.select(past.usable)
    if not losses.values.size:
        return np.zeros((inputs.horizon, len(inputs.levels))), 0.0
    means, measured = losses.values.mean(1), baselines.errors.any((1, 2))
    best = np.where(measured & np.isfinite(means), means, np.inf).argmin()
    return np.asarray(share * baselines.errors[best]), float(baselines.step_shares[best])


def _losses(inputs: Inputs, validation: ValidationSet, points: Numbers) -> Losses:
    """What point forecasts [candidates, windows, horizon] lost."""
    windows, values = validation.windows, np.zeros(points.shape[:2])
    for number, candidate in enumerate(points):
        values[number] = validation.losses(candidate)
    return Losses(values, inputs.series_index[windows[0]] - 1, _horizon_blocks(inputs, windows))


def _horizon_blocks(inputs: Inputs, windows: WindowIndex) -> Integers:
    """[windows], one number for the windows within one horizon of time, or without dates of time in their series."""
    series, position = windows
    if not len(series):
        return position
    dated = inputs.schema.layout != "rows"
    time = inputs.panel.starts[series] + position if dated else position
    # windows are in the order of the series, then of time
    starts = np.flatnonzero(np.diff(series, prepend=-1))
    oldest, newest = time[starts], time[np.append(starts[1:], len(series)) - 1]
    if dated:
        oldest, newest = np.full_like(oldest, oldest.min()), np.full_like(newest, newest.max())
    counts = np.diff(starts, append=len(series))
    parts = 1 + np.repeat((newest - oldest) // inputs.horizon, counts)
    share = (time - np.repeat(oldest, counts)) / np.repeat(newest - oldest + 1, counts)
    return np.asarray(
        parts - 1 - (share * parts).astype(np.int64)
    )  # counted backwards from the newest, 0


def _scores(losses: Losses, names: list[str]) -> dict[str, float]:
    """The mean loss of each forecast on the windows where all have one, or what it would be, by name."""
    completed = losses.completed()
    if not completed.usable.any():
        return {}
    means = dict(zip(names, completed.values[:, completed.usable].mean(1).tolist(), strict=True))
    return {name: mean for name, mean in means.items() if np.isfinite(mean)}
