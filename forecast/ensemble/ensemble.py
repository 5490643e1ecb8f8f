"""The ensemble that forecasts: weights of networks and baselines by series, and a calibration.

Weights come from losses on validation windows and in the past (`ensemble/weights.py`, after
Grünwald 2012). Quantiles of the components are averaged level by level, and then calibrated by
conformalised quantile regression (`intervals/calibration.py`, after Romano et al. 2019).
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.specs import NOT_SAVED, Spec
from forecast.ensemble.baseline_forecasts import (
    BaselineForecasts,
    baseline_forecasts,
    find_baseline,
    steps_back,
)
from forecast.ensemble.names import PRETRAINED
from forecast.ensemble.validation import ValidationForecasts, ValidationSet, window_scale
from forecast.ensemble.weights import (
    Losses,
    choose_weights,
    cross_fitted_weights,
    mixture,
    newer_half,
    prior_factors,
)
from forecast.intervals import calibration as calibrating
from forecast.intervals.baseline_errors import independent_windows
from forecast.intervals.calibration import Calibration, at_least, data_weight
from forecast.intervals.own_past import (
    MEAN_STEPS,
    Pasts,
    Recent,
    error_unit,
    has_few_values,
    largest,
    roughness,
    step_sizes,
)
from forecast.metrics.quantiles import divide
from forecast.panel.panel import Integers, Numbers
from forecast.pretrained.forecasting import Network, network_for
from forecast.windows.inputs import Inputs, apply_power, undo_power
from forecast.windows.windows import WindowIndex

# names in `Ensemble.scores`
NETWORKS = "networks together"
CHOSEN = "chosen"
Networks = list[tuple[str, Numbers]]
"""The model of networks that differ in their seed only, and their median forecasts."""


@dataclass(frozen=True)
class Ensemble:
    """Candidates with a weight above 0 (the components), their weights, and the calibration."""

    components: Annotated[
        tuple[str, ...], Spec("components")
    ]  # labels, those of the networks first
    # the first components are networks: the number of each in `Plan.groups`
    networks: tuple[int, ...]
    # the last row is for a series that was not in the fit
    weights: Annotated[NDArray[np.float32], Spec("series+1 components", low=0)]
    # in units of `error_unit`: the quantiles of the errors of a
    # component that forecasts points; for one that forecasts quantiles itself, the least distances
    # of these from their median
    errors: Annotated[NDArray[np.float32], Spec("components horizon levels")]
    # 0 to 1: how much the errors of a component grow at steps of the season where
    # values change much (see `step_share`)
    step_shares: Annotated[NDArray[np.float32], Spec("components", 0, 1)]
    calibration: Calibration
    # steps that a window's scale is computed from, and the least that a network sees
    lookback: Annotated[int, Spec("", 1, 100_000)]
    context_length: Annotated[int, Spec("", 1, 100_000)]  # steps that a baseline looks back
    # mean loss on validation windows, by name: of each candidate, and of the ensemble (CHOSEN),
    # whose weights then come from other windows
    scores: dict[str, float]
    # the pretrained one, where it is a component
    network: Annotated[Network | None, NOT_SAVED] = None
    # the ensemble's forecasts of the validation windows; present after a fit only, as stored
    # versions do not keep them
    validation: Annotated[ValidationForecasts | None, NOT_SAVED] = None
    # by the names of `scores`: [windows], the losses that these are the means of; after a fit only
    window_losses: Annotated[dict[str, Numbers], NOT_SAVED] = field(default_factory=dict)

    @property
    def steps_back(self) -> int:
        """How many steps of the past the components' baselines read.

        Where recent means count (a `mean_weight` below 1), it covers the steps that these need.
        """
        steps = steps_back(self.components[len(self.networks) :], self.context_length)
        whole = self.calibration.mean_weight == 1 and not self.calibration.rests
        if whole:
            return steps
        return max(steps, MEAN_STEPS)

    def names(self, series_index: Integers) -> list[str]:
        """The components that forecast each series, joined by +, such as segrnn+seasonal-naive.

        `series_index` is -1 for a series that was not in the fit.
        """
        used = self.weights[series_index] > 0
        rows, index = np.unique(used, axis=0, return_inverse=True)
        components = np.array(self.components, object)
        names = ["+".join(components[row]) for row in rows]
        return [names[number] for number in index.ravel()]

    def quantiles(
        self, inputs: Inputs, windows: WindowIndex, series_index: Integers, networks: list[Numbers]
    ) -> Numbers:
        """Calibrated quantiles, [windows, horizon, levels], in the unit of the panel's values.

        `series_index` is -1 for a new series. `networks` holds the quantiles of each network
        among the components, in their order.
        """
        weights = self.weights[series_index].astype(np.float64)
        scale = window_scale(inputs, windows, self.lookback)
        sizes = np.ones((1, 1))
        if self.step_shares.any() or self.calibration.step_share:
            sizes = step_sizes(inputs, windows, self.context_length)
        size = len(self.components), len(scale), inputs.horizon, len(inputs.levels)
        forecasts = np.zeros(size)
        for number, label in enumerate(self.components):
            if not weights[:, number].any():
                continue
            is_network = number < len(networks)
            ahead = networks[number] if is_network else self._ahead(inputs, windows, label)
            unit = error_unit(scale, sizes, float(self.step_shares[number]))
            errors = unit[..., None] * self.errors[number].astype(np.float64)
            is_points = ahead.ndim < errors.ndim
            ahead = ahead[..., None] + errors if is_points else at_least(ahead, errors)
            forecasts[number] = ahead
        mixed = mixture(weights, forecasts)

        rough = roughness(inputs, windows, scale, self.lookback)
        moved = self.calibration.adjust(mixed, scale, rough, sizes, series_index)
        few = (scale == 0) & has_few_values(inputs, windows)
        moved[few] = self.calibration.of_few_values(moved[few])
        points = mixed[..., inputs.levels.index(0.5)]
        limit = _limit(inputs, windows, points, self.steps_back, self.calibration.largest)
        moved = calibrating.cap(moved, limit)
        if self.calibration.rests:
            moved = Recent.measure(inputs.panel, windows).adjust_to_rest(moved)
        return moved

    def _ahead(self, inputs: Inputs, windows: WindowIndex, label: str) -> Numbers:
        """The forecasts of the baseline with this label, as `baseline_forecasts` gives them."""
        baseline = find_baseline(label, inputs.lags)
        return baseline_forecasts(inputs, windows, baseline, self.context_length, self.network)


@dataclass(frozen=True)
class _Candidates:
    """All networks and baselines that were compared, with their forecasts of validation windows."""

    labels: list[str]  # networks first, then baselines
    networks: int  # how many of the candidates are networks
    quantiles: Numbers  # [candidates, windows, horizon, levels]
    errors: Numbers  # [candidates, horizon, levels], as `Ensemble.errors`
    step_shares: Numbers  # [candidates], as `Ensemble.step_shares`
    losses: Losses  # on the validation windows
    past: Losses  # of the baselines, in windows spread over the newer half of the past

    @classmethod
    def compute(
        cls,
        inputs: Inputs,
        validation: ValidationSet,
        networks: Networks,
        baselines: BaselineForecasts,
    ) -> Self:
        count = len(networks)
        # in the older half of a short series, baselines had far fewer values to read than now
        past = _losses(inputs, baselines.past, baselines.past_points[..., None])
        past = past.select(newer_half(past.series)).impute()

        own_quantiles = np.concatenate([np.ones(count, bool), baselines.gives_quantiles])
        by_network = [forecasts[None] for _, forecasts in networks]
        quantiles = np.concatenate([*by_network, baselines.quantiles])
        none = np.zeros((count, *baselines.errors.shape[1:]))
        errors = np.concatenate([none, baselines.errors])
        step_shares = np.append(np.zeros(count), baselines.step_shares)

        # quantiles of a candidate that forecasts them itself lie at least a share of the best
        # baseline's error quantiles away from the median
        past_losses = past.values[:, past.usable]
        if past_losses.size:
            means = past_losses.mean(1)
            measured = baselines.errors.any((1, 2)) & np.isfinite(means)
            best = int(np.where(measured, means, np.inf).argmin())
            independent = independent_windows(validation.windows, inputs.horizon)
            share = 1 - data_weight(independent)
            least = share * baselines.errors[best]
            errors[own_quantiles] = least
            step_share = baselines.step_shares[best]
            step_shares[own_quantiles] = step_share
            distances = validation.unit(step_share)[..., None] * least
            quantiles[own_quantiles] = at_least(quantiles[own_quantiles], distances)
        labels = [model for model, _ in networks]
        labels += [baseline.label for baseline in baselines.baselines]
        return cls(
            labels=labels,
            networks=count,
            quantiles=quantiles,
            errors=errors,
            step_shares=step_shares,
            losses=_losses(inputs, validation, quantiles).impute(),
            past=past,
        )

    def held_out(self, series: int, series_index: Integers) -> Numbers:
        """The ensemble's quantiles of the validation windows, [windows, horizon, levels].

        Each window is forecast with weights that were chosen on other windows (cross-fitting).
        `series` is the number of series.
        """
        quantiles = np.zeros(self.quantiles.shape[1:])
        factors = prior_factors(self.labels, self.networks)
        folds = cross_fitted_weights(self.losses, self.past, self.networks, series, factors)
        for part, weights in folds:
            by_window = weights[series_index[part]]
            quantiles[part] = mixture(by_window, self.quantiles[:, part])
        return quantiles

    def group_by_name(self, weights: Numbers) -> dict[str, Numbers]:
        """Quantiles of each candidate, [windows, horizon, levels], by its name.

        If there are several networks, they are numbered, and their mean by `weights` is added as
        NETWORKS.
        """
        count = self.networks
        labels = list(self.labels)
        if count > 1:
            labels[:count] = [f"{label} {i}" for i, label in enumerate(labels[:count], 1)]
        named = dict(zip(labels, self.quantiles, strict=True))
        if count > 1:
            shares = weights[:count]
            if not shares.any():
                shares = np.ones(count)
            named[NETWORKS] = np.tensordot(shares / shares.sum(), self.quantiles[:count], 1)
        return named


def choose_ensemble(
    inputs: Inputs,
    validation: ValidationSet,
    networks: Networks,
    baselines: BaselineForecasts,
    context: int,
) -> Ensemble:
    """Weigh networks and baselines by their losses, and calibrate on the validation windows.

    For the calibration, each validation window is forecast with weights that were chosen on other
    validation windows. The calibration is still somewhat optimistic: the loss on all validation
    windows decided when training of a network stopped, and which networks were trained again.
    `networks` are forecasts of the validation windows, [windows, horizon, levels]; baselines read
    `context` steps of the past.

    If too little is known to weigh candidates, one baseline forecasts alone (`sole`, its index).
    The baseline with the least mean loss is kept for comparison (`rival`, its quantiles).
    """
    candidates = _Candidates.compute(inputs, validation, networks, baselines)
    labels = candidates.labels
    count = len(networks)
    sole = baselines.sole_baseline(validation)
    if sole is None:
        weights = choose_weights(
            candidates.losses,
            candidates.past,
            count,
            inputs.series,
            prior_factors(labels, count),
        )
    else:
        sole_weights = np.eye(len(labels))[count + sole]
        weights = np.tile(sole_weights, (inputs.series + 1, 1))

    series_index = inputs.series_index[validation.windows[0]]
    held_out = candidates.held_out(inputs.series, series_index)
    named = {**candidates.group_by_name(weights[-1]), CHOSEN: held_out}
    losses = _losses(inputs, validation, list(named.values())).impute()
    usable = losses.values[:, losses.usable]  # where all forecasts have a loss
    means = usable.mean(1) if usable.size else np.full(len(named), np.nan)
    pairs = zip(named, means.tolist(), strict=True)
    scores = {name: mean for name, mean in pairs if np.isfinite(mean)}
    rival = None
    scored = [label for label in labels[count:] if label in scores]
    if scored:
        best = min(scored, key=scores.__getitem__)
        rival = candidates.quantiles[labels.index(best, count)]

    used = np.asarray(weights.any(0))
    used_networks = np.flatnonzero(used[:count])
    components = [label for label, is_used in zip(labels, used, strict=True) if is_used]
    steps = steps_back(components[len(used_networks) :], context)
    alone = len(labels) == 1
    return Ensemble(
        components=tuple(components),
        networks=tuple(used_networks.tolist()),
        weights=weights[:, used].astype(np.float32),
        errors=candidates.errors[used].astype(np.float32),
        step_shares=candidates.step_shares[used].astype(np.float32),
        calibration=_calibrate(inputs, held_out, validation, steps, alone),
        lookback=validation.lookback,
        context_length=context,
        scores=scores,
        network=network_for(inputs.lags) if PRETRAINED in components else None,
        validation=ValidationForecasts.measure(validation, inputs, held_out, rival),
        window_losses=dict(zip(named, usable, strict=True)),
    )


def _calibrate(
    inputs: Inputs, quantiles: Numbers, validation: ValidationSet, steps: int, alone: bool
) -> Calibration:
    """The calibration learned from the validation windows that have quantiles.

    `quantiles` are [windows, horizon, levels], NaN in windows that were not forecast. A candidate
    that is `alone` keeps its medians, even of series at rest.
    """
    rows = np.flatnonzero(~np.isnan(quantiles).any((1, 2)))
    validation = validation.select(rows)
    windows = validation.windows
    scale = validation.scale
    recent = Recent.measure(inputs.panel, windows)
    if recent.at_rest.any():
        steps = max(steps, MEAN_STEPS)
    if alone:
        recent = replace(recent, median=np.full_like(recent.median, np.nan))

    values = undo_power(validation.actual, inputs.power)
    most = _largest(inputs, windows, steps)
    ratios = divide(values, most[:, None], 0.0)
    is_scaled = scale > 0
    ratios = ratios[validation.observed & is_scaled[:, None]]  # 0 where nothing is bounded
    cap_factor = calibrating.CALIBRATION_PRIORS.cap_factor
    if len(ratios):
        highest = calibrating.score_at(ratios, inputs.levels[-1])
        cap_factor = max(cap_factor, highest)
        cap_factor = float(np.float32(cap_factor))  # as it is stored
    series = inputs.series_index[windows[0]]
    quantiles = quantiles[rows]
    points = quantiles[..., inputs.levels.index(0.5)]
    pasts = Pasts(
        series=series,
        span=(series << 32) + _horizon_blocks(inputs, windows),
        count=inputs.series,
        roughness=roughness(inputs, windows, scale, validation.lookback),
        sizes=validation.sizes,
        recent=recent,
        limit=_limit(inputs, windows, points, steps, cap_factor),
    )
    return calibrating.calibrate(
        quantiles,
        validation.actual,
        validation.observed,
        scale,
        inputs.levels,
        independent_windows(windows, inputs.horizon),
        pasts,
        cap_factor,
    )


def _largest(inputs: Inputs, windows: WindowIndex, steps: int) -> Numbers:
    """The largest value in the past of each window, [windows], in the target's unit.

    It is infinite, which means no bound, for series that have values below 0.
    """
    most = largest(inputs.panel, windows, steps)
    values = undo_power(most, inputs.power)
    lowest = inputs.panel.find_minimum()[windows[0]]
    bounded = (lowest >= 0) | (inputs.power == 0)
    return np.where(bounded & np.isfinite(values), values, np.inf)


def _limit(
    inputs: Inputs, windows: WindowIndex, points: Numbers, steps: int, cap_factor: float
) -> Numbers:
    """The bound of the highest quantiles, [windows, horizon], in the unit of the panel's values.

    It follows the `points` that are forecast, [windows, horizon], where these exceed the past.
    """
    limit = np.full(points.shape, np.inf)
    if np.isfinite(cap_factor):
        most = _largest(inputs, windows, steps)[:, None]
        limit = cap_factor * np.maximum(most, undo_power(points, inputs.power))
    finite = np.isfinite(limit)
    return np.where(finite, apply_power(limit, finite, inputs.power), np.inf)


def _losses(
    inputs: Inputs, validation: ValidationSet, candidates: Numbers | list[Numbers]
) -> Losses:
    """Losses of the quantiles of candidates, [windows, horizon, levels] each."""
    values = np.zeros((len(candidates), len(validation)))
    for number, quantiles in enumerate(candidates):
        values[number] = validation.losses(quantiles)
    windows = validation.windows
    series = inputs.series_index[windows[0]]
    return Losses(values, series, _horizon_blocks(inputs, windows))


def _horizon_blocks(inputs: Inputs, windows: WindowIndex) -> Integers:
    """[windows], the block of time, one horizon long, that each window belongs to; 0 is the newest.

    If the data have dates, all series share the blocks. If they are numbered rows without dates,
    time is counted within each series. Windows must be ordered by series, then by time.
    """
    series, position = windows
    if not len(series):
        return position
    if inputs.schema.layout == "rows":
        _, starts, counts = np.unique(series, return_index=True, return_counts=True)
        time = position
        oldest = np.repeat(time[starts], counts)
        newest = np.repeat(time[starts + counts - 1], counts)
    else:
        time = inputs.panel.starts[series] + position
        oldest = time.min()
        newest = time.max()
    span = newest - oldest
    blocks = 1 + span // inputs.horizon
    share = (time - oldest) / (span + 1)
    from_oldest = (share * blocks).astype(np.int64)
    return np.asarray(blocks - 1 - from_oldest)
