"""Build the panel of a table: place values and covariates on a grid, and mask the gaps."""

from contextlib import suppress
from dataclasses import replace

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.frequency import infer_calendar
from forecast.calendar.parsing import ParsedTimes, format_timestamp, parse_timestamp
from forecast.calendar.zones import zone_cure
from forecast.errors import BadData, Setting, Unavailable, UsageError
from forecast.logs import log
from forecast.panel.comparing import observed_spans
from forecast.panel.dated import DatedTable, normalise, repeated_rows
from forecast.panel.events import has_kind
from forecast.panel.observations import (
    Observations,
    TimedValues,
    covariates,
    find_regions,
    static_values,
)
from forecast.panel.panel import Flags, Integers, Panel, runs, series_name, steps_within
from forecast.panel.roles import repeated_row
from forecast.panel.schema import Schema, build_calendar, position_texts
from forecast.panel.vintages import add_vintages, is_left_out
from forecast.tables.cells import MAX_VALUE, MIN_VALUE
from forecast.tables.table import Table, distinct, repeats, rows_text

# an outlier lies farther from the other times than this many times the span of the other times
FAR_SPANS = 10
# values and covariates of a panel: about 4 GB with what training adds
MAX_PANEL_NUMBERS = 250_000_000


def place_values(
    observations: Observations, schema: Schema, origin: str | None, reach: int | None
) -> tuple[TimedValues, TimedValues, int]:
    """Return observed values and blank rows by grid position, and the newest position.

    There is one value for each series and position. Values after `origin` are not used. If
    `observations` is only a part of a table, `reach` is the time of the newest value of the whole
    table, see `find_end`; the part may then have no value.
    """
    calendar = build_calendar(schema)
    present = np.isfinite(observations.values)
    if reach is None and not present.any():
        raise BadData(
            "no series has a value; the target is blank in every row", place=observations.table.name
        )
    end = reach
    used = np.ones(len(present), bool)
    if origin is not None:
        cut = _origin_time(observations, present, schema, origin)
        used = observations.timestamps <= cut
        if schema.missing == "zero" and schema.aggregate is None:
            end = cut  # absent rows up to the origin are zeros
    blank = observations.select(used & ~present)
    observed = observations.select(used & present)
    if schema.on_duplicate != "error":
        observed = observed.combine(schema.on_duplicate)
    placed = observed.placed_on(calendar)
    if reach is None and schema.dated:
        _refuse_outlier(observations, distinct(placed.timestamps), schema)
    if schema.aggregate is not None:
        placed = aggregate(observations, observed, blank, schema)
    placed = placed.combine("first")
    _check_sizes(observations, placed, schema)
    if end is None:
        newest = placed.timestamps.max()
    else:
        (newest,) = calendar.positions(np.array([end]))
    blank = blank.placed_on(calendar)
    return placed, blank, int(newest)


def find_spans(
    placed: TimedValues, blank: TimedValues, count: int, newest: int, schema: Schema
) -> tuple[Integers, Integers, Flags]:
    """Return the first position and the length of each series, and whether absent rows are zeros.

    Each is [series]; there are `count` series. A series without a value has one position, `newest`.
    """
    first = np.full(count, newest)
    np.minimum.at(first, placed.series, placed.timestamps)
    origins = np.full(count, newest)
    present = np.bincount(placed.series, minlength=count) > 0
    if not schema.dated:
        origins[present] = first[present]
        np.maximum.at(origins, placed.series, placed.timestamps)
    zeros = np.zeros(count, bool)
    if schema.missing == "zero" and schema.dated:
        zeros = present
        if schema.layout == "long":  # in a wide table, a blank cell does not count as a row
            blank = blank.select(blank.timestamps <= newest)
            zeros[blank.series] = True
            np.minimum.at(first, blank.series, blank.timestamps)
    return first, origins - first + 1, zeros


