"""Build the panel of a table: values on one grid, end to end, gaps masked, covariates beside them."""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.calendar.frequency import infer_calendar
from forecast.calendar.parsing import ParsedTimes, format_timestamp, parse_timestamp
from forecast.calendar.zones import zone_cure
from forecast.errors import BadData, Setting, Unavailable, UsageError, Words
from forecast.events.kinds import has_kind
from forecast.logs import log
from forecast.panel.naming import series_name
from forecast.panel.panel import Flags, Integers, Numbers, Panel, runs, steps_within
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.comparing import observed_spans
from forecast.reading.dated import DatedTable, normalised, repeated_rows
from forecast.reading.observations import Observations, TimedValues, covariates, static_values
from forecast.reading.roles import repeated_row
from forecast.reading.vintages import is_left_out, with_vintages
from forecast.tables.cells import MAX_VALUE, MIN_VALUE
from forecast.tables.table import Table, distinct, repeats, rows_text

MIN_TIMES = 4  # of so many different times or fewer, none is an outlier
FAR = 10  # the first or last of more is one if its distance from the others is so many times what they span
MIN_ABSENT = 0.5  # share of absent rows from which on a table of counts looks sparse
MAX_ZEROS = 0.1  # a table with more zeros than this has no reason to leave others out

EARLIEST = 0.1  # share of earlier periods; the last one is complete if its last row comes no earlier than theirs
MAX_STEPS = 10_000_000  # of a finer grid, to count the values that a period should have
MAX_ROWS = 100_000_000  # zeros of absent rows included
MAX_NUMBERS = 250_000_000  # of values and covariates: about 4 GB with what training adds


@dataclass(frozen=True)
class Grid:
    """Observed values by series and grid position, which is what all positions here are."""

    series: Integers  # [observed], ascending, then by position; no pair twice
    positions: Integers
    values: Numbers
    blank_series: Integers  # [blanks], those of rows without a value
    blank_positions: Integers
    first: Integers  # [series], first position; the origin where there is no value
    origins: Integers  # [series], last position of the past
    zeros: Flags  # [series], whether positions without rows hold zeros


def fill(
    table: Table, observations: Observations, schema: Schema, origin: str | None, reach: int | None
) -> Grid:
    """Place observed values on the grid: one for each series and position; none after `origin`.

    A part of a table, which may have no value, has a `reach`: the newest time of a value of the whole, see `reach_of`.
    """
    rows, calendar = (
        TimedValues(observations.series, observations.timestamps, observations.values),
        calendar_of(schema),
    )
    use = np.isfinite(rows.values)
    if reach is None and not use.any():
        raise BadData("no series has a value; the target is blank in every row", place=table.name)
    last = None if origin is None else _cut_at(table, observations, use, schema, origin)
    if last is not None:
        rows, use = (
            rows.select(observations.timestamps <= last),
            use[observations.timestamps <= last],
        )
    observed, blank = rows.select(use), rows.select(~use)
    if schema.on_duplicate != "error":
        observed = observed.combined(schema.on_duplicate)
    positions = calendar.positions(observed.timestamps)
    if reach is None:
        _refuse_outlier(table, observations, observed.timestamps, positions, schema)
    placed = TimedValues(
        observed.series, positions, observed.values
    )  # its `timestamps` are grid positions
    if schema.aggregate is not None:
        placed = aggregated(table, observed, blank, schema)
    placed = placed.combined("first")
    series, positions, values = placed.series, placed.timestamps, placed.values
    sizes = np.abs(values)
    largest = np.zeros(len(observations.ids))
    np.maximum.at(largest, series, sizes)
    wrong = (sizes > MAX_VALUE) | ((sizes > 0) & (largest[series] < MIN_VALUE))
    if wrong.any():
        row = int(wrong.argmax())
        (time,) = position_texts(schema, calendar, positions[[row]])
        name = series_name(observations.ids[series[row]]) or "the series"
        problem = f"the value of {name} at {time} is too {'small' if sizes[row] < 1 else 'large'} ({values[row]:.1e})"
        cure = f"numbers from {MIN_VALUE:.0e} to {MAX_VALUE:.0e} can be forecast: use another unit"
        raise BadData(problem, place=table.name, cure=cure)
    counts = np.bincount(series, minlength=len(observations.ids)).astype(np.int64)
    present, ends = counts > 0, np.cumsum(counts)
    # where absent rows are zeros, the series go on to the origin, wherever their own values end
    ends_at = [last if schema.missing == "zero" and schema.aggregate is None else None, reach]
    times = np.array([time for time in ends_at if time is not None], np.int64)
    end = int(np.concatenate([positions, calendar.positions(times)]).max())
    common_end, first, own_end = (np.full(len(counts), end) for _ in range(3))
    first[present], own_end[present] = (
        positions[(ends - counts)[present]],
        positions[ends[present] - 1],
    )
    blank = blank.select(calendar.positions(blank.timestamps) <= end)
    empty = calendar.positions(blank.timestamps)
    zeros = present & (schema.missing == "zero" and schema.dated)
    if (
        schema.missing == "zero" and schema.layout == "long"
    ):  # in a wide table a blank cell is no row of its series
        zeros[blank.series] = True
        np.minimum.at(first, blank.series, empty)
    origins = common_end if schema.dated else own_end
    return Grid(series, positions, values, blank.series, empty, first, origins, zeros)


