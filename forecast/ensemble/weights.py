"""Weights of networks and baselines, from their losses on windows that they were not fitted to.

A mean absolute loss L over n independent windows has the likelihood L^-n (Laplace errors of unknown
scale). The weight of a candidate is its prior times this likelihood. The likelihood is tempered
(Grünwald 2012), because no candidate is the true model, and which one is best changes with time:
each further window adds less evidence than the one before. The prior gives one half to the
networks, in equal parts, and one half to the baselines, by their losses in the past, of which the
newest count most; the pretrained network counts as several baselines. So, with n independent windows,

    log weight = log prior - m log L,    m = n / (1 + n / tempered).

A series is weighed by the same rule as the panel; its log weights are shrunk towards those of the
panel, by the number of its blocks of time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.ensemble.names import PRETRAINED
from forecast.intervals.baseline_errors import CORRELATION, independent_by_block
from forecast.panel.panel import Flags, Integers, Numbers, steps_within


@dataclass(frozen=True)
class WeightPriors:
    """Tuned on 59 small problems of the development and the twelve sets, checked on 118 others.

    The small problems have 1 to 24 series. The results depend little on these numbers: they differ
    by less than 1 % for correlations of series from 0.05 to 0.2, for decays from 1 to 20 horizons,
    and for 8 to 64 parts.
    """

    # n independent windows (an amount of evidence) count as n / (1 + n / tempered), as the best
    # candidate does not stay the best: 16 windows count as 8
    tempered: float = 16.0
    decay: float = 2.0  # age in horizons at which a baseline's loss in the past counts 1/e
    # weights are multiples of 1/8: these are exact in binary, and tiny weights become 0
    parts: int = 8
    # The following two were tuned on 55 single series by `python -m benchmarks singles`, and
    # checked on fourteen development sets. The pretrained network counts as so many baselines.
    pretrained: float = 5.0
    # the share of the weight, at either end of what the candidates forecast, that does not count
    # (a trimmed mean); less than one part, so that it is taken from the outermost candidate alone
    trimmed: float = 0.1


WEIGHT_PRIORS = WeightPriors()
FOLDS = 5  # parts of the validation windows; each is forecast with weights from the others
# losses below this share of the largest one are rounding errors, and count as equal
LOSS_ROUNDING = 1e-9


def prior_factors(labels: Sequence[str], networks: int) -> Numbers:
    """[candidates], the factor by which the prior weight of each candidate is multiplied.

    The first candidates are the networks. Beside networks that were trained, the pretrained one
    counts as any baseline.
    """
    alone = WEIGHT_PRIORS.pretrained if networks == 0 else 1.0
    return np.array([alone if label == PRETRAINED else 1.0 for label in labels])


def mixture(weights: Numbers, forecasts: Numbers) -> Numbers:
    """The trimmed mean of what candidates forecast, [windows, horizon, levels].

    `weights` are [windows, candidates], `forecasts` [candidates, windows, horizon, levels]. The
    mean is NaN where a candidate with a weight above 0 has no forecast.
    """
    shares = weights.T[..., None, None]
    used = np.broadcast_to(shares > 0, forecasts.shape)
    mean = np.zeros(forecasts.shape[1:])
    for share, is_used, values in zip(shares, used, forecasts, strict=True):
        mean += share * np.where(is_used, values, 0.0)
    low = np.min(forecasts, 0, where=used, initial=np.inf)
    high = np.max(forecasts, 0, where=used, initial=-np.inf)
    outermost = WEIGHT_PRIORS.trimmed * (low + high)
    trimmed = (mean - outermost) / (1 - 2 * WEIGHT_PRIORS.trimmed)
    return np.asarray(np.where(low == high, low, trimmed))


@dataclass(frozen=True)
class Losses:
    values: Numbers  # [candidates, windows], NaN where there is no loss
    series: Integers  # [windows]
    # [windows], age of a window in blocks of one horizon, 0 for the newest (`_horizon_blocks`)
    block: Integers

    def select(self, windows: Flags) -> "Losses":
        return Losses(self.values[:, windows], self.series[windows], self.block[windows])

    def impute(self) -> "Losses":
        """Losses with estimates for windows that a candidate did not forecast while others did.

        Slow baselines forecast some of the windows only. Their loss elsewhere is estimated as the
        mean loss of the candidates that forecast all windows, times the ratio of their loss to that
        mean where both are known.
        """
        finite = np.isfinite(self.values)
        asked = finite.any(0)
        whole = (finite == asked).all(1)
        if whole.all() or not whole.any():
            return self
        values = self.values.copy()
        others = values[whole].mean(0)
        for row in np.flatnonzero(~whole & finite.any(1)):
            own = finite[row]
            total = max(others[own].sum(), 1e-200)
            ratio = values[row, own].sum() / total
            values[row] = np.where(asked & ~own, ratio * others, values[row])
        return replace(self, values=values)

    @property
    def usable(self) -> Flags:
        """[windows], whether all candidates have a loss there; those without any do not count."""
        finite = np.isfinite(self.values)
        some = finite.any(1)
        return np.asarray(finite[some].all(0) & some.any())


def newer_half(series: Integers) -> Flags:
    """[windows], whether a window is in the newer half of the windows of its series.

    Windows must be ordered by series, then by time. Of an odd number, the middle one is in the
    newer half.
    """
    _, counts = np.unique(series, return_counts=True)
    return steps_within(counts) >= np.repeat(counts // 2, counts)


def choose_weights(
    validation: Losses, past: Losses, networks: int, count: int, factors: Numbers
) -> Numbers:
    """The weight of each candidate in the forecast of each of `count` series.

    The first candidates are the networks, of which there are `networks`; baselines follow.
    `factors` are those of `prior_factors`.
    `validation` has losses of all candidates on validation windows, and `past` has losses of the
    baselines on windows of the whole past. The result is [count + 1, candidates]; the last row
    is for a series that was not in the fit.
    """
    validation = validation.select(validation.usable)
    past = past.select(past.usable)
    panel = _log_weights(validation, past, networks, factors)
    weights = np.tile(_in_parts(panel), (count + 1, 1))
    validated = np.unique(validation.series)
    if len(validated) < 2:
        return weights
    for series in validated:
        own = validation.select(validation.series == series)
        # one window does not show how much of its loss is chance; the panel weighs as much as
        # 1 / CORRELATION windows of the series
        windows = len(np.unique(own.block)) - 1
        if windows > 0:
            share = windows / (windows + 1 / CORRELATION)
            own_past = past.select(past.series == series)
            single = _log_weights(own, own_past, networks, factors)
            shrunk = share * single + (1 - share) * panel
            weights[series] = _in_parts(shrunk)
    return weights


def cross_fitted_weights(
    validation: Losses, past: Losses, networks: int, count: int, factors: Numbers
) -> Iterator[tuple[Flags, Numbers]]:
    """Parts of the validation windows, each with weights that were chosen on the other parts.

    Yields which windows are in the part, [windows], and the weights. The parts follow one another
    in time if the windows span more than one horizon; otherwise each part has some of the series.
    """
    group = validation.block
    past_group = past.block
    near = 1
    if len(np.unique(group)) < 2:
        group = validation.series
        past_group = past.series
        near = 0
    groups = np.unique(group)
    folds = min(FOLDS, len(groups)) or 1
    for fold in np.array_split(groups, folds):
        inside = np.isin(group, fold)
        others = inside if inside.all() else ~inside  # a single part has to serve for both
        # windows in the past overlap with those of the neighbouring blocks
        around = np.concatenate([fold - near, fold, fold + near])
        outside = ~np.isin(past_group, around)
        far = past.select(outside) if outside.any() else past
        yield inside, choose_weights(validation.select(others), far, networks, count, factors)


def _log_weights(validation: Losses, past: Losses, networks: int, factors: Numbers) -> Numbers:
    """[candidates], the logarithm of prior times likelihood."""
    candidates = len(validation.values)
    prior = np.zeros(candidates)
    if networks < candidates:
        likelihood = _log_likelihood(past, WEIGHT_PRIORS.decay)
        likelihood = np.where(_is_copy(past), -np.inf, likelihood)
        likelihood += np.log(factors[networks:])
        prior[networks:] = likelihood - np.logaddexp.reduce(likelihood)
        prior[:networks] = -np.log(max(networks, 1))
        if not len(validation.block):  # without validation nothing shows how good networks are
            prior[:networks] = -np.inf
    return prior + _log_likelihood(validation, most=WEIGHT_PRIORS.tempered)


def _log_likelihood(losses: Losses, decay: float = np.inf, most: float = np.inf) -> Numbers:
    """[candidates], the logarithm of the tempered likelihood; 0 where there are no windows.

    It is -inf for a candidate without losses while others have some. Losses that are `decay`
    horizons old count 1/e. All windows together count as at most `most` independent windows.
    """
    if not len(losses.block):
        return np.zeros(len(losses.values))
    recent = np.exp(-losses.block / decay)
    weighted = _floor(losses.values) * recent
    mean = weighted.sum(1) / recent.sum()
    level = np.log(np.where(np.isfinite(mean), mean, np.inf))
    blocks, sizes = independent_by_block(losses.series, losses.block)
    counts = np.exp(-blocks / decay) * sizes
    count = float(counts.sum())
    evidence = count / (1 + count / most)
    return -evidence * level


def _is_copy(losses: Losses) -> Flags:
    """[candidates], whether an earlier candidate has the same losses.

    This happens with baselines that differ in their season only.
    """
    values = _floor(losses.values)
    rows = np.rint(values / _largest(values) / LOSS_ROUNDING)
    _, first = np.unique(rows, axis=0, return_index=True)
    copies = np.ones(len(values), bool)
    copies[first] = False
    return copies & (len(losses.block) > 0)


def _floor(values: Numbers) -> Numbers:
    """Losses raised to a tiny positive number, so that those of mere rounding errors are equal."""
    return np.maximum(values, LOSS_ROUNDING * _largest(values))


def _largest(values: Numbers) -> float:
    return np.max(values, initial=1e-200, where=np.isfinite(values))


def _in_parts(log_weights: Numbers) -> Numbers:
    """Weights [candidates] from their logarithms, which add up to 1.

    They are rounded to multiples of 1 / parts by the method of largest remainders.
    """
    weights = np.exp(log_weights - log_weights.max())
    exact = WEIGHT_PRIORS.parts * weights / weights.sum()
    parts = np.floor(exact)
    missing = round(WEIGHT_PRIORS.parts - parts.sum())
    largest_rests = np.argsort(parts - exact, kind="stable")[:missing]
    parts[largest_rests] += 1
    return np.asarray(parts / WEIGHT_PRIORS.parts)