def find_absent_slots(
    rows: TimedValues, first: Integers, lengths: Integers, offsets: Integers
) -> Flags:
    """Return which past slots have no row, [slots]; `offsets` says where each series begins."""
    sizes = np.diff(offsets)
    absent = steps_within(sizes) < np.repeat(lengths, sizes)
    steps = rows.timestamps - first[rows.series]
    inside = (steps >= 0) & (steps < sizes[rows.series])
    slots = offsets[rows.series] + steps
    absent[slots[inside]] = False
    return absent


def _origin_time(observations: Observations, present: Flags, schema: Schema, origin: str) -> int:
    """Return the time of the origin, which is at most that of the newest value."""
    setting = Setting("origin", origin)
    last = parse_timestamp(origin, schema.time_format)
    times = observations.timestamps
    newest = int(times[present].max())
    name = observations.table.name
    if times[present].min() > last:
        first = format_timestamp(int(times.min()), schema.time_format)
        raise UsageError(
            f"lies before all values of {name}, which start at {first}", setting=setting
        )
    if last > newest:
        log.warning(
            "%s: ends at %s, before %s; forecasts start after its end",
            name,
            format_timestamp(newest, schema.time_format),
            setting,
        )
    return min(last, newest)


def _refuse_outlier(observations: Observations, positions: Integers, schema: Schema) -> None:
    """Refuse a time far from all others.

    With a time such as 9999-12-31, all series would end long before the origin.
    """
    # among so few times none is an outlier
    if len(positions) <= 4:
        return
    ends = [(positions[-1], positions[:-1])]
    if schema.layout == "wide":
        ends.insert(0, (positions[0], positions[1:]))
    for position, others in ends:
        span = int(np.ptp(others))
        gap = int(np.abs(others - position).min())
        if gap > FAR_SPANS * max(span, FAR_SPANS):
            times = observations.row_timestamps
            row = np.argmax(build_calendar(schema).positions(times) == position)
            text = format_timestamp(int(times[row]), schema.time_format)
            raise BadData(
                f"{text} lies {gap:,} steps from all other times, which span {span:,}",
                place=observations.table.place(row, schema.time),
                cure="correct it, or remove the row",
            )


def _check_sizes(observations: Observations, placed: TimedValues, schema: Schema) -> None:
    """Refuse values that are too large, and series whose values are all too small, for float32."""
    sizes = np.abs(placed.values)
    largest = np.zeros(len(observations.ids))
    np.maximum.at(largest, placed.series, sizes)
    too_large = sizes > MAX_VALUE
    wrong = too_large | ((sizes > 0) & (largest[placed.series] < MIN_VALUE))
    if wrong.any():
        row = wrong.argmax()
        position = placed.timestamps[[row]]
        (time,) = position_texts(schema, position)
        name = series_name(observations.ids[placed.series[row]]) or "the series"
        size = "large" if too_large[row] else "small"
        raise BadData(
            f"the value of {name} at {time} is too {size} ({placed.values[row]:.1e})",
            place=observations.table.name,
            cure=f"numbers from {MIN_VALUE:.0e} to {MAX_VALUE:.0e} can be forecast: use "
            "another unit",
        )


def warn_sparse(observations: Observations, panel: Panel, schema: Schema) -> None:
    """Warn if the table holds counts and most rows are absent: these may mean zero."""
    present = np.isfinite(observations.values)
    newest = observations.timestamps[present].max()
    lacks_value = (observations.timestamps <= newest) & ~present
    if schema.missing == "zero" or not schema.dated or lacks_value.any():
        return
    values = panel.values[panel.observed]
    if (values < 0).any() or (values != np.floor(values)).any():
        return
    spans, counts = observed_spans(panel)
    share = 1 - counts.sum() / spans.sum()
    # most rows are absent, and zeros are hardly ever written
    if share > 0.5 and (values == 0).mean() < 0.1:
        log.warning(
            "%s: counts without zeros: %.0f %% of the rows are absent, and unknown; pass %s if "
            "they mean zero",
            observations.table.name,
            np.floor(100 * share),
            Setting("missing", "zero"),
        )


