"""Baselines of a fit: their seasons, their forecasts of validation windows, and their past
errors.
"""

import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from forecast.baselines.shared.method import ForecastSeries, Method, baseline_method
from forecast.baselines.shared.windows import forecast_baseline, forecast_own_quantiles
from forecast.ensemble.names import FROM_PACKAGE
from forecast.ensemble.validation import ValidationSet
from forecast.ensemble.weights import newer_half
from forecast.errors import Setting
from forecast.intervals.baseline_errors import error_quantiles
from forecast.intervals.own_past import step_share
from forecast.logs import log
from forecast.metrics.quantiles import divide
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import indicators
from forecast.pretrained.forecasting import Network, network_for
from forecast.registry import default_baselines, is_baseline
from forecast.threads import OnPart, in_threads
from forecast.training.split import spread_windows
from forecast.windows.inputs import Inputs
from forecast.windows.origins import past_slots, pasts
from forecast.windows.windows import WindowIndex

MIN_CONTEXT = 200  # steps of the past that a baseline reads, at least
CONTEXT_SEASONS = 8  # it reads so many of the longest season, if they are not more than
MOST_CONTEXT = 1500  # steps in all; but at least one
SHORT = 8  # steps; the scale of a shorter window says little
MIN_ERRORS = 4  # windows in the past that error quantiles need, at least
# most values of the past that a baseline reads for the validation windows, and again for windows in
# the past; the number of windows is limited accordingly, but not below MIN_COMPARED
MAX_CONTEXT_VALUES = 10_000_000
COMPARED = 192  # windows that a slow baseline forecasts, at most, and again as many in the past
MIN_COMPARED = 32
DRAWN_BY = 16  # newest values of a window, whose hash decides whether the window is drawn
# newest windows in the past of a series that errors come from: older hardly count
NEWEST_WINDOWS = 12
# limits for baselines that forecast a whole series at a time, with columns known in advance
MIN_COMPARED_SEASONS = 15  # seasons that the longest series must have; with fewer they learn little
AFFORDABLE = 8e8  # operations for each window that is compared, which take some seconds in all
MAX_REFITS = 20  # fits to a series for windows that are compared, at most
LATE = "the budget has no time for %s, left out; pass a larger %s"
FEW_SLOW_SERIES = 50  # with more, baselines of an optional package run only when asked for


@dataclass(frozen=True)
class Baseline:
    name: str
    season: int  # steps, 1 for none
    label: str  # the name, with the season where it is not the first one of the data

    @property
    def method(self) -> Method:
        return baseline_method(self.name)


def find_baselines(names: tuple[str, ...], seasons: tuple[int, ...]) -> list[Baseline]:
    """The baselines of these names, once for each season that they repeat.

    Without a season, some baselines equal another one of the list; they are left out.
    """
    first, *others = seasons or (1,)
    baselines = []
    for name in names:
        method = baseline_method(name)
        if not seasons and method.without_season in names:
            continue
        baselines.append(Baseline(name, first, name))
        if method.repeats_season:
            baselines += [Baseline(name, season, f"{name}-{season}") for season in others]
    return baselines


def base_name(label: str) -> str:
    """The name of the baseline with this label: seasonal-naive for seasonal-naive-24."""
    if is_baseline(label):
        return label
    return label.rpartition("-")[0]


def find_baseline(label: str, seasons: tuple[int, ...]) -> Baseline:
    """The baseline that has this label, where the data have these seasons.

    Raises `ValueError` if no baseline has this label.
    """
    name = base_name(label)
    baselines = find_baselines((name,), seasons) if is_baseline(name) else []
    for baseline in baselines:
        if baseline.label == label:
            return baseline
    raise ValueError(f"no baseline '{label[:80]}' for these seasons")


def context_length(lookback: int, seasons: tuple[int, ...], longest: int) -> int:
    season = max(seasons, default=1)
    several = min(CONTEXT_SEASONS * season, MOST_CONTEXT)
    wanted = max(lookback, MIN_CONTEXT, several, season)
    return max(1, min(longest, wanted))


def steps_back(labels: Iterable[str], context: int) -> int:
    """How many steps of the past these baselines read: `context`, unless one of them needs more."""
    for label in labels:
        context = max(context, baseline_method(base_name(label)).context)
    return context