def _cut_at(
    table: Table, observations: Observations, use: Flags, schema: Schema, origin: str
) -> int:
    """The time of the origin: later rows are not used."""
    last, setting = parse_timestamp(origin, schema.time_format), Setting("origin", origin)
    newest = int(observations.timestamps[use].max())
    if not (use & (observations.timestamps <= last)).any():
        first = format_timestamp(int(observations.timestamps.min()), schema.time_format)
        raise UsageError(
            f"lies before all values of {table.name}, which start at {first}", setting=setting
        )
    if last > newest:
        end = format_timestamp(newest, schema.time_format)
        log.warning(
            "%s: ends at %s, before %s; forecasts start after its end", table.name, end, setting
        )
    return min(last, newest)


def _refuse_outlier(
    table: Table, found: Observations, times: Integers, positions: Integers, schema: Schema
) -> None:
    """Refuse a time that lies far from all the others: 9999-12-31 would end all series long before the origin."""
    unique = distinct(positions)
    if len(unique) <= MIN_TIMES or not schema.dated:
        return
    ends = (
        [(unique[1] - unique[0], unique[-1] - unique[1], unique[0])]
        if schema.layout == "wide"
        else []
    )
    for gap, span, outlier in (
        *ends,
        (unique[-1] - unique[-2], unique[-2] - unique[0], unique[-1]),
    ):
        if gap > FAR * max(span, FAR):
            time = int(times[np.argmax(positions == outlier)])
            place = table.place(int(np.argmax(found.row_timestamps == time)), schema.time)
            text = format_timestamp(time, schema.time_format)
            problem = f"{text} lies {gap:,} steps from all other times, which span {span:,}"
            raise BadData(problem, place=place, cure="correct it, or remove the row")


def warn_sparse(name: str, grid: Grid, panel: Panel, schema: Schema) -> None:
    """Warn where counts are mostly absent and absent rows are unknown; name the setting that makes them zeros."""
    counts = (grid.values >= 0).all() and (grid.values == np.floor(grid.values)).all()
    if (
        schema.missing == "zero"
        or not schema.dated
        or not counts
        or (grid.values == 0).mean() >= MAX_ZEROS
    ):
        return
    spans, counts = observed_spans(panel)
    series, step = grid.blank_series, grid.blank_positions - grid.first[grid.blank_series]
    inside = (step >= 0) & (step < spans[series])
    blank = len(np.unique((panel.offsets[series] + step)[inside]))
    steps = int(spans[counts > 0].sum())
    if (share := (steps - counts.sum() - blank) / max(steps, 1)) > MIN_ABSENT:
        text = "%s: counts without zeros: %.0f %% of the rows are absent, and unknown; pass %s if they mean zero"
        log.warning(text, name, np.floor(100 * share), Setting("missing", "zero"))