def aggregate(
    observations: Observations, observed: TimedValues, blank: TimedValues, schema: Schema
) -> TimedValues:
    """Aggregate values by series and period to their sum, mean or last value.

    The result lies at the grid position of the period. If the last period is not complete, it may
    be left out; if the first period of a sum is not complete, it is always left out. Blank values
    are ignored. Absent rows that mean zero become zeros before aggregation, if the rows lie on a
    regular grid. If absent rows are unknown, a sum adds up the rows that are there, with a warning.
    """
    name = observations.table.name
    calendar = build_calendar(schema)
    rows = observed
    fine = None  # the finer grid of the rows, None if they lie on no regular grid
    with suppress(BadData):
        spec = infer_calendar(observed.timestamps, observed.series, None, schema.time_format)
        fine = Calendar(spec, schema.time_format.zone)
    if fine is not None and schema.missing == "zero" and schema.aggregate != "sum":
        rows = _fill_zeros(observations, observed, blank, fine, schema)
    low, high = _whole_periods(name, observed, fine, schema)
    placed = rows.placed_on(calendar)
    order = np.argsort(rows.timestamps, kind="stable")
    inside = (placed.timestamps >= low) & (placed.timestamps <= high)
    placed = placed.select(order[inside[order]])
    if not len(placed.values):
        raise BadData(
            f"no period of {Setting('freq', schema.calendar.name)} is complete",
            place=name,
            cure=f"pass a finer {Setting('freq')}",
        )
    sums = placed.combine(schema.aggregate or "sum")
    if schema.aggregate != "sum":
        return sums
    lacks = np.zeros(len(sums.values), bool)
    if schema.missing == "zero":  # absent rows are zeros, so that only blank cells are missing
        both = blank.placed_on(calendar).followed_by(sums)
        lacks = repeats(both.series, both.timestamps)[len(blank.values) :]
    elif fine is not None:  # a sum lacks values if it has fewer than its period has finer steps
        ends = distinct(observed.timestamps)[[0, -1]]
        first, last = fine.positions(ends)
        # at most so many steps are counted
        fine_positions = np.arange(first, min(last + 1, first + 10_000_000))
        periods = calendar.positions(fine.times(fine_positions))
        first_period = periods[0]
        steps = np.bincount(periods - first_period, minlength=high - first_period + 1)
        ones = replace(placed, values=np.ones_like(placed.values))
        counts = ones.combine("sum").values
        lacks = counts < steps[sums.timestamps - first_period]
    if lacks.any():
        log.warning(
            "%s: %d of %d sums lack values of their period of %s; what is missing counts as 0.",
            name,
            lacks.sum(),
            len(lacks),
            schema.calendar.name,
        )
    return sums


def _whole_periods(
    name: str, rows: TimedValues, fine: Calendar | None, schema: Schema
) -> tuple[int, int]:
    """Return the first and the last period that the table covers.

    The last period must be covered up to its end, and the first period of a sum from its start.
    """
    calendar = build_calendar(schema)
    times = distinct(rows.timestamps)
    ends = times[[0, -1]]
    if fine is not None:
        first, last = fine.positions(ends)
        edges = fine.times(np.array([first - 1, last + 1]))
    else:
        step = 0
        if len(times) > 1:
            step = int(np.median(np.diff(times)))
        edges = ends + np.array([-step, step])
    low, high = calendar.positions(ends).tolist()
    before, after = calendar.positions(edges).tolist()
    if schema.aggregate == "sum" and before == low:
        log.warning(
            "%s: the first period of %s is not complete; it is left out.",
            name,
            schema.calendar.name,
        )
        low += 1
    if after == high:
        positions = calendar.positions(times)
        last_rows = np.diff(positions, append=positions[-1] + 1) > 0
        to_end = (calendar.ends(positions) - times)[last_rows]  # [periods]
        as_early = (to_end[:-1] >= to_end[-1]).sum()
        # the last period is complete if one in ten of the earlier ones ends as early
        is_cut = as_early < max(1, 0.1 * (len(to_end) - 1))
        if is_cut and is_left_out(schema, name):
            high -= 1
    return low, high


