"""Build the panel of a table: values on one grid, end to end, gaps masked, covariates beside."""

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
FAR = 10  # an outlier lies this many times what the other times span away from them
MIN_ABSENT = 0.5  # share of absent rows from which on a table of counts looks sparse
MAX_ZEROS = 0.1  # a table with a larger share of zeros has no reason to leave others out
EARLIEST = 0.1  # share of periods that end as early as the last one, if that is complete
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

    def blanks(self) -> tuple[Integers, Integers]:
        """Series and step of the blanks between first position and origin, [blanks]."""
        step = self.blank_positions - self.first[self.blank_series]
        inside = (step >= 0) & (self.blank_positions <= self.origins[self.blank_series])
        return self.blank_series[inside], step[inside]


def fill(
    table: Table, observations: Observations, schema: Schema, origin: str | None, reach: int | None
) -> Grid:
    """Place observed values on the grid: one for each series and position; none after `origin`.

    A part of a table may have no value; its `reach` is the time of the newest value of the whole,
    see `reach_of`.
    """
    calendar = calendar_of(schema)
    present = np.isfinite(observations.values)
    if reach is None and not present.any():
        raise BadData("no series has a value; the target is blank in every row", place=table.name)
    end = reach
    used = np.ones(len(present), bool)
    if origin is not None:
        cut = _origin_time(table, observations, present, schema, origin)
        used = observations.timestamps <= cut
        if schema.missing == "zero" and schema.aggregate is None:
            end = cut  # the zeros of absent rows go on to it
    blank = observations.select(used & ~present)
    observed = observations.select(used & present)
    if schema.on_duplicate != "error":
        observed = observed.combined(schema.on_duplicate)
    placed = replace(observed, timestamps=calendar.positions(observed.timestamps))
    if reach is None and schema.dated:
        _refuse_outlier(table, observations, observed, placed.timestamps, schema)
    if schema.aggregate is not None:
        placed = aggregated(table, observed, blank, schema)
    placed = placed.combined("first")
    _check_sizes(table, observations, placed, schema)
    newest = placed.timestamps.max(initial=np.iinfo(np.int64).min)
    if end is not None:
        newest = max(newest, calendar.positions(np.array([end]))[0])
    return _grid(placed, blank, len(observations.ids), int(newest), schema)


def _grid(placed: TimedValues, blank: TimedValues, count: int, newest: int, schema: Schema) -> Grid:
    """The grid of values at their positions, of a number of series, up to a newest position."""
    series = placed.series
    positions = placed.timestamps
    counts = np.bincount(series, minlength=count)
    present = counts > 0
    ends = np.cumsum(counts)[present]
    first = np.full(count, newest)
    first[present] = positions[ends - counts[present]]
    origins = np.full(count, newest)
    if not schema.dated:
        origins[present] = positions[ends - 1]
    blank_positions = calendar_of(schema).positions(blank.timestamps)
    before_end = blank_positions <= newest
    blank_positions = blank_positions[before_end]
    blank_series = blank.series[before_end]
    zeros = present & (schema.missing == "zero" and schema.dated)
    # in a wide table a blank cell is no row of its series
    if schema.missing == "zero" and schema.layout == "long":
        zeros[blank_series] = True
        np.minimum.at(first, blank_series, blank_positions)
    return Grid(
        series, positions, placed.values, blank_series, blank_positions, first, origins, zeros
    )


def _origin_time(
    table: Table, observations: Observations, present: Flags, schema: Schema, origin: str
) -> int:
    """The time of the origin, at most that of the newest value: later rows are not used."""
    setting = Setting("origin", origin)
    last = parse_timestamp(origin, schema.time_format)
    times = observations.timestamps
    newest = int(times[present].max())
    if times[present].min() > last:
        first = format_timestamp(int(times.min()), schema.time_format)
        problem = f"lies before all values of {table.name}, which start at {first}"
        raise UsageError(problem, setting=setting)
    if last > newest:
        end = format_timestamp(newest, schema.time_format)
        text = "%s: ends at %s, before %s; forecasts start after its end"
        log.warning(text, table.name, end, setting)
    return min(last, newest)