def aggregated(
    table: Table, observed: TimedValues, blank: TimedValues, schema: Schema
) -> TimedValues:
    """Values by series and period of the calendar: sum, mean or last value; times of the rows are grid positions then.

    A last period that is not complete may be left out, and for a sum a first one always is. Blank values never count.
    Absent rows that mean zero become zeros before the periods are formed, if the rows lie on a regular grid. Where
    absent rows are unknown, a sum is that of the present rows, with a warning.
    """
    zero, name, calendar = schema.missing == "zero", schema.calendar.name, calendar_of(schema)
    fine: Calendar | None = None  # the grid on which the rows lie, if they do
    with suppress(BadData):
        spec = infer_calendar(observed.timestamps, observed.series, None, schema.time_format)
        fine = Calendar(spec, schema.time_format.zone)
    low, high = _whole_periods(table, observed, fine, schema)
    rows = observed
    if fine is not None and zero and schema.aggregate != "sum":
        rows = _with_zeros(table, observed, blank, fine)
    positions = calendar.positions(rows.timestamps)
    complete = np.flatnonzero((positions >= low) & (positions <= high))
    if not len(complete):
        problem = Words("no period of ", Setting("freq", name), " is complete")
        raise BadData(problem, place=table.name, cure=Words("pass a finer ", Setting("freq")))
    complete = complete[np.argsort(rows.timestamps[complete], kind="stable")]
    series, positions = rows.series[complete], positions[complete]
    result = TimedValues(series, positions, rows.values[complete]).combined(
        schema.aggregate or "sum"
    )
    if schema.aggregate == "sum":
        lacks = np.zeros(len(result.values), bool)
        if zero:  # a blank value lies in the period
            empty, span = calendar.positions(blank.timestamps), high - low + 1
            keys = (blank.series * span + empty - low)[(empty >= low) & (empty <= high)]
            lacks = np.isin(result.series * span + result.timestamps - low, keys)
        elif fine is not None:  # fewer values than the period has steps of the finer grid
            first, last = fine.positions(distinct(observed.timestamps)[[0, -1]]).tolist()
            if last - first < MAX_STEPS:
                steps = calendar.positions(fine.times(np.arange(first, last + 1)))
                counts = TimedValues(series, positions, np.ones(len(series))).combined("sum").values
                lacks = counts < np.bincount(steps - steps[0])[result.timestamps - steps[0]]
        if lacks.any():
            text = (
                "%s: %d of %d sums lack values of their period of %s; what is missing counts as 0."
            )
            log.warning(text, table.name, lacks.sum(), len(lacks), name)
    return result


def _whole_periods(
    table: Table, rows: TimedValues, fine: Calendar | None, schema: Schema
) -> tuple[int, int]:
    """The first and the last period that the table covers to its end, and for a sum from its start."""
    unique, calendar = distinct(rows.timestamps), calendar_of(schema)
    if fine is not None:
        ends = fine.positions(unique[[0, -1]])
        before, after = fine.times(ends[:1] - 1), fine.times(ends[1:] + 1)
    else:
        step = int(np.median(np.diff(unique))) if len(unique) > 1 else 0
        before, after = unique[:1] - step, unique[-1:] + step
    low, high = calendar.positions(unique[[0, -1]]).tolist()
    cut_first = schema.aggregate == "sum" and int(calendar.positions(before)[0]) == low
    cut_last = int(calendar.positions(after)[0]) == high
    if cut_first:
        log.warning(
            "%s: the first period of %s is not complete; it is left out.",
            table.name,
            schema.calendar.name,
        )
    cut_last = cut_last and _ends_early(unique, calendar) and is_left_out(schema, table.name)
    return low + cut_first, high - cut_last


def _ends_early(timestamps: Integers, calendar: Calendar) -> bool:
    """Whether the last row of the last period comes earlier in it than usual; the timestamps ascend."""
    positions = calendar.positions(timestamps)
    last_rows = np.diff(positions, append=positions[-1] + 1) > 0
    to_end = (calendar.ends(positions) - timestamps)[last_rows]
    as_early = (to_end[:-1] >= to_end[-1]).sum()
    return bool(as_early < max(1, EARLIEST * (len(to_end) - 1)))