def _fill_zeros(
    observations: Observations,
    observed: TimedValues,
    blank: TimedValues,
    fine: Calendar,
    schema: Schema,
) -> TimedValues:
    """Return the values, and a zero for each step of the finer grid that has no row.

    There are no zeros before the first row of a series.
    """
    placed = observed.placed_on(fine)
    newest = int(placed.timestamps.max())
    blank = blank.placed_on(fine)
    first, lengths, zeros = find_spans(placed, blank, len(observations.ids), newest, schema)
    count = lengths.sum()
    if count > 100_000_000:
        raise Unavailable(
            f"with a zero for each absent row it has {count:,} rows, more than fit in memory",
            place=observations.table.name,
            cure=f"pass {Setting('aggregate', 'sum')}, or a table of fewer series",
        )
    offsets, steps = runs(first, lengths)
    absent = find_absent_slots(placed.followed_by(blank), first, lengths, offsets)
    absent &= np.repeat(zeros, lengths)
    series_of_slots = np.repeat(np.arange(len(first)), lengths)
    series = series_of_slots[absent]
    times = fine.times(steps[absent])
    return observed.followed_by(TimedValues(series, times, np.zeros(len(series))))


def build_panel(
    observations: Observations,
    schema: Schema,
    horizon: int,
    origin: str | None = None,
    reach: int | None = None,
) -> Panel:
    """Lay observed values on the grid, series by series, with the covariates of their table.

    Each series starts at its own first observed value. All series end at the same origin, the last
    time at which any of them was observed; in a `rows` table, each ends at its own last value. Rows
    after the origin give the covariates known in advance. Statuses are not set here, see
    `set_status`. Raises `Unavailable` if the panel would not fit in memory.
    """
    placed, blank, newest = place_values(observations, schema, origin, reach)
    first, lengths, zeros = find_spans(placed, blank, len(observations.ids), newest, schema)
    sizes = lengths + horizon
    steps = sizes.sum()
    if steps * (2 + len(schema.known) + len(schema.past)) > MAX_PANEL_NUMBERS:
        raise Unavailable(
            f"{len(sizes):,} series on the grid {schema.calendar.name} from first to last time "
            f"need {steps:,} steps, more than fit in memory",
            place=observations.table.name,
            cure=f"pass a coarser {Setting('freq')} with {Setting('aggregate')}",
        )
    offsets, _ = runs(first, sizes)
    observed = np.repeat(zeros, sizes)
    if zeros.any():
        observed &= find_absent_slots(placed.followed_by(blank), first, lengths, offsets)
    slots = offsets[placed.series] + placed.timestamps - first[placed.series]
    observed[slots] = True
    values = np.zeros(steps)
    values[slots] = placed.values + 0.0  # turns -0.0 into 0.0
    none = np.zeros((steps, 0))
    panel = Panel(
        ids=observations.ids,
        order=observations.order,
        offsets=offsets,
        starts=first,
        ahead=horizon,
        values=values,
        observed=observed,
        known=none,
        past=none,
        static=static_values(observations, schema),
        regions=find_regions(observations, schema),
    )
    past = covariates(panel, observations, schema, schema.past)
    past[~panel.before(lengths)] = np.nan
    known = covariates(panel, observations, schema, schema.known)
    return replace(panel, known=known, past=past)


def add_future(
    panel: Panel,
    future: Table | None,
    schema: Schema,
    times: ParsedTimes | None = None,
    instant: int | None = None,
) -> Panel:
    """Add the values known in advance that a table of the future holds.

    `times` are the times of that table, if they are parsed already.
    """
    if future is None or not schema.known:
        return panel
    dated = DatedTable(normalise(future), schema.time, times, schema, instant)
    return add_vintages(panel, dated, schema)