def _refuse_outlier(
    table: Table,
    observations: Observations,
    observed: TimedValues,
    positions: Integers,
    schema: Schema,
) -> None:
    """Refuse a time far from all others: 9999-12-31 would end all series long before the origin."""
    unique = distinct(positions)
    if len(unique) <= MIN_TIMES:
        return
    ends = [(unique[-1], unique[:-1])]
    if schema.layout == "wide":
        ends.insert(0, (unique[0], unique[1:]))
    for position, others in ends:
        span = int(others[-1] - others[0])
        gap = int(np.abs(others - position).min())
        if gap > FAR * max(span, FAR):
            time = int(observed.timestamps[np.argmax(positions == position)])
            row = int(np.argmax(observations.row_timestamps == time))
            text = format_timestamp(time, schema.time_format)
            raise BadData(
                f"{text} lies {gap:,} steps from all other times, which span {span:,}",
                place=table.place(row, schema.time),
                cure="correct it, or remove the row",
            )


def _check_sizes(
    table: Table, observations: Observations, placed: TimedValues, schema: Schema
) -> None:
    """Refuse values too large, and series too small, for arithmetic in float32."""
    sizes = np.abs(placed.values)
    largest = np.zeros(len(observations.ids))
    np.maximum.at(largest, placed.series, sizes)
    wrong = (sizes > MAX_VALUE) | ((sizes > 0) & (largest[placed.series] < MIN_VALUE))
    if wrong.any():
        row = int(wrong.argmax())
        (time,) = position_texts(schema, calendar_of(schema), placed.timestamps[[row]])
        name = series_name(observations.ids[placed.series[row]]) or "the series"
        size = "small" if sizes[row] < 1 else "large"
        numbers = f"numbers from {MIN_VALUE:.0e} to {MAX_VALUE:.0e} can be forecast"
        raise BadData(
            f"the value of {name} at {time} is too {size} ({placed.values[row]:.1e})",
            place=table.name,
            cure=f"{numbers}: use another unit",
        )


def warn_sparse(name: str, grid: Grid, panel: Panel, schema: Schema) -> None:
    """Warn where counts are mostly absent and absent rows are unknown: they may mean zero."""
    counts = (grid.values >= 0).all() and (grid.values == np.floor(grid.values)).all()
    zeros = (grid.values == 0).mean()
    if schema.missing == "zero" or not schema.dated or not counts or zeros >= MAX_ZEROS:
        return
    spans, observed = observed_spans(panel)
    series, step = grid.blanks()
    inside = step < spans[series]
    blank = len(np.unique((panel.offsets[series] + step)[inside]))
    steps = max(int(spans[observed > 0].sum()), 1)
    share = (steps - observed.sum() - blank) / steps
    if share > MIN_ABSENT:
        log.warning(
            "%s: counts without zeros: %.0f %% of the rows are absent, and unknown; "
            "pass %s if they mean zero",
            name,
            np.floor(100 * share),
            Setting("missing", "zero"),
        )


