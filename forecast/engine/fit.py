"""Fit a forecaster: read the table, then one stage after the other until all is there that a forecast needs."""

import time
from importlib.util import find_spec

from forecast.engine.exporting import with_exports
from forecast.engine.requests import FitRequest, FitResult
from forecast.engine.stages import SUMS_SHARE, PanelFit
from forecast.ensemble.names import check_names
from forecast.inference.predictor import EXTRA_PACKAGES, pick_engine, require_engine
from forecast.reading.dated import normalised
from forecast.reading.large import sampled
from forecast.reading.reading import Reading, check_to_fit, describe_reading, read
from forecast.settings import TableSettings
from forecast.tables.table import Table
from forecast.totals.periods import with_next_periods

# of a budget, to export in: share, least seconds, and most
EXPORTS_SHARE = 0.08
EXPORTS_SECONDS = 2.0
MOST_EXPORTS = 1 / 6
RESERVE = 1.0  # seconds of a budget that remain for the comparison with baselines and for saving


def fit(request: FitRequest) -> FitResult:
    """Fit a forecaster to a table.

    Raises `UsageError` or `BadData` if a setting is wrong or contradicts the table, or if the table cannot be used.
    """
    settings = request.settings
    if request.saves:
        require_engine(settings.engine, settings.model)
    deadline = deadline_of(request)
    reading = request.source if isinstance(request.source, Reading) else read_to_fit(request)
    fitted = PanelFit(reading.panel, reading.schema, reading.name, request, deadline).run()
    if request.exports:
        fitted = with_exports(fitted)
        if (
            fitted.config.networks
        ):  # an engine that cannot run them is refused before they are saved
            pick_engine(fitted, settings.engine, settings.device)
    return FitResult(reading, fitted)


def read_to_fit(request: FitRequest) -> Reading:
    """The table of a request, read and inferred; also where no fit follows."""
    check_names(request.settings)
    table, how = _load(request)
    settings = request.settings
    reading = read(
        table,
        how,
        horizon=settings.horizon,
        lookback=settings.lookback,
        reserved=request.reserved,
        events=request.events,
        future=request.future,
    )
    check_to_fit(reading)
    if settings.horizon is None:
        reading = with_next_periods(reading, request.periods)
    if request.callbacks.on_read is not None:
        request.callbacks.on_read(describe_reading(reading))
    return reading


def _load(request: FitRequest) -> tuple[Table, TableSettings]:
    """The table, or an even sample of its series where it does not fit into memory; and how it is read."""
    source, how = request.source, request.table
    if isinstance(source, Reading):
        raise TypeError("it has been read")
    if isinstance(source, Table):
        return source, how
    sample = sampled(source.path, source.text, how, request.settings.seed)
    if sample is not None:
        return normalised(sample), how
    table, defaults = source.load()
    return table, how.check(defaults | how.model_dump(exclude_unset=True))


def deadline_of(request: FitRequest) -> float | None:
    """When training must be over, as `time.monotonic()` has it."""
    budget = request.settings.budget
    if budget is None:
        return None
    started = time.monotonic() if request.started is None else request.started
    deadline = started + (1 - SUMS_SHARE * request.sums) * budget
    if not request.saves:
        return deadline
    exports = 0.0
    if all(map(find_spec, EXTRA_PACKAGES)):
        exports = max(EXPORTS_SHARE * budget, min(EXPORTS_SECONDS, MOST_EXPORTS * budget))
    return deadline - exports - RESERVE
