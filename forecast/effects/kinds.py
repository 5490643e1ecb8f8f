"""Find the slots that holidays and events touch, and treat values there by the kind of event."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from forecast.calendar.calendar import is_daily_or_finer, named_holidays
from forecast.calendar.spec import CalendarSpec
from forecast.calendar.zones import DAY, HOUR, WEEK
from forecast.panel.events import (
    KINDS_OF_DAYS,
    day_spans,
    find_touched_slots,
    has_kind,
    positions_of_events,
    remove_censored_values,
    spans_by_series,
    takes_events,
)
from forecast.panel.panel import Flags, Integers, Numbers, Panel, running_sums, runs
from forecast.panel.schema import Names, Schema, build_calendar

# labels of the day before an event, of the event, and of the day after it
EVENT_DAYS = ("eve of {}", "{}", "day after {}")
NO_LABELS = 0  # the label set of a slot that no event touches
ERROR_SHARE = 1e-9  # share of a sum of errors; sums that differ by less are the same
KEY_STRIDE = 2**32  # larger than any date or label, so that two fit into one integer


@dataclass(frozen=True)
class LevelRules:
    """How level shifts are estimated, and how demand during a stock-out is."""

    # levels are compared over so many steps or seasons on each side of a shift, whichever is more
    steps: int = 8
    seasons: int = 2
    longest_season: int = 168  # steps; longer seasons are not compared
    # demand during a stock-out is estimated as the mean of so many values at the same step of
    # earlier seasons, and so many seasons are searched for them
    stand_in_values: int = 4
    stand_in_seasons: int = 10


LEVEL_RULES = LevelRules()


@dataclass(frozen=True)
class Marks:
    """The slots that events touch; each pair of a slot and one of its labels is a mark."""

    slot: Integers  # [marks], ascending
    label: Integers  # [marks], index into `labels`
    # names of events, their eves and the days after them; an event with the name of an eve, such as
    # 'eve of Christmas', shares its label
    labels: Names
    names: Names  # the names of the events alone
    # [slots], days since 1970-01-01; on grids of weekdays or weeks, the grid position
    date: Integers
    weekday: Integers  # [slots], Monday is 0; always 0 on a grid of weeks
    phase: Integers  # [slots], the hour, or longer step, of the day; 0 on grids of days or longer

    @cached_property
    def label_set(self) -> Integers:
        """[slots], the number of the slot's set of labels; `NO_LABELS` if it has none."""
        numbers = np.full(len(self.date), NO_LABELS)
        rank = _rank_within(self.slot)
        for nth in range(rank.max(initial=-1) + 1):
            is_nth = rank == nth
            slot = self.slot[is_nth]
            keys = numbers[slot] * len(self.labels) + self.label[is_nth]
            _, set_number = np.unique(keys, return_inverse=True)
            highest = numbers.max(initial=0)
            numbers[slot] = set_number.reshape(-1) + highest + 1
        return numbers


def _rank_within(groups: Integers) -> Integers:
    """Return the rank of each item within its group, from 0; `groups` ascends."""
    return np.arange(len(groups)) - np.searchsorted(groups, groups)


def _unpack(keys: Integers) -> tuple[Integers, Integers]:
    first, second = np.divmod(keys, np.int64(KEY_STRIDE))
    return first, second


def has_events(schema: Schema) -> bool:
    """Whether a schema has holidays, or events of the kind `effect`, on a grid that takes them."""
    if not takes_events(schema.calendar):
        return False
    return schema.holidays is not None or has_kind(schema, "effect")