def aggregated(
    table: Table, observed: TimedValues, blank: TimedValues, schema: Schema
) -> TimedValues:
    """Values by series and period: sum, mean or last value, at the grid position of the period.

    A last period that is not complete may be left out, and for a sum a first one always is. Blank
    values never count. Absent rows that mean zero become zeros before the periods are formed, if
    the rows lie on a regular grid. Where absent rows are unknown, a sum is that of the present
    rows, with a warning.
    """
    calendar = calendar_of(schema)
    fine: Calendar | None = None  # the grid on which the rows lie, if they do
    with suppress(BadData):
        spec = infer_calendar(observed.timestamps, observed.series, None, schema.time_format)
        fine = Calendar(spec, schema.time_format.zone)
    low, high = _whole_periods(table, observed, fine, schema)
    rows = observed
    if fine is not None and schema.missing == "zero" and schema.aggregate != "sum":
        rows = _with_zeros(table, observed, blank, fine)
    positions = calendar.positions(rows.timestamps)
    order = np.argsort(rows.timestamps, kind="stable")
    order = order[((positions >= low) & (positions <= high))[order]]
    if not len(order):
        raise BadData(
            Words("no period of ", Setting("freq", schema.calendar.name), " is complete"),
            place=table.name,
            cure=Words("pass a finer ", Setting("freq")),
        )
    placed = replace(rows, timestamps=positions).select(order)
    sums = placed.combined(schema.aggregate or "sum")
    if schema.aggregate == "sum":
        counts = replace(placed, values=np.ones_like(placed.values)).combined("sum").values
        lacks = _lacking_values(sums, counts, observed, blank, fine, schema)
        if lacks.any():
            log.warning(
                "%s: %d of %d sums lack values of their period of %s; what is missing counts as 0.",
                table.name,
                lacks.sum(),
                len(lacks),
                schema.calendar.name,
            )
    return sums


def _lacking_values(
    sums: TimedValues,
    counts: Numbers,
    observed: TimedValues,
    blank: TimedValues,
    fine: Calendar | None,
    schema: Schema,
) -> Flags:
    """[sums], whether a period has fewer values than it should have: steps of the finer grid.

    Where absent rows mean zero, only blank cells are missing.
    """
    calendar = calendar_of(schema)
    if schema.missing == "zero":
        series = np.concatenate([blank.series, sums.series])
        periods = np.concatenate([calendar.positions(blank.timestamps), sums.timestamps])
        return repeats(series, periods)[len(blank.series) :]
    if fine is None:
        return np.zeros(len(counts), bool)
    first, last = fine.positions(distinct(observed.timestamps)[[0, -1]]).tolist()
    if last - first >= MAX_STEPS:
        return np.zeros(len(counts), bool)
    periods = calendar.positions(fine.times(np.arange(first, last + 1)))
    steps = np.bincount(periods - periods[0])
    return counts < steps[sums.timestamps - periods[0]]


def _whole_periods(
    table: Table, rows: TimedValues, fine: Calendar | None, schema: Schema
) -> tuple[int, int]:
    """The first and the last period that the table covers to its end, and for a sum from its start."""
    calendar = calendar_of(schema)
    times = distinct(rows.timestamps)
    if fine is not None:
        first, last = fine.positions(times[[0, -1]])
        edges = fine.times(np.array([first - 1, last + 1]))
    else:
        step = int(np.median(np.diff(times))) if len(times) > 1 else 0
        edges = times[[0, -1]] + [-step, step]
    low, high = calendar.positions(times[[0, -1]]).tolist()
    before, after = calendar.positions(edges).tolist()
    if schema.aggregate == "sum" and before == low:
        text = "%s: the first period of %s is not complete; it is left out."
        log.warning(text, table.name, schema.calendar.name)
        low += 1
    if after == high and _ends_early(times, calendar) and is_left_out(schema, table.name):
        high -= 1
    return low, high


def _ends_early(times: Integers, calendar: Calendar) -> bool:
    """Whether the last row of the last period comes earlier in it than usual; the times ascend."""
    positions = calendar.positions(times)
    last_rows = np.diff(positions, append=positions[-1] + 1) > 0
    to_end = (calendar.ends(positions) - times)[last_rows]
    as_early = (to_end[:-1] >= to_end[-1]).sum()
    return bool(as_early < max(1, EARLIEST * (len(to_end) - 1)))