def check_order(observations: Observations, schema: Schema) -> None:
    """Refuse times that repeat in a series; warn of rows out of order."""
    table = observations.table
    times = observations.row_timestamps
    long = schema.layout == "long"
    series = observations.series if long else np.zeros(len(times), np.int64)
    order = np.argsort(series, kind="stable")
    same_series = np.diff(series[order]) == 0
    steps = np.diff(times[order])[same_series]
    if (steps > 0).all():
        return
    if table.ordered and (steps < 0).any():
        log.warning(
            "%s: sorted by time; %s came after a later one.",
            table.name,
            rows_text((steps < 0).sum()),
        )
    repeated = repeats(series, times)
    if not repeated.any():
        return
    # a further column, such as a receipt number, should tell rows apart; without one, equal rows
    # may be normal
    if set(schema.ignored) - schema.calendar_columns.keys():
        comparable = [column for column in table.names if table.kind(column) != "other"]
        same = repeated_rows(table, comparable)
        if same.any():
            first = table.line(np.argmax(same))
            log.warning(
                "%s: %s repeat an earlier row in every column, first %s; was the table "
                "loaded twice?",
                table.name,
                rows_text(same.sum()),
                first,
            )
    if schema.on_duplicate != "error":
        log.warning(
            "%s: times that repeat: %s; settled by %s.",
            table.name,
            rows_text(repeated.sum()),
            Setting("on_duplicate", schema.on_duplicate),
        )
    elif schema.aggregate is None:
        zone = zone_cure(times[repeated], schema.time_format.zone)
        first = f"{Setting('on_duplicate', 'first')} (or last, mean, sum)"
        ids = schema.ids if long else ()
        raise repeated_row(
            table,
            ids,
            schema.time,
            ParsedTimes(times, schema.time_format),
            repeated,
            f"{zone}pass {first}; at fit, {Setting('id')} names the columns that tell series apart",
        )


def check_on_grid(table: Table, row_times: Integers, schema: Schema, whole: bool) -> None:
    """Refuse times between those of the grid, and a whole table of a coarser frequency."""
    times = distinct(row_times)
    name = schema.calendar.name
    calendar = build_calendar(schema)
    off = times[~calendar.on_grid(times)]
    steps = np.diff(calendar.positions(times))
    coarser = whole and len(steps) > 2 and steps.min() > 1
    if not len(off) and not coarser:
        return
    other = name
    with suppress(BadData):
        series = np.zeros(len(times), np.int64)
        other = infer_calendar(times, series, None, schema.time_format).name
    looks = f" (its frequency looks like {other})" if other != name else ""
    cure = f"bring it to the frequency of the fit, or fit again, with another {Setting('freq')}"
    if len(off):
        row = np.argmax(row_times == off[0])
        time = table.value(row, schema.time)
        problem = f"{time} does not lie on the grid {name} (times like that: {len(off):,}){looks}"
        raise BadData(problem, place=table.place(row, schema.time), cure=cure)
    if int(np.gcd.reduce(steps)) > 1 or looks:
        problem = f"all times lie {steps.min()} steps of the grid {name} or more apart"
        raise BadData(
            f"{problem}: the table is coarser than that{looks}", place=table.name, cure=cure
        )


def warn_gaps(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of missing values between the first and the last value of a series."""
    spans, counts = observed_spans(panel)
    gaps = np.where(counts > 0, spans - counts, 0)
    if not gaps.any():
        return
    series = int(np.argmax(gaps > 0))
    step = np.argmin(panel.observed[panel.slots(series)])
    position = panel.starts[[series]] + step
    (time,) = position_texts(schema, position)
    first = f"{series_name(panel.ids[series])} at {time}".removeprefix(" at ")
    ignored = ", or ignored by events" if has_kind(schema, "ignore") else ""
    log.warning(
        "%s: %s are missing, in %s (the first: %s): blank, or without a row%s.",
        name,
        f"{gaps.sum()} of {spans.sum()} values",
        f"{(gaps > 0).sum()} of {len(gaps)} series",
        first,
        ignored,
    )