def _with_zeros(table: Table, rows: TimedValues, blank: TimedValues, fine: Calendar) -> TimedValues:
    """The rows, and a zero for each step of the finer grid that has none after the first row of its series."""
    steps, empty = fine.positions(rows.timestamps), fine.positions(blank.timestamps)
    last = int(steps.max())
    series = np.concatenate([rows.series, blank.series[empty <= last]])
    taken = np.concatenate([steps, empty[empty <= last]])
    first = np.full(int(series.max()) + 1, last + 1)
    np.minimum.at(first, series, taken)
    lengths = last + 1 - first
    if (count := int(lengths.sum())) > MAX_ROWS:
        problem = f"with a zero for each absent row it has {count:,} rows, more than fit in memory"
        cure = Words("pass ", Setting("aggregate", "sum"), ", or a table of fewer series")
        raise Unavailable(problem, place=table.name, cure=cure)
    starts, step = runs(first, lengths)
    absent = np.ones(count, bool)
    absent[starts[series] + taken - first[series]] = False
    owner, step = np.repeat(np.arange(len(lengths)), lengths)[absent], fine.times(step[absent])
    values = np.concatenate([rows.values, np.zeros(len(owner))])
    return TimedValues(
        np.concatenate([rows.series, owner]), np.concatenate([rows.timestamps, step]), values
    )


def build_panel(
    table: Table, schema: Schema, observations: Observations, grid: Grid, horizon: int
) -> Panel:
    """Lay the values of a grid end to end, with the covariates of their table beside them.

    All series end at one origin, the last time at which any of them was observed; in a `rows` table each ends at its
    own last value. Each starts at its own first observed value. Rows after the origin give known covariates of the
    future. Statuses are left open, see `with_status`. `Unavailable` if the panel would not fit in memory.
    """
    lengths = grid.origins - grid.first + 1
    sizes = lengths + horizon
    steps = int(sizes.sum())
    if steps * (2 + len(schema.known) + len(schema.past)) > MAX_NUMBERS:
        series = f"{len(observations.ids):,} series on the grid {schema.calendar.name} from first to last time"
        cure = Words("pass a coarser ", Setting("freq"), " with ", Setting("aggregate"))
        raise Unavailable(
            f"{series} need {steps:,} steps, more than fit in memory", place=table.name, cure=cure
        )
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    slot = offsets[grid.series] + grid.positions - grid.first[grid.series]
    values = np.zeros(offsets[-1])
    # the absence of a row means zero in the past of such a series, where it has no blank cell
    observed = np.repeat(grid.zeros, sizes) & (steps_within(sizes) < np.repeat(lengths, sizes))
    step = grid.blank_positions - grid.first[grid.blank_series]
    inside = (step >= 0) & (step < lengths[grid.blank_series])
    observed[(offsets[grid.blank_series] + step)[inside]] = False
    values[slot], observed[slot] = grid.values + 0.0, True  # turns -0.0 into 0.0
    static, nothing = static_values(table, schema, observations), np.zeros((int(offsets[-1]), 0))
    ids, order = observations.ids, observations.order
    panel = Panel(
        ids, order, offsets, grid.first, horizon, values, observed, nothing, nothing, static
    )
    known, past = (
        covariates(panel, table, schema, names, observations)
        for names in (schema.known, schema.past)
    )
    past[~panel.before(lengths)] = np.nan
    return replace(panel, known=known, past=past)


def with_future(
    panel: Panel,
    future: Table,
    schema: Schema,
    times: ParsedTimes | None = None,
    instant: int | None = None,
) -> Panel:
    """The panel with columns known in advance from a table of the future, whose times may have been parsed before."""
    if not schema.known:
        return panel
    return with_vintages(
        panel, DatedTable(normalised(future), schema.time, times, schema, instant), schema
    )


def check_rows(
    table: Table, observations: Observations, schema: Schema, whole: bool = True
) -> None:
    """Refuse times off the grid, or twice in a series; warn of rows out of order. A part may be coarser."""
    if schema.dated:
        _check_order(table, observations, schema)
        if schema.aggregate is None:
            _check_on_grid(table, observations, schema, whole)