def _with_zeros(table: Table, rows: TimedValues, blank: TimedValues, fine: Calendar) -> TimedValues:
    """The rows, and a zero for each step of the finer grid without a row since its series began."""
    steps = fine.positions(rows.timestamps)
    last = int(steps.max())
    blank_steps = fine.positions(blank.timestamps)
    inside = blank_steps <= last
    series = np.concatenate([rows.series, blank.series[inside]])
    steps = np.concatenate([steps, blank_steps[inside]])
    first = np.full(int(series.max()) + 1, last + 1)
    np.minimum.at(first, series, steps)
    lengths = last + 1 - first
    count = int(lengths.sum())
    if count > MAX_ROWS:
        raise Unavailable(
            f"with a zero for each absent row it has {count:,} rows, more than fit in memory",
            place=table.name,
            cure=Words("pass ", Setting("aggregate", "sum"), ", or a table of fewer series"),
        )
    offsets, all_steps = runs(first, lengths)
    absent = np.ones(count, bool)
    absent[offsets[series] + steps - first[series]] = False
    all_series = np.repeat(np.arange(len(lengths)), lengths)
    return TimedValues(
        np.concatenate([rows.series, all_series[absent]]),
        np.concatenate([rows.timestamps, fine.times(all_steps[absent])]),
        np.concatenate([rows.values, np.zeros(absent.sum())]),
    )


def build_panel(
    table: Table, schema: Schema, observations: Observations, grid: Grid, horizon: int
) -> Panel:
    """Lay the values of a grid end to end, with the covariates of their table beside them.

    All series end at one origin, the last time at which any of them was observed; in a `rows` table
    each ends at its own last value. Each starts at its own first observed value. Rows after the
    origin give known covariates of the future. Statuses are left open, see `with_status`.
    `Unavailable` if the panel would not fit in memory.
    """
    lengths = grid.origins - grid.first + 1
    sizes = lengths + horizon
    steps = int(sizes.sum())
    if steps * (2 + len(schema.known) + len(schema.past)) > MAX_NUMBERS:
        raise Unavailable(
            f"{len(lengths):,} series on the grid {schema.calendar.name} from first to last time "
            f"need {steps:,} steps, more than fit in memory",
            place=table.name,
            cure=Words("pass a coarser ", Setting("freq"), " with ", Setting("aggregate")),
        )
    offsets, _ = runs(grid.first, sizes)
    # without a row such a series holds zeros up to its origin, but not in blank cells
    observed = np.repeat(grid.zeros, sizes) & (steps_within(sizes) < np.repeat(lengths, sizes))
    blank_series, blank_steps = grid.blanks()
    observed[offsets[blank_series] + blank_steps] = False
    slots = offsets[grid.series] + grid.positions - grid.first[grid.series]
    observed[slots] = True
    values = np.zeros(steps)
    values[slots] = grid.values + 0.0  # turns -0.0 into 0.0
    empty = np.zeros((steps, 0))
    panel = Panel(
        ids=observations.ids,
        order=observations.order,
        offsets=offsets,
        starts=grid.first,
        ahead=horizon,
        values=values,
        observed=observed,
        known=empty,
        past=empty,
        static=static_values(table, schema, observations),
    )
    past = covariates(panel, table, schema, schema.past, observations)
    past[~panel.before(lengths)] = np.nan
    known = covariates(panel, table, schema, schema.known, observations)
    return replace(panel, known=known, past=past)


def with_future(
    panel: Panel,
    future: Table,
    schema: Schema,
    times: ParsedTimes | None = None,
    instant: int | None = None,
) -> Panel:
    """The panel with known columns from a table of the future, whose times may be parsed already."""
    if not schema.known:
        return panel
    dated = DatedTable(normalised(future), schema.time, times, schema, instant)
    return with_vintages(panel, dated, schema)


def check_rows(
    table: Table, observations: Observations, schema: Schema, whole: bool = True
) -> None:
    """Refuse times off the grid, or twice in a series; warn of rows out of order.

    A part of a table (not `whole`) may be coarser than the grid.
    """
    if schema.dated:
        _check_order(table, observations, schema)
        if schema.aggregate is None:
            _check_on_grid(table, observations.row_timestamps, schema, whole)