def mark(panel: Panel, schema: Schema) -> Marks:
    """Mark the slots of a panel that holidays and events with an effect touch.

    On a grid of weekdays, the eve and the day after are the nearest days of the grid. On a grid of
    weeks, an event touches the week that contains it.
    """
    calendar = build_calendar(schema)
    is_weekly = not is_daily_or_finer(schema.calendar)
    sizes = panel.sizes
    margin = steps_a_day(schema.calendar)  # an event of the day before touches the first day
    first = panel.starts.min() - margin
    last = int((panel.starts + sizes).max()) + margin
    positions = np.arange(first, last)
    first_days, last_days = day_spans(calendar, positions)
    low = int(first_days[0])
    high = int(last_days[-1])
    keys = [np.zeros(0, np.int64)]
    names: dict[str, int] = {}
    events_of_series = []
    regions = panel.regions or (schema.holidays or "",) * len(panel)
    for region in sorted({*regions} - {""}):
        series = np.flatnonzero(np.array(regions) == region)
        spans = [(day, day, name) for day, name in named_holidays(low, high, region)]
        events_of_series.append((series, spans))
    events_of_series += spans_by_series(panel.ids, schema, "effect")
    for series, events in events_of_series:
        spans = [span for span in events if span[0] <= high and span[1] >= low]
        begin = np.searchsorted(last_days, [begin for begin, _, _ in spans])
        end = np.searchsorted(first_days, [end for _, end, _ in spans], "right")
        numbers = [names.setdefault(name, len(names)) for _, _, name in spans]
        name = np.array(numbers, np.int64)
        index, label = _around(first_days, begin, end, name, is_weekly)
        position = first + index - panel.starts[series, None]  # [series, marks]
        in_series = (position >= 0) & (position < sizes[series, None])
        slot = panel.offsets[series, None] + position
        keys.append((slot * KEY_STRIDE + label)[in_series])

    texts = [text.format(name) for name in names for text in EVENT_DAYS]
    number = {text: index for index, text in enumerate(dict.fromkeys(texts))}
    label_of_text = np.array([number[text] for text in texts], np.int64)
    slot, text_number = _unpack(np.concatenate(keys))
    slot, label = _unpack(np.unique(slot * KEY_STRIDE + label_of_text[text_number]))
    index = panel.grid_positions - first
    weekdays = (first_days + 3) % 7  # 1970-01-01 was a Thursday
    if is_weekly:
        weekdays = np.zeros_like(weekdays)
    phases = np.zeros_like(weekdays)
    if schema.calendar.kind == "seconds":
        phases = calendar.wall(positions) % DAY // max(HOUR, schema.calendar.every)
    has_dates = schema.calendar.kind == "seconds" and not is_weekly
    return Marks(
        slot=slot,
        label=label,
        labels=tuple(number),
        names=tuple(names),
        date=(first_days if has_dates else positions)[index],
        weekday=weekdays[index],
        phase=phases[index],
    )


