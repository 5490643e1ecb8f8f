"""Sections of a report, and the verdict of a backtest: errors, coverage, models, gaps, versions and runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from forecast.errors import BadData, Unavailable
from forecast.inference.fitted import Fitted, counted_models, models_of
from forecast.inference.predictor import Predictor
from forecast.metrics.metrics import REFERENCE
from forecast.panel.naming import series_name, series_names
from forecast.panel.panel import Ids, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.reading import describe
from forecast.report.explanation import importances
from forecast.report.page import (
    MOST_LINES,
    Bar,
    Cell,
    Facts,
    LineChart,
    Part,
    Section,
    Table,
    number,
)
from forecast.settings import INTERVALS
from forecast.threads import OnPart

Row = Mapping[str, Any]

TABLES = ("overall", "by_series", "by_step")
SUMS = "totals"  # the table of sums, where there are some
NAMED, ROWS = 3, 20  # series that the verdict names, and rows that a table lists
ERROR = "mase"
ROUNDING = 1e-9  # a MASE below it is that of an exact forecast
NARROW = 0.75  # share of values in 80 % intervals, below which it is called too small
MAX_MEASURE = 1e300  # what is not below it is no measure
HEADS = {
    "skill": "skill",
    ERROR: "MASE",
    "rmsse": "RMSSE",
    "smape": "sMAPE",
    "wape": "WAPE",
    "wql": "WQL",
}
COVERED = {"coverage_80": "in 80 %", "coverage_95": "in 95 %", "msis": "MSIS"}
TARGETS = tuple(level / 100 for level in INTERVALS)  # of shares inside the intervals
REPEATS = 3  # of each input whose importance is measured
MEANINGS = {
    "ok": "forecast",
    "constant": "forecast; the value never changes",
    "short": "forecast; shorter than the steps that a forecast looks back",
    "ended": "no forecast: the newest values are missing for longer than a forecast looks back",
    "missing": "no forecast: too many values are missing",
    "sum": "forecast as the sum of other series",
}
DAY = {"day": "day", "count": "values", "mase": "MASE", "bias": "bias"}


class BacktestTables:
    """The content of a file that `forecast backtest` wrote, called `name`; `BadData` if it has no such tables.

    `origins` are the times from which it forecast, `seen` those whose actual values a saved forecaster had seen at its
    fit; `model` is the first model that is not the reference, if there is one.
    """

    def __init__(self, found: object, name: str) -> None:
        whole: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
        usable = all(
            isinstance(whole.get(table), list) and whole[table] for table in (*TABLES, "origins")
        )
        if not usable or not all(_is_row(row) for table in TABLES for row in whole[table]):
            cure = "name a .json file that `forecast backtest` wrote as its output"
            raise BadData("has no measures of a backtest", place=name, cure=cure)
        self.tables: dict[str, list[Row]] = {table: whole[table] for table in TABLES}
        sums = whole.get(SUMS)
        self.tables[SUMS] = list(filter(_is_row, sums)) if isinstance(sums, list) else []
        self.models: list[str] = [row["model"] for row in whole["overall"]]
        self.model = next((model for model in self.models if model != REFERENCE), self.models[0])
        self.origins = tuple(map(str, whole["origins"]))
        self.seen: int = whole["seen"] if isinstance(whole.get("seen"), int) else 0
        self.steps = len(self.rows("by_step"))
        self.ids = {_ids(row) for row in self.rows("by_series")}
        errors = {_ids(row): _number(row, ERROR) for row in self.rows("by_series")}
        self.errors = {ids: error for ids, error in errors.items() if error is not None}

    def rows(self, table: str, model: str | None = None) -> list[Row]:
        return [row for row in self.tables[table] if row["model"] == (model or self.model)]


def verdict_of(found: BacktestTables) -> str:
    """How good the forecasts were, in a sentence."""
    whole = found.rows("overall")[0]
    skill, error = _number(whole, "skill"), _number(whole, ERROR)
    naive = _number(next(iter(found.rows("overall", REFERENCE)), {}), ERROR)
    origins = f"{len(found.origins)} origin{'s' * (len(found.origins) != 1)}"
    if found.model == REFERENCE:
        text = f"Seasonal naive alone was tested on {origins}"
    elif error is not None and naive is not None and naive < ROUNDING:
        exact = f"Exact on {origins}, as seasonal naive is"
        text = (
            exact
            if error < ROUNDING
            else f"MASE {error:.3g} on {origins}, where seasonal naive is exact"
        )
    elif skill is None:
        text = f"No error can be compared with that of seasonal naive on {origins}"
    else:
        share = "over 99" if 0.995 < skill < 1 else f"{abs(round(100 * skill)):,}"
        text = (
            f"{share} % {'less' if skill >= 0 else 'more'} error than seasonal naive on {origins}"
        )
        text = f"The same error as seasonal naive on {origins}" if round(100 * skill) == 0 else text
        text += _worse(found) if skill > 0 else ""
    prefix = f"{found.model}: " if len(found.models) > 2 else ""
    seen = f"at its fit it had seen the values of {found.seen} of them" if found.seen else ""
    return "; ".join(
        filter(None, (prefix + text, _held([whole]), _held(found.rows(SUMS), " of sums"), seen))
    )


def _held(rows: Sequence[Row], what: str = "") -> str:
    """How many values the intervals held; a row of measures of sums counts as often as it has sums."""
    held = dict[float, float]()
    for level in INTERVALS:
        pairs = [(_number(row, f"coverage_{level:g}"), _number(row, "sums") or 1.0) for row in rows]
        if known := [(part, count) for part, count in pairs if part is not None]:
            held[level] = sum(part * count for part, count in known) / sum(
                count for _, count in known
            )
    shares = ", ".join(
        f"{level:g} % intervals{what} held {100 * part:.0f} %" for level, part in held.items()
    )
    return shares + (", too few" if held.get(INTERVALS[0], 1.0) < NARROW else "")


def _worse(found: BacktestTables) -> str:
    """The series that are forecast worse than by seasonal naive, if there are several series and not all are."""
    skills = {series_name(_ids(row)): _number(row, "skill") for row in found.rows("by_series")}
    worse = [name for name, skill in skills.items() if skill is not None and skill < 0]
    if not worse or len(worse) == len(skills):
        return ""
    more = f" and {len(worse) - NAMED:,} more" if len(worse) > NAMED else ""
    return f", but more for {len(worse):,} of {len(skills):,} series ({', '.join(worse[:NAMED])}{more})"


def error_section(found: BacktestTables) -> Section:
    first, last = found.origins[0], found.origins[-1]
    text = f"Forecasts from {len(found.origins)} origins, {first} to {last}, compared with the actual values. Skill is "
    text += "the error reduction against seasonal naive; the unit of MASE is the error of seasonal naive before the "
    text += "oldest origin."
    if found.seen:
        text += " The saved forecaster had seen values that it is compared with, so that these errors may be too small."
    models = found.models[:MOST_LINES]
    lines = {
        model: [_number(row, ERROR) for row in found.rows("by_step", model)] for model in models
    }
    chart = LineChart("MASE by step of the horizon", "step", ("1", str(found.steps)), lines)
    by_step = [row for row in found.tables["by_step"] if row["model"] in models]
    numbers = _table(
        "Numbers by step", by_step, ("step", "model"), {ERROR: "MASE", **COVERED}, folded=True
    )
    overall = _table("By model", found.tables["overall"], ("model",), HEADS)
    return Section("Errors in the past", (text, overall, chart, numbers, *_by_series(found)))


def coverage_section(found: BacktestTables) -> Section:
    title = f"Share of values inside the intervals of {found.model}, by step of the horizon"
    lines = {
        f"{level:g} %": [_number(row, f"coverage_{level:g}") for row in found.rows("by_step")]
        for level in INTERVALS
    }
    text = "Share of the actual values inside the intervals; it should be near 0.8 and 0.95. MSIS weighs the width of "
    text += "the 95 % intervals and their misses: lower is better."
    overall = _table("By model", found.tables["overall"], ("model",), COVERED)
    chart = LineChart(title, "step", ("1", str(found.steps)), lines, TARGETS)
    return Section("Coverage of the intervals", (text, overall, chart))


def _by_series(found: BacktestTables) -> tuple[str | Table, ...]:
    rows, errors = found.rows("by_series"), list(found.errors.values())
    if len(rows) < 2 or not errors:
        return ()
    skills = [skill for row in rows if (skill := _number(row, "skill")) is not None]
    middle, high = np.quantile(errors, [0.5, 0.9])
    text = f"Half of the {len(errors):,} series have a MASE below {middle:.3g}, one in ten above {high:.3g}"
    if skills and found.model != REFERENCE:
        better = sum(skill > 0 for skill in skills)
        text += f"; {better:,} of {len(skills):,} are forecast better than by seasonal naive"
    worst = sorted(rows, key=lambda row: -(_number(row, ERROR) or 0.0))[:ROWS]
    cells = tuple(
        (series_name(_ids(row)), *(_number(row, name) for name in (*HEADS, "coverage_95")))
        for row in worst
    )
    caption = (
        "The series with the largest errors"
        if len(rows) > ROWS
        else "By series, the largest error first"
    )
    return f"{text}.", Table(caption, ("series", *HEADS.values(), "in 95 %"), cells)


def _table(
    title: str,
    rows: Sequence[Row],
    keys: Sequence[str],
    heads: dict[str, str],
    folded: bool = False,
) -> Table:
    there = {name: head for name, head in heads.items() if any(name in row for row in rows)}
    cells = tuple(
        (*(str(row.get(key, "")) for key in keys), *(_number(row, name) for name in there))
        for row in rows
    )
    return Table(title, (*keys, *there.values()), cells, folded)


def _is_row(row: object) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("model"), str) and "skill" in row


def _ids(row: Row) -> tuple[str, ...]:
    """The ids of a row of measures by series: what stands before the model."""
    names = list(row)
    return tuple(str(row[name]) for name in names[: names.index("model")])


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    return (
        float(value)
        if isinstance(value, int | float) and -MAX_MEASURE < value < MAX_MEASURE
        else None
    )


def read_section(fitted: Fitted, version: str) -> Section:
    config = fitted.config
    lines = [
        line
        for line in describe(config.table, fitted.history)
        if not line.startswith(("layout", "time"))
    ]
    facts = (
        ("version", version),
        ("series", f"{len(fitted.history):,}"),
        ("layout", config.table.layout),
        (
            "time",
            f"{', '.join(config.table.time)}, every {config.table.calendar.name}, up to {config.train_end}",
        ),
        ("horizon", f"{config.horizon} steps, from the last {config.lookback}"),
        *((line[:9].strip(), line[9:]) for line in lines),  # a label, and what it says
    )
    return Section("What was read", (Facts(facts),))


def gaps_section(fitted: Fitted) -> Section:
    """Missing values of the past that the version holds, and series without a forecast."""
    panel = fitted.history
    missing = np.array([int((~panel.observed[panel.slots(i)]).sum()) for i in range(len(panel))])
    groups = _grouped(panel.status, panel.ids)
    rows = tuple(
        (status, len(ids), MEANINGS.get(status, ""), series_names(ids, 3)) for status, ids in groups
    )
    count, gapped, total = int(missing.sum()), int((missing > 0).sum()), int(panel.lengths.sum())
    text = f"{count:,} of {total:,} values are missing, in {gapped:,} of {len(panel):,} series. "
    text = text if count else "No value is missing. "
    text += f"The version holds the newest {int(panel.lengths.max()):,} steps of the series; older gaps do not count."
    tables = [Table("Series by status", ("status", "series", "meaning", "such as"), rows)]
    if count:
        worst = np.argsort(-missing, kind="stable")[:ROWS].tolist()
        gaps = tuple(_gaps(panel, fitted.config.table, i) for i in worst if missing[i])
        heads = ("series", "missing", "share", "longest gap, steps", "from", "to")
        tables.append(Table("The series with the most missing values", heads, gaps))
    return Section("Gaps in the data", (text, *tables))


def _grouped(names: Sequence[str], ids: Ids) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The ids of the series that have each name, the most frequent name first."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for name, series in zip(names, ids, strict=True):
        groups.setdefault(name, []).append(series)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _gaps(panel: Panel, schema: Schema, series: int) -> tuple[Cell, ...]:
    seen = panel.observed[panel.slots(series)]
    edges = np.flatnonzero(np.diff(np.concatenate([[True], seen, [True]]).astype(int)))
    begin, end = edges[::2], edges[1::2]
    longest = int(np.argmax(end - begin))
    ends = panel.starts[series] + np.array([begin[longest], end[longest] - 1])
    first, last = (
        text.removesuffix(" 00:00:00") for text in position_texts(schema, calendar_of(schema), ends)
    )
    name, count = series_name(panel.ids[series]) or "the series", int((~seen).sum())
    return name, count, count / len(seen), int(end[longest] - begin[longest]), first, last


def models_section(predictor: Predictor) -> Section:
    """Which models forecast which series and by what weight; how candidates compared, and networks were trained."""
    fitted = predictor.fitted
    groups = _grouped(models_of(fitted), fitted.history.ids)
    rows = tuple(
        (counted_models(name), len(ids), series_names(ids, 3)) for name, ids in groups[:ROWS]
    )
    more = (f"The {ROWS} most frequent of {len(groups):,} mixtures.",) if len(groups) > ROWS else ()
    total = Counter[str]()
    for name, weight in zip(
        fitted.ensemble.components, fitted.ensemble.weights[1:].mean(0).tolist(), strict=True
    ):
        total[name] += weight  # that of repeated networks together
    largest = max(total.values(), default=1.0) or 1.0
    weights = tuple((name, Bar(weight, weight / largest)) for name, weight in total.most_common())
    scores = tuple(sorted(fitted.config.scores.items(), key=lambda item: item[1]))
    metric = fitted.settings().metric.upper()
    networks = zip(
        fitted.config.plan.members,
        fitted.config.trained_steps,
        fitted.config.validation,
        strict=True,
    )
    trained = tuple(
        (member.model, steps, member.batch_size, member.lookback, loss)
        for member, steps, loss in networks
    )
    heads = (
        "network",
        "steps",
        "windows a step",
        "steps of the past",
        "best loss on held-out values",
    )
    parts: list[Part] = [Table("Mixtures", ("models", "series", "such as"), rows), *more]
    parts.append(Table("Mean weight in the forecasts", ("model", "weight"), weights))
    losses = Table(f"Candidates on held-out values, by {metric}", ("candidate", metric), scores)
    parts.append(losses if scores else "No value could be held out to compare candidates on.")
    parts += [Table("Training of the networks", heads, trained)] if trained else []
    return Section("Who forecasts what", (*parts, *_attention(predictor)))


def _attention(predictor: Predictor) -> tuple[LineChart, ...]:
    """The weight that a network with attention gives to each step of the past, the mean over series."""
    config, panel = predictor.fitted.config, predictor.fitted.history
    if not any("attention" in member.model for group in config.members() for member in group):
        return ()  # before torch is imported
    try:
        weights = predictor.attention(panel, panel.order[~panel.skipped[panel.order]][:256]).mean(0)
    except Unavailable:
        return ()
    title, across = (
        "Attention of the network to the past, the mean over series",
        "steps before the forecast",
    )
    return (LineChart(title, across, (f"{len(weights):,}", "1"), {"weight": weights.tolist()}),)


def importance_section(
    predictor: Predictor, panel: Panel, on_part: OnPart | None = None
) -> Section:
    """By how much errors grow without an input; `on_part` receives the progress."""
    title = "What the forecasts rest on"
    try:
        found = importances(predictor, panel, REPEATS, predictor.fitted.settings().seed, on_part)
    except BadData as error:
        return Section(title, (f"Not measured: {error}",))
    largest, rows = (
        max((abs(row.mean) for row in found), default=0.0) or 1.0,
        list[tuple[Cell, ...]](),
    )
    for name, kind, mean, std in found:
        rows.append((name, kind, Bar(mean, mean / largest), f"± {number(std)}" if std else ""))
    text = "By how much the mean absolute error of the newest horizons grows without an input, in the unit of the "
    text += f"target. `forecast explain` repeats this more often than the {REPEATS} times here."
    heads = ("input", "kind", "error grows by", "standard deviation")
    return Section(title, (text, Table("Importance", heads, tuple(rows))))


DAY |= {f"coverage_{level:g}": f"in {level:g} %" for level in INTERVALS}


def versions_section(versions: Sequence[Row]) -> Section:
    """The versions of a store, the newest first; their rows come the oldest first."""
    rows = list[tuple[Cell, ...]]()
    for row in reversed(versions):
        saved, live = row["created"][:19].replace("T", " "), "live" * row["live"]
        rows.append((row["version"], saved, live, row["hash"][:12], row["note"]))
    heads = ("version", "saved, UTC", "", "hash", "note")
    return Section("Versions", (Table("Versions of the store", heads, tuple(rows)),))


def job_section(
    state: str, runs: Sequence[Row], newest_days: Sequence[Row], actuals: Sequence[str]
) -> Section:
    """The runs of a job, and how good its forecasts were by day, newest first; and lines on its newest actuals."""
    days, charts = newest_days[::-1], []
    if len(days) > 1:
        ends = str(days[0]["day"]), str(days[-1]["day"])
        covered = {
            f"{level:g} %": [day[f"coverage_{level:g}"] for day in days] for level in INTERVALS
        }
        charts = [LineChart("MASE by day", "day", ends, {"MASE": [day["mase"] for day in days]})]
        charts.append(
            LineChart("Share of values inside the intervals by day", "day", ends, covered, TARGETS)
        )
    scores: str | Table = "There is no actual value yet for a forecast of an earlier run."
    if days:
        rows = tuple(tuple(day[name] for name in DAY) for day in newest_days)
        scores = Table(
            "Forecasts of earlier runs against the actual values", tuple(DAY.values()), rows
        )
    cells = tuple(
        (run["as_of"], run["exit_code"], run["seconds"], run["version"] or "", run["what"])
        for run in runs
    )
    table = Table(
        "Runs, newest first", ("run as of", "exit code", "seconds", "version", "what"), cells
    )
    since = [f"Since the last run: {'. '.join(actuals)}."] if actuals else []
    return Section("Runs", (f"{state}.", *since, *charts, scores, table))


def changes_section(changes: Row) -> Section:
    """Why the newest forecasts differ from those of the run before; from plain values of what changed."""
    times, sizes = changes["by_time"], [row["size"] or 0 for row in changes["steps"]]
    runs = " to that as of ".join(changes[name]["as_of"] for name in ("from", "to"))
    text = f"From the run as of {runs} forecasts of the same times changed by {100 * (changes['size'] or 0):.3g} %."
    lines = {
        name: [row[key] for row in times]
        for name, key in (("run before", "old"), ("newest run", "new"))
    }
    chart = LineChart("Sum of all series", "time", (times[0]["time"], times[-1]["time"]), lines)
    bars = [Bar(size, size / (max(sizes) or 1)) for size in sizes]
    steps = tuple(
        (row["step"], row["change"], bar) for row, bar in zip(changes["steps"], bars, strict=True)
    )
    series = changes["by_series"][:ROWS]
    moved = tuple(
        (" / ".join(list(row.values())[:-5]), row["old"], row["new"], row["change"])
        for row in series
    )
    tables = (
        Table(
            "Steps in the order in which they were taken",
            ("step", "change of the sum", "share that moved"),
            steps,
        ),
        Table(
            f"Series that moved most, at most {ROWS}", ("series", "before", "now", "change"), moved
        ),
    )
    return Section(
        "Changes", (text, *(f"Note: {note}." for note in changes["notes"]), chart, *tables)
    )


def job_verdict(days: Sequence[Row]) -> str:
    """How good the forecasts of a job were, in a sentence; "" where there is no actual value."""
    scored = [day for day in days if day["coverage_95"] is not None]
    values = sum(day["count"] for day in scored)
    if not values:
        return ""
    held = sum(day["count"] * day["coverage_95"] for day in scored) / values
    text = f"In the job's last {len(scored)} scored days 95 % intervals held {100 * held:.0f} % of {values:,} values"
    errors = [day for day in scored if day["mase"] is not None]
    weight = sum(day["count"] for day in errors)
    return text + (
        f", MASE {sum(day['count'] * day['mase'] for day in errors) / weight:.2f}" if weight else ""
    )