def _check_order(table: Table, observations: Observations, schema: Schema) -> None:
    times = observations.row_timestamps
    long = schema.layout == "long"
    series = observations.series if long else np.zeros(len(times), np.int64)
    ordered = (np.diff(series) >= 0).all()
    order = slice(None) if ordered else np.argsort(series, kind="stable")
    steps = np.diff(times[order])[np.diff(series[order]) == 0]
    if (steps > 0).all():
        return
    if table.ordered and (steps < 0).any():
        back = rows_text((steps < 0).sum())
        log.warning("%s: sorted by time; %s came after a later one.", table.name, back)
    repeated = repeats(series, times)
    if not repeated.any():
        return
    # without a further column, such as a receipt number, rows that are alike may be usual
    if set(schema.ignored) - schema.calendar_columns.keys():
        _warn_repeated_rows(table)
    if schema.on_duplicate != "error":
        log.warning(
            "%s: times that repeat: %s; settled by %s.",
            table.name,
            rows_text(repeated.sum()),
            Setting("on_duplicate", schema.on_duplicate),
        )
    elif schema.aggregate is None:
        cure = Words(
            *zone_cure(times[repeated], schema.time_format.zone),
            "pass ",
            Setting("on_duplicate", "first"),
            " (or last, mean, sum); at fit, ",
            Setting("id"),
            " names the columns that tell series apart",
        )
        ids = schema.ids if long else ()
        parsed = ParsedTimes(times, schema.time_format)
        raise repeated_row(table, ids, schema.time, parsed, repeated, cure)


def _warn_repeated_rows(table: Table) -> None:
    comparable = [column for column in table.names if table.kind(column) != "other"]
    same = repeated_rows(table, comparable)
    if same.any():
        log.warning(
            "%s: %s repeat an earlier row in every column, first %s; was the table loaded twice?",
            table.name,
            rows_text(same.sum()),
            table.line(int(np.argmax(same))),
        )


def _check_on_grid(table: Table, row_times: Integers, schema: Schema, whole: bool) -> None:
    """Refuse times between those of the grid, and a whole table of a coarser frequency."""
    times = distinct(row_times)
    name = schema.calendar.name
    calendar = calendar_of(schema)
    off = times[~calendar.on_grid(times)]
    steps = np.diff(calendar.positions(times))
    coarser = whole and len(steps) > 2 and int(steps.min()) > 1
    if not len(off) and not coarser:
        return
    other = name
    with suppress(BadData):
        series = np.zeros(len(times), np.int64)
        other = infer_calendar(times, series, None, schema.time_format).name
    looks = f" (its frequency looks like {other})" if other != name else ""
    cure = Words(
        "bring it to the frequency of the fit, or fit again, with another ", Setting("freq")
    )
    if len(off):
        row = int(np.argmax(row_times == off[0]))
        more = f", nor do {len(off) - 1:,} other times of the table" if len(off) > 1 else ""
        time = table.value(row, schema.time)
        problem = f"{time} does not lie on the grid {name}{more}{looks}"
        raise BadData(problem, place=table.place(row, schema.time), cure=cure)
    if int(np.gcd.reduce(steps)) > 1 or looks:
        problem = f"all times lie {steps.min()} steps of the grid {name} or more apart"
        raise BadData(
            f"{problem}: the table is coarser than that{looks}", place=table.name, cure=cure
        )


def warn_gaps(panel: Panel, schema: Schema, name: str) -> None:
    """Warn of missing values between the first and the last of a series."""
    spans, counts = observed_spans(panel)
    gaps = np.where(counts > 0, spans - counts, 0)
    if not gaps.any():
        return
    series = int(np.argmax(gaps > 0))
    position = panel.starts[[series]] + np.argmin(panel.observed[panel.slots(series)])
    (time,) = position_texts(schema, calendar_of(schema), position)
    log.warning(
        "%s: %d of %d values are missing, in %d of %d series (the first: %s): "
        "blank, or without a row%s.",
        name,
        gaps.sum(),
        spans.sum(),
        (gaps > 0).sum(),
        len(gaps),
        f"{series_name(panel.ids[series])} at {time}".removeprefix(" at "),
        ", or ignored by events" if has_kind(schema, "ignore") else "",
    )