def baseline_forecasts(
    inputs: Inputs,
    windows: WindowIndex,
    baseline: Baseline,
    context: int,
    network: Network | None = None,
    until: float | None = None,
) -> Numbers:
    """Forecasts of a baseline that reads `context` steps of the past.

    They are points [windows, horizon], or quantiles [windows, horizon, levels] if the baseline
    forecasts quantiles itself. Raises `TimeoutError` if they are not done `until` then.
    """
    method = baseline.method
    horizon = inputs.horizon
    if method.forecast_series is not None:
        return forecasts_by_series(inputs, windows, method.forecast_series, method.threads, until)

    if method.quantiles is None:
        points = [np.zeros((0, horizon))]
        for past, observed in _pasts(inputs, windows, context, method.evens):
            _check_time(until)
            ahead = forecast_baseline(baseline.name, past, observed, horizon, baseline.season)
            points.append(ahead)
        return np.concatenate(points)

    context = max(context, min(method.context, inputs.panel.longest))
    network = network or network_for(inputs.lags)
    rest = horizon, inputs.lags, inputs.levels, network
    quantiles = [np.zeros((0, horizon, len(inputs.levels)))]
    for past, observed in _pasts(inputs, windows, context, method.evens):
        _check_time(until)
        ahead = forecast_own_quantiles(method, past, observed, *rest)
        quantiles.append(ahead)
    return np.concatenate(quantiles)


def _check_time(until: float | None) -> None:
    if until is not None and time.monotonic() > until:
        raise TimeoutError


def _pasts(
    inputs: Inputs, windows: WindowIndex, context: int, evens: bool
) -> Iterator[tuple[Numbers, Flags]]:
    """The past values of windows and whether each counts as observed, [windows, context].

    With `evens`, slots at which the series was closed hold the mean of the window's values.
    """
    panel = inputs.past_panel(closed=not evens)
    closed = inputs.closed
    if closed is None or not evens:
        yield from pasts(panel, windows, context)
        return
    for inside, slot, observed in past_slots(panel, windows, context):
        values = np.where(observed, panel.values[slot], 0.0)
        mean = values.sum(1) / np.maximum(observed.sum(1), 1)
        whole = (values == np.round(values)).all(1)
        mean = np.where(whole, np.round(mean), mean)  # whole numbers stay whole
        filled = inside & np.isfinite(closed[slot])
        yield np.where(filled, mean[:, None], values), observed | filled