def steps_a_day(spec: CalendarSpec) -> int:
    return max(1, DAY // spec.every) if spec.kind == "seconds" else 1


def _around(
    days: Integers, begin: Integers, end: Integers, name: Integers, weekly: bool
) -> tuple[Integers, Integers]:
    """Return the days that events touch, as indices into ascending `days`, and their labels.

    An event lasts from index `begin` up to, but without, index `end`.
    """
    eve = begin
    after = end
    if not weekly:
        day_before = days[np.maximum(begin - 1, 0)]
        day_after = days[np.minimum(end, len(days) - 1)]
        eve = np.searchsorted(days, day_before)
        after = np.searchsorted(days, day_after, "right")
    starts = np.concatenate([eve, begin, end])
    sizes = np.concatenate([begin, end, after]) - starts
    _, index = runs(starts, sizes)
    names = np.repeat(np.tile(name, 3), sizes)
    day = np.repeat([0, 1, 2], len(name))  # before the event, of it, after it
    day = np.repeat(day, sizes)
    # a day of an event of several days is neither its eve nor the day after
    keys = names * KEY_STRIDE + index
    is_event = day == 1
    used = is_event | ~np.isin(keys, keys[is_event])
    label = len(EVENT_DAYS) * names + day
    return index[used], label[used]


def select_effects(schema: Schema) -> Schema:
    events = tuple(event for event in schema.dated_events if event.kind == "effect")
    return schema.model_copy(update={"dated_events": events})


def touched_by_events(panel: Panel, schema: Schema) -> Flags:
    """Say which slots holidays and events touch, [slots].

    A level shift touches all slots that follow it.
    """
    is_touched = np.zeros(len(panel.values), bool)
    if has_events(schema):
        is_touched[mark(panel, schema).slot] = True
    for kind in KINDS_OF_DAYS:
        is_touched |= find_touched_slots(panel, schema, kind)
    shifted = find_touched_slots(panel, schema, "level_shift").astype(np.float64)
    return is_touched | (running_sums(shifted, panel.offsets) > 0)


def remove_shifts(panel: Panel, schema: Schema) -> Panel:
    """Return the panel from which seasons and effects are estimated.

    Stock-outs and closed days are blank, and values before a level shift are moved to the newest
    level.
    """
    panel = remove_censored_values(panel, schema)
    moves = moved_levels(panel, schema)
    if moves is None:
        return panel
    factor, shift = moves
    values = np.where(panel.observed, (panel.values - shift) / factor, 0.0)
    return replace(panel, values=values)


def moved_levels(panel: Panel, schema: Schema) -> tuple[Numbers, Numbers] | None:
    """Return what turns values at the newest level into actual ones: a factor and a summand.

    Both are [slots]: value = factor * value at the newest level + summand. The result is None if
    there are no level shifts. Values after a shift are compared with the values before it: with
    their median at the same step of the season. The shift is the median of the ratios or of the
    differences, whichever is likelier; of the differences if a value before the shift is below 0. A
    shift without a value after it is ignored.
    """
    if not has_kind(schema, "level_shift"):
        return None
    series, position = _shifts(panel, schema)
    rank = _rank_within(series)
    until = panel.lengths[series]  # [shifts], the end of the level that a shift leads to
    followed = np.flatnonzero(np.diff(series) == 0)
    until[followed] = position[followed + 1]
    season = compared_season(schema)
    moved = remove_censored_values(panel, schema)
    moved = replace(moved, values=moved.values.copy())
    factor = np.ones(len(panel.values))
    shift = np.zeros(len(panel.values))
    for nth in range(rank.max(initial=-1) + 1):  # the oldest shift of each series first
        now = rank == nth
        sizes = position[now]
        series_now = series[now]
        ratio, added = _move(moved, series_now, sizes, until[now], season)
        ratio = np.repeat(ratio, sizes)
        added = np.repeat(added, sizes)
        _, slots = runs(panel.offsets[series_now], sizes)
        moved.values[slots] = ratio * moved.values[slots] + added
        shift[slots] -= factor[slots] * added / ratio
        factor[slots] /= ratio
    return factor, shift


def steps_of_shifts(panel: Panel, schema: Schema, steps: int) -> int:
    """Return how many of the newest steps are needed to treat level shifts in the last `steps`.

    They also cover the values before a shift with which its level is compared, and the weeks from
    which blanks are filled.
    """
    if _fills_blanks(schema):
        steps += LEVEL_RULES.stand_in_values * WEEK // schema.calendar.every
    if not has_kind(schema, "level_shift"):
        return steps
    series, position = _shifts(panel, schema)
    back = panel.lengths[series] - position
    compared = _count_steps(compared_season(schema))
    needed = back[back < steps] + compared
    return int(needed.max(initial=steps))


def stand_ins(panel: Panel, bound: Numbers, season: int) -> Numbers:
    """Estimate values of which only a lower `bound` [slots] is known, [slots], NaN elsewhere.

    The stand-in is the mean of the newest earlier values at the same step of the season, or the
    bound if that is larger.
    """
    slots = np.flatnonzero(~np.isnan(bound))
    first = panel.offsets[panel.series_of_slots[slots]]
    sums = np.zeros(len(slots))
    count = np.zeros(len(slots))
    for back in range(1, LEVEL_RULES.stand_in_seasons + 1):
        near = slots - back * season
        used = (near >= first) & (count < LEVEL_RULES.stand_in_values)
        used[used] = panel.observed[near[used]]
        sums[used] += panel.values[near[used]]
        count[used] += 1
    stand_in = bound.copy()
    is_known = count > 0
    known_slots = slots[is_known]
    means = sums[is_known] / count[is_known]
    stand_in[known_slots] = np.maximum(bound[known_slots], means)
    return stand_in


def blank_stand_ins(panel: Panel, schema: Schema) -> Numbers | None:
    """Estimate values that the past lacks, [slots], as means at the same time in earlier weeks.

    They are infinite if there are none, and NaN in slots with a value. None if no value is missing,
    and in tables without events, or of days or longer steps.
    """
    is_blank = ~panel.observed & panel.before(panel.lengths)
    if not (_fills_blanks(schema) and is_blank.any()):
        return None
    bound = np.where(is_blank, -np.inf, np.nan)
    week = WEEK // schema.calendar.every  # steps
    return stand_ins(panel, bound, week)


def _fills_blanks(schema: Schema) -> bool:
    """Whether a table has events, and steps finer than days."""
    has_any = schema.holidays is not None or schema.dated_events
    is_finer = schema.calendar.kind == "seconds" and schema.calendar.every < DAY
    return is_finer and bool(has_any)


def _shifts(panel: Panel, schema: Schema) -> tuple[Integers, Integers]:
    """Return the series and position of each different level shift in the past, sorted by both."""
    keys = [np.zeros(0, np.int64)]
    spans = positions_of_events(panel.ids, panel.starts, panel.offsets, schema, "level_shift")
    for series, begins, _ in spans:
        position = begins[:, None] - panel.starts[series]  # [events, series]
        inside = (position > 0) & (position < panel.lengths[series])
        key = series * KEY_STRIDE + position
        keys.append(key[inside])
    return _unpack(np.unique(np.concatenate(keys)))


def compared_season(schema: Schema) -> int:
    """Return the length in steps of the season that levels are compared by; 1 means no season."""
    seasons = [season for season in schema.season if season <= LEVEL_RULES.longest_season]
    return max(seasons, default=1)


def _count_steps(season: int) -> int:
    """Return how many steps on each side of a shift are compared; they are whole seasons."""
    return season * max(LEVEL_RULES.seasons, -(-LEVEL_RULES.steps // season))


def _move(
    panel: Panel, series: Integers, position: Integers, until: Integers, season: int
) -> tuple[Numbers, Numbers]:
    """Estimate the ratio and the summand [shifts] by which the level moves at a position.

    The level after the shift is measured up to position `until`. Either the ratio is 1 or the
    summand is 0.
    """
    steps = np.arange(_count_steps(season))

    def values_from(first: Integers, low: Integers | int, end: Integers) -> Numbers:
        """Return the values from `first` on, [shifts, steps], NaN where unknown."""
        at = first[:, None] + steps
        inside = (at >= low) & (at < end[:, None])
        slot = panel.offsets[series, None] + np.where(inside, at, 0)
        seen = inside & panel.observed[slot]
        return np.where(seen, panel.values[slot], np.nan)

    before = values_from(position - len(steps), 0, position)
    after = values_from(position, position[:, None], until)
    by_season = before.reshape(len(series), -1, season)
    usual = median(by_season.swapaxes(1, 2))  # [shifts, season]
    usual = np.tile(usual, len(steps) // season)
    # if the two sides share no step of the season, compare with the median of all values before
    is_common = np.isfinite(usual) & np.isfinite(after)
    level = median(before)[:, None]
    usual = np.where(is_common.any(1, keepdims=True), usual, level)

    positive_usual = np.where(usual > 0, usual, np.nan)
    ratio = median(after / positive_usual)
    added = median(after - usual)
    first = panel.offsets[series]
    known = np.where(panel.observed, panel.values, np.inf)
    both_ends = np.stack([first, first + position], 1)
    lowest = np.minimum.reduceat(known, both_ends.ravel())[::2]
    may_be_ratio = ratio > 0
    may_be_ratio &= ~(before < 0).any(1)
    ratio = np.where(may_be_ratio, ratio, 1.0)
    noise = np.abs(before - usual)
    is_ratio = is_likelier_ratio(noise, usual, after, ratio, added)
    is_ratio |= lowest + added <= 0  # no sum takes a series without negative values to 0
    is_ratio &= may_be_ratio
    ratio = np.where(is_ratio, ratio, 1.0)
    return ratio, np.where(is_ratio | np.isnan(added), 0.0, added)


def is_likelier_ratio(
    noise: Numbers, usual: Numbers, after: Numbers, ratio: Numbers, added: Numbers
) -> Flags:
    """Whether a level has more likely moved by a ratio than by a summand, [...].

    `usual` are the values that are expected without the shift, `after` the actual ones, and `noise`
    absolute errors of such expectations before it: all are [..., steps], NaN where unknown. Errors
    have a Laplace distribution, whose scale a ratio multiplies, too.
    """
    errors_before = np.nansum(noise, -1)
    errors_of_ratio = np.abs(after / ratio[..., None] - usual)
    errors_of_summand = np.abs(after - added[..., None] - usual)
    of_ratio = errors_before + np.nansum(errors_of_ratio, -1)
    of_summand = errors_before + np.nansum(errors_of_summand, -1)
    count = np.isfinite(after).sum(-1) - 1  # one is lost to the estimate of the shift
    total = count + np.isfinite(noise).sum(-1)
    share = count / np.maximum(total, 1)
    return np.asarray(of_ratio * ratio**share <= of_summand * (1 + ERROR_SHARE))


def median(values: Numbers) -> Numbers:
    """Return medians over the last axis, without NaN; NaN if all values are NaN."""
    ordered = np.sort(values, -1)
    count = np.isfinite(values).sum(-1, keepdims=True)
    before_middle = np.maximum(count - 1, 0) // 2
    low = np.take_along_axis(ordered, before_middle, -1)
    high = np.take_along_axis(ordered, count // 2, -1)
    return ((low + high) / 2)[..., 0]