def _check_order(table: Table, observations: Observations, schema: Schema) -> None:
    """Refuse rows that come twice, and warn of rows that are not in the order of time."""
    times = observations.row_timestamps
    series = observations.series if schema.layout == "long" else np.zeros(len(times), np.int64)
    order = slice(None) if (np.diff(series) >= 0).all() else np.argsort(series, kind="stable")
    steps = np.diff(times[order])[np.diff(series[order]) == 0]
    if table.ordered and (steps < 0).any():
        log.warning(
            "%s: sorted by time; %s came after a later one.",
            table.name,
            rows_text((steps < 0).sum()),
        )
    elif (steps > 0).all():
        return
    twice, rule = repeats(series, times), Setting("on_duplicate", schema.on_duplicate)
    count = rows_text(twice.sum())
    # without a further column, such as a receipt number, rows that are alike may be usual
    if twice.any() and set(schema.ignored) - schema.calendar_columns.keys():
        same = repeated_rows(
            table, [column for column in table.names if table.kind(column) != "other"]
        )
        if same.any():
            text = "%s: %s repeat an earlier row in every column, first %s; was the table loaded twice?"
            log.warning(text, table.name, rows_text(same.sum()), table.line(int(np.argmax(same))))
    if twice.any() and schema.on_duplicate != "error":
        log.warning("%s: times that repeat: %s; settled by %s.", table.name, count, rule)
    elif twice.any() and schema.aggregate is None:
        ids = schema.ids if schema.layout == "long" else ()
        how = Setting("on_duplicate", "first"), " (or last, mean, sum); at fit, ", Setting("id")
        zone = zone_cure(times[twice], schema.time_format.zone)
        cure = Words(*zone, "pass ", *how, " names the columns that tell series apart")
        raise repeated_row(
            table, ids, schema.time, ParsedTimes(times, schema.time_format), twice, cure
        )


def _check_on_grid(table: Table, observations: Observations, schema: Schema, whole: bool) -> None:
    """Refuse times between those of the grid, and a whole table of a coarser frequency."""
    name, unique, calendar = (
        schema.calendar.name,
        distinct(observations.row_timestamps),
        calendar_of(schema),
    )
    off = unique[~calendar.on_grid(unique)]
    steps = np.diff(calendar.positions(unique))
    coarser = whole and len(steps) > 2 and int(steps.min()) > 1
    if not len(off) and not coarser:
        return
    try:
        other = infer_calendar(
            unique, np.zeros(len(unique), np.int64), None, schema.time_format
        ).name
    except BadData:
        other = name
    looks = f" (its frequency looks like {other})" if other != name else ""
    cure = Words(
        "bring it to the frequency of the fit, or fit again, with another ", Setting("freq")
    )
    if len(off):
        row = int(np.argmax(observations.row_timestamps == off[0]))
        more = f", nor do {len(off) - 1:,} other times of the table" if len(off) > 1 else ""
        problem = f"{table.value(row, schema.time)} does not lie on the grid {name}{more}{looks}"
        raise BadData(problem, place=table.place(row, schema.time), cure=cure)
    if int(np.gcd.reduce(steps)) > 1 or other != name:
        problem = f"all times lie {steps.min()} steps of the grid {name} or more apart: the table is coarser than that"
        raise BadData(f"{problem}{looks}", place=table.name, cure=cure)


def warn_gaps(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of missing values between the first and the last of a series."""
    spans, counts = observed_spans(panel)
    gaps = np.where(counts > 0, spans - counts, 0)
    if gaps.any():
        series = int(np.argmax(gaps > 0))
        position = panel.starts[[series]] + np.argmin(panel.observed[panel.slots(series)])
        (time,) = position_texts(schema, calendar_of(schema), position)
        first = f"{series_name(panel.ids[series])} at {time}".removeprefix(" at ")
        text = "%s: %d of %d values are missing, in %d of %d series (the first: %s): blank, or without a row%s."
        ignored = ", or ignored by events" if has_kind(schema, "ignore") else ""
        log.warning(
            text, name, gaps.sum(), spans.sum(), (gaps > 0).sum(), len(gaps), first, ignored
        )
