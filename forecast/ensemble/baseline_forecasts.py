"""Baselines of a fit: with their seasons, their forecasts of the validation windows, and their past errors."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from forecast.baselines.shared.method import ForecastSeries, Method, baseline_method
from forecast.baselines.shared.windows import forecast_baseline, forecast_own_quantiles
from forecast.ensemble.validation import ValidationSet
from forecast.ensemble.weights import newer_half
from forecast.errors import Setting
from forecast.intervals.baseline_errors import error_quantiles
from forecast.intervals.own_past import error_unit, step_share
from forecast.logs import log
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.pretrained.forecasting import Network, network_for
from forecast.registry import default_baselines, is_baseline
from forecast.threads import OnPart, in_threads
from forecast.training.split import ORIGINS, VALIDATION_WINDOWS
from forecast.windows.inputs import Inputs
from forecast.windows.origins import past_slots, pasts
from forecast.windows.windows import WindowIndex

MIN_CONTEXT, CONTEXT_SEASONS = 200, 6  # steps and seasons that a baseline looks back at least
MIN_ERRORS = 4  # past windows, fewer of which give no error quantiles
# of the past that a baseline reads at most for windows of one kind, unless these are fewer: its cost grows with them
VALUES, MIN_COMPARED = 10_000_000, 32
DRAWN_BY = 16  # newest values of a window that decide whether it is drawn
# of baselines that forecast a whole series at a time, with columns known in advance
MIN_SEASONS = 15  # of the longest series, fewer of which say little
AFFORDABLE = (
    8e8  # operations for each window on which slow baselines are compared, some seconds in all
)
REFITS = 20  # of a series for windows that are compared, at most
MOST_CATEGORIES = 32  # of a known column, one with more of which is left out
NEWEST = 12  # windows of the past of a series that tell errors: older ones hardly count


@dataclass(frozen=True)
class Baseline:
    name: str
    season: int  # steps, 1 for none
    label: str  # the name, with the season where it is not the first one of the data

    @property
    def method(self) -> Method:
        return baseline_method(self.name)


def baselines_of(names: tuple[str, ...], seasons: tuple[int, ...]) -> list[Baseline]:
    """The baselines of these names, once for each season that they repeat; without one, no two that are then equal."""
    return [
        Baseline(name, season, name if rank == 0 else f"{name}-{season}")
        for name in names
        if seasons or baseline_method(name).without_season not in names
        for rank, season in enumerate(seasons or (1,))
        if rank == 0 or baseline_method(name).repeats_season
    ]


def base_name(label: str) -> str:
    """The name of the baseline with this label: seasonal-naive for seasonal-naive-24."""
    return label if is_baseline(label) else label.rpartition("-")[0]


def baseline_labelled(label: str, seasons: tuple[int, ...]) -> Baseline:
    """The baseline that has this label where the data have these seasons; `ValueError` where none has."""
    name = base_name(label)
    for baseline in baselines_of((name,), seasons) if is_baseline(name) else ():
        if baseline.label == label:
            return baseline
    raise ValueError(f"no baseline '{label[:80]}' for these seasons")


def context_length(lookback: int, seasons: tuple[int, ...], longest: int) -> int:
    return max(
        1,
        min(longest, max(lookback, MIN_CONTEXT, CONTEXT_SEASONS * (seasons or (1,))[0], *seasons)),
    )


def steps_back(labels: Iterable[str], context: int) -> int:
    """Steps of the past that the baselines with these labels see, `context` unless one wants more."""
    return max([context, *(baseline_method(base_name(label)).context for label in labels)])


def baseline_forecasts(
    inputs: Inputs,
    windows: WindowIndex,
    baseline: Baseline,
    context: int,
    network: Network | None = None,
) -> Numbers:
    """Points [windows, horizon], or quantiles if it gives them, of a baseline that sees `context` steps."""
    method, horizon, levels = baseline.method, inputs.horizon, inputs.levels
    if method.forecast_series is not None:
        return forecasts_by_series(inputs, windows, method.forecast_series)
    gives_quantiles = method.quantiles is not None
    parts = [np.zeros((0, horizon, len(levels)) if gives_quantiles else (0, horizon))]
    if gives_quantiles:
        own = network or network_for(inputs.lags)
        context = max(context, min(method.context, int(inputs.panel.lengths.max(initial=1))))
    for past, observed in _pasts(inputs, windows, context, method.evens):
        if gives_quantiles:
            parts.append(
                forecast_own_quantiles(method, past, observed, horizon, inputs.lags, levels, own)
            )
        else:
            parts.append(forecast_baseline(baseline.name, past, observed, horizon, baseline.season))
    return np.concatenate(parts)


def _pasts(
    inputs: Inputs, windows: WindowIndex, context: int, evens: bool
) -> Iterator[tuple[Numbers, Flags]]:
    """Pasts of windows, and what is known of them, [windows, context]; closed slots have the mean with `evens`."""
    panel = inputs.past_panel(closed=not evens)
    if inputs.closed is None or not evens:
        yield from pasts(panel, windows, context)
        return
    for inside, slot, observed in past_slots(panel, windows, context):
        values, filled = (
            np.where(observed, panel.values[slot], 0.0),
            inside & np.isfinite(inputs.closed[slot]),
        )
        mean = values.sum(1, keepdims=True) / np.maximum(observed.sum(1, keepdims=True), 1)
        whole = (values == np.round(values)).all(1, keepdims=True)  # counts stay counts
        yield np.where(filled, np.where(whole, np.round(mean), mean), values), observed | filled


@dataclass(frozen=True)
class BaselineForecasts:
    """Forecasts of baselines, for the validation windows and for windows over the whole past; NaN where not asked."""

    baselines: list[Baseline]
    context: int  # steps of the past that they see
    quantiles: Numbers  # [baselines, windows, horizon, levels], of the validation windows
    past: ValidationSet  # windows over the whole past
    past_points: Numbers  # [baselines, windows, horizon]
    errors: Numbers  # [baselines, horizon, levels], in the past, in units of `error_unit`; 0 if it gives quantiles
    step_shares: Numbers  # [baselines], see `step_share`
    middle: int  # index of the median among the levels

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        held_out: ValidationSet,
        names: tuple[str, ...],
        context: int,
        most: int,
        on: OnPart | None,
    ) -> Self:
        """Forecast by baselines; one that gives quantiles forecasts at most `most` windows of each kind."""
        panel, levels, baselines = inputs.panel, inputs.levels, baselines_of(names, inputs.lags)
        windows, middle = (
            _past_windows(panel, inputs.lags[0] if inputs.lags else 1),
            inputs.levels.index(0.5),
        )
        past = ValidationSet.of(
            inputs, windows, held_out.lookback, held_out.power, held_out.metric, context
        )
        affordable = max(MIN_COMPARED, VALUES // context)
        compared = _drawn(panel, held_out.windows, np.arange(len(held_out)), affordable)
        known = _drawn(panel, windows, np.arange(len(past)), affordable)
        # a baseline that gives quantiles is slow and needs no errors: the newer half of the past will do
        some = _drawn(panel, held_out.windows, compared, most)
        recent = _drawn(panel, windows, known[newer_half(windows[0])[known]], most)
        quantiles = np.full((len(baselines), len(held_out), inputs.horizon, len(levels)), np.nan)
        past_points = np.full((len(baselines), len(past), inputs.horizon), np.nan)
        errors, step_shares = (
            np.zeros((len(baselines), inputs.horizon, len(levels))),
            np.zeros(len(baselines)),
        )
        for number, baseline in enumerate(baselines):
            if on is not None:
                on(number, len(baselines))
            gives_quantiles = baseline.method.quantiles is not None
            ahead, back = (some, recent) if gives_quantiles else (compared, known)
            if (
                baseline.method.forecast_series is not None
            ):  # as slow, and errors long ago hardly count
                later = np.searchsorted(windows[0], windows[0], side="right") - np.arange(
                    len(past)
                )  # in its series
                ahead, back = some, _drawn(panel, windows, known[later[known] <= NEWEST], most)
            then, now = (
                (of[0][rows], of[1][rows])
                for of, rows in ((windows, back), (held_out.windows, ahead))
            )
            before = baseline_forecasts(inputs, then, baseline, context)
            after = baseline_forecasts(inputs, now, baseline, context)
            if gives_quantiles:
                past_points[number, back], quantiles[number, ahead] = before[..., middle], after
                continue
            past_points[number, back] = before
            actual, observed, scale, sizes = (
                past.actual[back],
                past.observed[back],
                past.scale[back],
                past.sizes[back],
            )
            scaled = (actual - before) / np.where(scale > 0, scale, np.nan)[:, None]
            step_shares[number] = share = step_share(np.where(observed, scaled, np.nan), sizes)
            errors[number] = error_quantiles(
                before, actual, observed, error_unit(scale, sizes, share), levels, then
            )
            unit = error_unit(held_out.scale[ahead], held_out.sizes[ahead], share)
            quantiles[number, ahead] = after[..., None] + unit[..., None] * errors[number]
        return cls(baselines, context, quantiles, past, past_points, errors, step_shares, middle)

    @property
    def gives_quantiles(self) -> Flags:
        """[baselines], whether each forecasts quantiles itself."""
        return np.array(
            [baseline.method.quantiles is not None for baseline in self.baselines], bool
        )

    def sole_baseline(self, validation: ValidationSet) -> int | None:
        """The index of the baseline that forecasts alone: it gives quantiles, and the others have too few errors."""
        errors = self.past.observed & (self.past.scale > 0)[:, None]
        if (
            len(validation)
            or int(errors.any(1).sum()) >= MIN_ERRORS
            or not self.gives_quantiles.any()
        ):
            return None
        return int(self.gives_quantiles.argmax())

    def skip_networks(self, validation: ValidationSet) -> bool:
        """Whether networks cannot help: a baseline is exact on the validation windows, or no window can be compared."""
        if not self.baselines:
            return False
        medians = self.quantiles[..., self.middle]
        comparable = any(np.isfinite(validation.losses(points)).any() for points in medians)
        return not comparable or any(validation.is_exact(points) for points in medians)


def _drawn(panel: Panel, windows: WindowIndex, numbers: Integers, most: int) -> Integers:
    """At most so many of some windows, by number, drawn by values, so that names and order of series do not matter."""
    if len(numbers) <= most:
        return numbers
    ends = panel.offsets[windows[0][numbers]] + windows[1][numbers]
    starts = ends - np.minimum(windows[1][numbers], DRAWN_BY)
    newest = (panel.values[start:end] for start, end in zip(starts, ends, strict=True))
    draws = [zlib.crc32(np.ascontiguousarray(values).tobytes()) for values in newest]
    return np.sort(numbers[np.argsort(draws, kind="stable")[:most]])


def _past_windows(panel: Panel, season: int) -> WindowIndex:
    usable = np.flatnonzero(panel.lengths >= 2)
    if len(usable) > VALIDATION_WINDOWS:
        usable = usable[np.linspace(0, len(usable) - 1, VALIDATION_WINDOWS).astype(np.int64)]
    origins = int(np.clip(VALIDATION_WINDOWS // max(len(usable), 1), 1, ORIGINS))
    newest = panel.lengths[usable] - 1
    oldest = np.maximum(1, np.minimum(max(2 * season, 8), newest // 2))
    steps = (np.arange(origins) + 0.5) / origins
    position = oldest[:, None] + np.round(steps * (newest - oldest)[:, None]).astype(np.int64)
    pairs = np.unique(np.stack([np.repeat(usable, origins), position.ravel()], 1), axis=0)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def affordable_baselines(names: tuple[str, ...], inputs: Inputs, compared: int) -> tuple[str, ...]:
    """The default baselines worth their time, slow ones on `compared` windows at most; all where others are named."""
    if not set(default_baselines()) <= set(names) or not len(inputs.panel):
        return names
    panel, season = inputs.panel, inputs.lags[0] if inputs.lags else 1
    columns = known_columns(inputs, np.zeros(1, np.int64), 0).shape[1]
    gains = (season > 1 or columns > 0) and panel.lengths.max() >= MIN_SEASONS * season

    def takes_part(name: str) -> bool:
        cost = baseline_method(name).cost
        if cost is None or not gains:
            return cost is None
        operations = cost(float(panel.lengths.mean()), columns, inputs.horizon, season)
        affordable = (
            operations * (len(panel) + min(2 * compared, REFITS * len(panel)))
            <= AFFORDABLE * compared
        )
        if not affordable:
            log.info(
                "%s would take long and is left out, unless a fit names it in %s",
                name,
                Setting("baselines"),
            )
        return affordable

    return tuple(filter(takes_part, names))


def forecasts_by_series(
    inputs: Inputs, windows: WindowIndex, forecast_series: ForecastSeries
) -> Numbers:
    """Points of windows, [windows, horizon], series by series."""
    panel, (series, position) = inputs.past_panel(closed=True), windows
    points = np.zeros((len(series), inputs.horizon))

    def fill(rows: Integers) -> None:
        each, ends = series[rows[0]], position[rows]
        first, start = panel.offsets[each], int(panel.starts[each])
        past = slice(first, first + ends.max())
        known = known_columns(
            inputs, np.arange(first, past.stop + inputs.horizon), start + int(ends.max()) - 1
        )
        window = (
            panel.values[past],
            panel.observed[past],
            known,
            start,
            ends,
            inputs.horizon,
            inputs.lags,
        )
        points[rows] = forecast_series(*window)

    # what was known in advance of a step may differ between origins
    apart = series if panel.vintages is None else np.arange(len(series))
    in_threads(fill, [np.flatnonzero(apart == each) for each in np.unique(apart)])
    return points


def known_columns(inputs: Inputs, slots: Integers, origin: int) -> Numbers:
    """Columns known in advance, as they were at an origin, [slots, columns]; each category is a column of 0 and 1."""
    panel, categories, columns = inputs.panel, inputs.schema.categories, [np.zeros((len(slots), 0))]
    known = panel.known[slots]
    if panel.vintages is not None:
        known = panel.vintages[slots].at(known, np.full(len(slots), origin))
    for name, values in zip(inputs.schema.known, known.T, strict=True):
        if name not in categories:
            columns.append(values[:, None])
        elif len(categories[name]) <= MOST_CATEGORIES:
            columns.append(
                (values[:, None] == np.arange(1, len(categories[name]) + 1)).astype(np.float64)
            )
    return np.concatenate(columns, 1)


def baseline_points(name: str, season: int, panel: Panel) -> Numbers:
    """What a baseline forecasts after the end of each series, [series, horizon]; a season of 1 is none."""
    newest = np.arange(len(panel)), panel.lengths
    parts = pasts(panel, newest, int(panel.lengths.max()))
    points = [
        forecast_baseline(name, values, observed, panel.ahead, season) for values, observed in parts
    ]
    return np.concatenate(points)