@dataclass(frozen=True)
class BaselineForecasts:
    """Forecasts of baselines for validation windows, and for windows spread over the whole past.

    They are NaN in windows that a baseline was not asked for.
    """

    baselines: list[Baseline]
    quantiles: Numbers  # [baselines, windows, horizon, levels], of the validation windows
    past: ValidationSet  # windows over the whole past
    past_points: Numbers  # [baselines, windows, horizon]
    # [baselines, horizon, levels], quantiles of the errors in the past, in units of `error_unit`; 0
    # for a baseline that forecasts quantiles itself
    errors: Numbers
    # [baselines], 0 to 1: how much errors grow at steps of the season where values change much (see
    # `step_share`)
    step_shares: Numbers
    middle: int  # index of the median among the quantile levels

    @classmethod
    def compute(
        cls,
        inputs: Inputs,
        held_out: ValidationSet,
        names: tuple[str, ...],
        context: int,
        until: float | None,
        on: OnPart | None,
    ) -> "BaselineForecasts":
        """Forecast by all baselines; from the first that has not ended `until` then, none is kept.

        `until` is a `time.monotonic()`; the first baseline of all is kept in any case.
        """
        panel = inputs.panel
        baselines = find_baselines(names, inputs.lags)
        past = _measure_past(inputs, held_out, context)
        affordable = max(MIN_COMPARED, MAX_CONTEXT_VALUES // context)
        compared = _drawn(panel, held_out.windows, np.arange(len(held_out)), affordable)
        known = _drawn(panel, past.windows, np.arange(len(past)), affordable)

        middle = inputs.levels.index(0.5)
        count = len(baselines)
        cells = inputs.horizon, len(inputs.levels)
        quantiles = np.full((count, len(held_out), *cells), np.nan)
        past_points = np.full((count, len(past), inputs.horizon), np.nan)
        errors = np.zeros((count, *cells))
        step_shares = np.zeros(count)
        done = 0
        for number, baseline in enumerate(baselines):
            if on is not None:
                on(number, count)
            ahead, back = _choose_windows(panel, held_out, past, compared, known, baseline.method)
            known_windows = past.select(back)
            new_windows = held_out.select(ahead)
            limit = until if number else None
            try:
                before = baseline_forecasts(
                    inputs, known_windows.windows, baseline, context, until=limit
                )
                after = baseline_forecasts(
                    inputs, new_windows.windows, baseline, context, until=limit
                )
            except TimeoutError:
                left_out = ", ".join(late.label for late in baselines[number:])
                log.warning(LATE, left_out, Setting("budget"))
                break
            done = number + 1
            has_quantiles = baseline.method.quantiles is not None
            past_points[number, back] = before[..., middle] if has_quantiles else before
            if has_quantiles:
                quantiles[number, ahead] = after
                continue
            share, table = _measure_errors(known_windows, before, inputs.levels)
            step_shares[number] = share
            errors[number] = table
            distances = new_windows.unit(share)[..., None] * table
            quantiles[number, ahead] = after[..., None] + distances
        return cls(
            baselines=baselines[:done],
            quantiles=quantiles[:done],
            past=past,
            past_points=past_points[:done],
            errors=errors[:done],
            step_shares=step_shares[:done],
            middle=middle,
        )

    @property
    def gives_quantiles(self) -> Flags:
        """[baselines], whether a baseline forecasts quantiles itself."""
        methods = [baseline.method for baseline in self.baselines]
        return np.array([method.quantiles is not None for method in methods], bool)

    def sole_baseline(self, validation: ValidationSet) -> int | None:
        """The index of the baseline that is to forecast alone, or None.

        Without validation windows, and with too few errors in the past for error quantiles, only a
        baseline that forecasts quantiles itself has intervals. It then gets all the weight.
        """
        is_scaled = self.past.scale > 0
        errors = self.past.observed & is_scaled[:, None]
        enough = len(validation) > 0 or errors.any(1).sum() >= MIN_ERRORS
        if enough or not self.gives_quantiles.any():
            return None
        return int(self.gives_quantiles.argmax())

    def skip_networks(self, validation: ValidationSet) -> bool:
        """Whether networks cannot help.

        That is so if a baseline is exact on the validation windows, or if no baseline has a loss
        there, so that nothing can be compared.
        """
        if not self.baselines:
            return False
        losses = [validation.losses(quantiles) for quantiles in self.quantiles]
        if not np.isfinite(losses).any():
            return True
        return any(validation.is_exact(quantiles) for quantiles in self.quantiles)


def _measure_past(inputs: Inputs, held_out: ValidationSet, context: int) -> ValidationSet:
    """Windows over the whole past of all series, measured as those held out are."""
    newest = inputs.panel.lengths - 1
    oldest = np.clip(newest // 2, 1, max(2 * inputs.season, 8))
    windows = spread_windows(np.flatnonzero(newest > 0), oldest, newest, inner=True)
    past = ValidationSet.measure(inputs, windows, held_out.lookback, held_out.metric, context)
    return replace(past, scale=_steady_scale(inputs.panel, past))


def _choose_windows(
    panel: Panel,
    held_out: ValidationSet,
    past: ValidationSet,
    compared: Integers,
    known: Integers,
    method: Method,
) -> tuple[Integers, Integers]:
    """The numbers of held-out windows and of windows in the past; a slow method has fewer of both."""
    recent = _recent(past.windows[0], method)
    if recent is None:
        return compared, known
    fewer = COMPARED if method.extra is None else MIN_COMPARED
    ahead = _drawn(panel, held_out.windows, compared, fewer)
    back = _drawn(panel, past.windows, known[recent[known]], fewer)
    return ahead, back


def _measure_errors(
    past: ValidationSet, points: Numbers, levels: tuple[float, ...]
) -> tuple[float, Numbers]:
    """How errors follow the sizes of steps (`step_share`), and their quantiles [horizon, levels]."""
    errors = divide(past.actual - points, past.scale[:, None])
    errors = np.where(past.observed, errors, np.nan)
    share = step_share(errors, past.sizes)
    unit = past.unit(share)
    quantiles = error_quantiles(points, past.actual, past.observed, unit, levels, past.windows)
    return share, quantiles


def _steady_scale(panel: Panel, past: ValidationSet) -> Numbers:
    """[windows], the scale of past windows, for the units of their errors.

    A window of less than `SHORT` steps takes a part of its variance from its whole series: two
    values that happen to be nearly equal would make an error of thousands of scales.
    """
    series, position = past.windows
    newest = panel.offsets[series] + panel.lengths[series] - 1
    whole = panel.expanding_std()[newest]
    share = np.minimum(position / SHORT, 1.0)
    variance = share * past.scale**2 + (1 - share) * whole**2
    return np.where(past.scale > 0, np.sqrt(variance), 0.0)


def _recent(series: Integers, method: Method) -> Flags | None:
    """[windows], which windows in the past a slow baseline should forecast.

    It is None for a fast baseline, which forecasts all of them.
    """
    if method.forecast_series is not None:  # old errors hardly count in its error quantiles
        ends = np.searchsorted(series, series, side="right")
        return ends - np.arange(len(series)) <= NEWEST_WINDOWS
    if method.quantiles is None:
        return None
    return newer_half(series)  # for its losses


def _drawn(panel: Panel, windows: WindowIndex, numbers: Integers, most: int) -> Integers:
    """At most `most` of the windows with these numbers, as sorted numbers.

    The draw depends on a hash of the newest values of each window, so that names and the order of
    series do not matter.
    """
    if len(numbers) <= most:
        return numbers
    series = windows[0][numbers]
    position = windows[1][numbers]
    ends = panel.offsets[series] + position
    starts = ends - np.minimum(position, DRAWN_BY)
    newest = [panel.values[start:end] for start, end in zip(starts, ends, strict=True)]
    draws = [zlib.crc32(values.tobytes()) for values in newest]
    chosen = np.argsort(draws, kind="stable")[:most]
    return np.sort(numbers[chosen])


def affordable_baselines(names: tuple[str, ...], inputs: Inputs, at_once: bool) -> tuple[str, ...]:
    """The baselines of `names` that are worth their time, if these include the default ones.

    Names that do not include all default baselines were chosen by the user, and are all kept. Those
    of the package join them, unless the forecast is to come `at_once`.
    """
    panel = inputs.panel
    has_defaults = set(default_baselines()) <= set(names)
    if not has_defaults or not len(panel):
        return names
    if not at_once and len(panel) <= FEW_SLOW_SERIES and find_spec("statsforecast"):
        names = tuple(dict.fromkeys([*names, *FROM_PACKAGE]))
    return tuple(name for name in names if _is_affordable(name, inputs))


def _is_affordable(name: str, inputs: Inputs) -> bool:
    cost = baseline_method(name).cost
    if cost is None:
        return True
    panel = inputs.panel
    season = inputs.season
    first = np.zeros(1, np.int64)
    columns = known_columns(inputs, first, 0).shape[1]
    if (season == 1 and not columns) or panel.longest < MIN_COMPARED_SEASONS * season:
        return False
    series = len(panel)
    forecasts = series + min(2 * COMPARED, MAX_REFITS * series)
    steps = float(panel.lengths.mean())
    operations = cost(steps, columns, inputs.horizon, season)
    if operations * forecasts <= AFFORDABLE * COMPARED:
        return True
    text = "%s would take long and is left out, unless a fit names it in %s"
    log.info(text, name, Setting("baselines"))
    return False


def forecasts_by_series(
    inputs: Inputs,
    windows: WindowIndex,
    forecast_series: ForecastSeries,
    threads: bool,
    until: float | None,
) -> Numbers:
    """Point forecasts of windows, [windows, horizon], computed series by series."""
    panel = inputs.past_panel(closed=True)
    series, position = windows
    points = np.zeros((len(series), inputs.horizon))

    def fill(rows: Integers) -> None:
        """Forecast the windows in these rows, which belong to one series."""
        _check_time(until)
        ends = position[rows]
        index = series[rows[0]]
        first = panel.offsets[index]
        start = int(panel.starts[index])
        last = ends.max()
        past = slice(first, first + last)
        slots = np.arange(first, first + last + inputs.horizon)
        points[rows] = forecast_series(
            panel.values[past],
            panel.observed[past],
            known_columns(inputs, slots, start + last - 1),
            start,
            ends,
            inputs.horizon,
            inputs.lags,
        )

    # what was known in advance of a step may differ between origins
    group = series if panel.vintages is None else np.arange(len(series))
    rows = [np.flatnonzero(group == number) for number in np.unique(group)]
    in_threads(fill, rows, threads)
    return points


def known_columns(inputs: Inputs, slots: Integers, origin: int) -> Numbers:
    """Columns known in advance, as they were known at an origin, see `indicators`."""
    known = inputs.panel.known_at(slots, np.full(len(slots), origin))
    return indicators(known, inputs.schema)


def baseline_points(name: str, season: int, panel: Panel) -> Numbers:
    """Point forecasts of a baseline after the end of each series, [series, horizon].

    `season` is in steps; 1 means no season.
    """
    newest = np.arange(len(panel)), panel.lengths
    points = [
        forecast_baseline(name, values, observed, panel.ahead, season)
        for values, observed in pasts(panel, newest, panel.longest)
    ]
    return np.concatenate(points)
