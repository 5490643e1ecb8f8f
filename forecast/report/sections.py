"""The sections of a report: errors, coverage, models, gaps, versions, runs; and its verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from forecast.errors import BadData, Unavailable
from forecast.inference.fitted import Fitted, counted_models, list_models
from forecast.inference.forecasting import forecast_series
from forecast.inference.predictor import Predictor
from forecast.metrics.metrics import REFERENCE
from forecast.panel.events import find_touched_slots
from forecast.panel.infer import describe
from forecast.panel.panel import Id, Ids, Panel, first_names, series_name, series_names
from forecast.panel.schema import Schema, position_texts
from forecast.report.page import (
    MOST_LINES,
    Cell,
    LineChart,
    PageTable,
    Part,
    Rows,
    Section,
    bars,
)
from forecast.settings import INTERVALS

Row = Mapping[str, Any]

BACKTEST_TABLES = ("overall", "by_series", "by_step")
SUMS_TABLE = "totals"  # the table of sums of a backtest, if it has one
GROUPS = "by_group"  # its measures by the values of columns, if it has them
SERIES_SHOWN = 3  # most series that a status names
MOST_NAMED = 3  # most series that a sentence or a cell names
MOST_ROWS = 20  # most rows of a table
ERROR = "mase"
EXACT_MASE = 1e-9  # a forecast with a MASE below this one counts as exact
NARROW = 0.75  # a share of values in 80 % intervals below this one is called too small
MEASURE_HEADS = {
    "skill": "skill",
    ERROR: "MASE",
    "rmsse": "RMSSE",
    "smape": "sMAPE",
    "wape": "WAPE",
    "bias": "bias",
    "wql": "WQL",
}
COVERED = {"coverage_80": "in 80 %", "coverage_95": "in 95 %", "msis": "MSIS"}
DAY = {"count": "values", "mase": "MASE", "bias": "bias"}
DAY |= {f"coverage_{level:g}": f"in {level:g} %" for level in INTERVALS}
RUN_HEADS = {"as_of": "run as of", "exit_code": "exit code", "seconds": "seconds"}
RUN_HEADS |= {"version": "version", "what": "what"}
TARGETS = tuple(level / 100 for level in INTERVALS)  # shares in intervals
MEANINGS = {
    "ok": "forecast",
    "constant": "forecast; the value never changes",
    "successor": "forecast from the past of the series that it replaces",
    "like": "forecast from the past of a series like it",
    "short": "forecast; shorter than the steps that a forecast looks back",
    "ended": "no forecast: the newest values are missing for longer than a forecast looks back",
    "missing": "no forecast: too many values are missing",
    "sum": "forecast as the sum of other series",
}


class BacktestTables:
    """The content of the file `name`, which `forecast backtest` wrote.

    Raises `BadData` if the file lacks the tables of a backtest. `origins` are the times from which
    was forecast, and `seen` the origins whose actual values a saved forecaster had seen at its fit;
    `model` is the first model that is not the reference, if there is one.
    """

    def __init__(self, content: object, name: str) -> None:
        whole: Mapping[str, Any] = content if isinstance(content, Mapping) else {}
        tables: list[Any] = [whole.get(table) for table in BACKTEST_TABLES]
        if not whole.get("origins") or not all(map(_is_table, tables)):
            cure = "name a .json file that `forecast backtest` wrote as its output"
            raise BadData("has no measures of a backtest", place=name, cure=cure)
        self.tables: dict[str, list[Row]] = dict(zip(BACKTEST_TABLES, tables, strict=True))
        self.tables |= {table: whole.get(table) or [] for table in (SUMS_TABLE, GROUPS)}
        self.by = ",".join(next(map(_columns, self.tables[GROUPS]), ()))
        self.models: list[str] = [row["model"] for row in whole["overall"]]
        others = [model for model in self.models if model != REFERENCE]
        self.model = others[0] if others else REFERENCE
        self.origins = tuple(map(str, whole["origins"]))
        self.seen = int(whole.get("seen") or 0)
        self.steps = len(self.rows("by_step"))
        by_series = self.rows("by_series")
        self.ids = set(map(_ids, by_series))
        self.errors = {_ids(row): error for row, error in _select_rows(by_series, ERROR)}

    def rows(self, table: str, model: str | None = None) -> list[Row]:
        model = model or self.model
        return [row for row in self.tables[table] if row["model"] == model]


def _is_table(table: object) -> bool:
    if not isinstance(table, list) or not table:
        return False
    return all(isinstance(row, Mapping) and {"model", "skill"} <= row.keys() for row in table)


def _ids(row: Row) -> Id:
    """The ids of a row of measures by series."""
    return tuple(str(row[name]) for name in _columns(row))


def _columns(row: Row) -> list[str]:
    """The columns of a row of measures that come before the model."""
    names = list(row)
    return names[: names.index("model")]


def _number(row: Row, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


def _select_rows(rows: Iterable[Row], name: str) -> list[tuple[Row, float]]:
    """The rows that have the measure `name`, with its value."""
    numbers = [(row, _number(row, name)) for row in rows]
    return [(row, value) for row, value in numbers if value is not None]


def describe_accuracy(backtest: BacktestTables) -> str:
    """How good the forecasts were, in a sentence."""
    whole = backtest.rows("overall")[0]
    text = _comparison(backtest, whole)
    if len(backtest.models) > 2:
        text = f"{backtest.model}: {text}"
    texts = [
        text,
        _describe_coverage([whole]),
        _describe_coverage(backtest.rows(SUMS_TABLE), " of sums"),
    ]
    if backtest.seen:
        texts.append(f"at its fit it had seen the values of {backtest.seen} of them")
    return "; ".join(filter(None, texts))


def _comparison(backtest: BacktestTables, whole: Row) -> str:
    """The error of the model beside that of seasonal naive."""
    count = len(backtest.origins)
    origins = f"{count} origin{'s' * (count != 1)}"
    if backtest.model == REFERENCE:
        return f"Seasonal naive alone was tested on {origins}"
    error = _number(whole, ERROR)
    naive = _select_rows(backtest.rows("overall", REFERENCE), ERROR)
    if error is not None and naive and naive[0][1] < EXACT_MASE:
        if error < EXACT_MASE:
            return f"Exact on {origins}, as seasonal naive is"
        return f"MASE {error:.3g} on {origins}, where seasonal naive is exact"
    skill = _number(whole, "skill")
    if skill is None:
        return f"No error can be compared with that of seasonal naive on {origins}"
    percent = round(100 * skill)
    share = "over 99" if 0.995 < skill < 1 else f"{abs(percent):,}"
    text = f"{share} % {'less' if skill > 0 else 'more'} error than seasonal naive on {origins}"
    if percent == 0:
        text = f"The same error as seasonal naive on {origins}"
    return text + _worse(backtest) if skill > 0 else text


def _worse(backtest: BacktestTables) -> str:
    """A sentence on the series that are forecast worse than by seasonal naive.

    It is "" if no series is forecast worse, or if all series are.
    """
    rows = backtest.rows("by_series")
    skills = _select_rows(rows, "skill")
    worse = [series_name(_ids(row)) for row, skill in skills if skill < 0]
    if not worse or len(worse) == len(rows):
        return ""
    names = first_names(worse, MOST_NAMED)
    return f", but more for {len(worse):,} of {len(rows):,} series ({names})"


def _describe_coverage(rows: Sequence[Row], what: str = "") -> str:
    """How many values the intervals contained; a row of sums is weighted by its number of sums."""
    texts = []
    narrow = False
    for level in INTERVALS:
        shares = _select_rows(rows, f"coverage_{level:g}")
        values = [share for _, share in shares]
        counts = [_number(row, "sums") or 1.0 for row, _ in shares]
        if shares:
            held = np.average(values, weights=counts)
            texts.append(f"{level:g} % intervals{what} held {100 * held:.0f} %")
            if level == INTERVALS[0]:
                narrow = bool(held < NARROW)
    return ", ".join(texts) + (", too few" if narrow else "")


def error_section(backtest: BacktestTables) -> Section:
    origins = backtest.origins
    text = f"Forecasts from {len(origins)} origins, {origins[0]} to {origins[-1]}, compared with "
    text += "the actual values. Skill is the error reduction against seasonal naive; the unit of "
    text += "MASE is the error of seasonal naive before the oldest origin."
    if backtest.seen:
        text += " The saved forecaster had seen values that it is compared with, so that "
        text += "these errors may be too small."
    models = backtest.models[:MOST_LINES]
    lines = {model: _line(backtest.rows("by_step", model), ERROR) for model in models}
    chart = LineChart("MASE by step of the horizon", "step", ("1", str(backtest.steps)), lines)
    steps = [row for row in backtest.tables["by_step"] if row["model"] in models]
    measures = {ERROR: "MASE", **COVERED}
    numbers = _table("Numbers by step", steps, ("step", "model"), measures, folded=True)
    overall = _table("By model", backtest.tables["overall"], ("model",), MEASURE_HEADS)
    parts: list[Part] = [text, overall, chart, numbers]
    if backtest.by:
        title = f"By {backtest.by}, the worst first"
        columns = tuple(backtest.by.split(","))
        parts.append(_table(title, backtest.rows(GROUPS), columns, MEASURE_HEADS))
    rows = backtest.rows("by_series")
    if len(rows) > 1 and backtest.errors:
        named = [{"series": series_name(_ids(row)), **row} for row in rows]
        named.sort(key=lambda row: -(_number(row, ERROR) or 0.0))
        title = f"Series, the largest error first, at most {MOST_ROWS}"
        heads = {**MEASURE_HEADS, "coverage_95": "in 95 %"}
        parts.append(_table(title, named[:MOST_ROWS], ("series",), heads))
    return Section("Errors in the past", tuple(parts))


def coverage_section(backtest: BacktestTables) -> Section:
    text = "Share of the actual values inside the intervals; it should be near 0.8 and 0.95. "
    text += "MSIS weighs the width of the 95 % intervals and their misses: lower is better."
    overall = _table("By model", backtest.tables["overall"], ("model",), COVERED)
    title = f"Share of values inside the intervals of {backtest.model}, by step of the horizon"
    lines = _coverage_lines(backtest.rows("by_step"))
    chart = LineChart(title, "step", ("1", str(backtest.steps)), lines, TARGETS)
    return Section("Coverage of the intervals", (text, overall, chart))


def _line(rows: Iterable[Row], name: str) -> list[float | None]:
    return [_number(row, name) for row in rows]


def _coverage_lines(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    return {f"{level:g} %": _line(rows, f"coverage_{level:g}") for level in INTERVALS}


def _table(
    title: str,
    rows: Sequence[Row],
    keys: tuple[str, ...],
    heads: Mapping[str, str],
    folded: bool = False,
) -> PageTable:
    """A table of measures by `keys`; measures that no row has are left out."""
    names = [name for name in heads if any(name in row for row in rows)]
    cells = Rows()
    for row in rows:
        texts = [str(row.get(key, "")) for key in keys]
        numbers = [_number(row, name) for name in names]
        cells.append((*texts, *numbers))
    shown = [heads[name] for name in names]
    return PageTable(title, (*keys, *shown), cells, folded)


def read_section(fitted: Fitted, version: str) -> Section:
    config = fitted.config
    schema = config.table
    time = f"{', '.join(schema.time)}, every {schema.calendar.name}, up to {config.train_end}"
    facts = [
        ("version", version),
        ("series", f"{len(fitted.history):,}"),
        ("layout", schema.layout),
        ("time", time),
        ("horizon", f"{config.horizon} steps, from the last {fitted.ensemble.lookback}"),
    ]
    for line in describe(schema, fitted.history):
        label = line[:9].strip()
        if label not in ("layout", "time"):
            facts.append((label, line[9:]))
    table = PageTable("The table of the fit", ("what", "as it was read"), facts)
    return Section("What was read", (table,))


def gaps_section(fitted: Fitted) -> Section:
    """Missing values of the past that the version holds, and series without a forecast."""
    panel = fitted.history
    ignored = find_touched_slots(panel, fitted.schema, "ignore")
    panel = replace(panel, observed=panel.observed | ignored)
    gaps = panel.before(panel.lengths) & ~panel.observed
    missing = np.add.reduceat(gaps.astype(np.int64), panel.first_slots)
    count = missing.sum()
    text = "No value is missing. "
    if count:
        total = panel.lengths.sum()
        series = f"{np.count_nonzero(missing):,} of {len(panel):,} series"
        text = f"{count:,} of {total:,} values are missing, in {series}. "
    text += f"The version holds the newest {panel.longest:,} steps of the series; "
    text += "older gaps, and those that events ignore, do not count."
    statuses = Rows()
    for status, ids in _ids_by(panel.status, panel.ids):
        meaning = MEANINGS.get(status, "")
        statuses.append((status, len(ids), meaning, series_names(ids, MOST_NAMED)))
    heads = ["status", "series", "meaning", "such as"]
    tables = [PageTable("Series by status", heads, statuses)]
    if count:
        shown = min(MOST_ROWS, np.count_nonzero(missing))
        worst = np.argsort(-missing, kind="stable")[:shown].tolist()
        rows = [_longest_gap(panel, fitted.schema, i) for i in worst]
        heads = ["series", "missing", "share", "longest gap, steps", "from", "to"]
        tables.append(PageTable("The series with the most missing values", heads, rows))
    return Section("Gaps in the data", (text, *tables))


def _ids_by(names: Sequence[str], ids: Ids) -> list[tuple[str, list[Id]]]:
    """The ids of the series that have each name, the most frequent name first."""
    groups: dict[str, list[Id]] = {}
    for name, series in zip(names, ids, strict=True):
        groups.setdefault(name, []).append(series)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _longest_gap(panel: Panel, schema: Schema, series: int) -> tuple[Cell, ...]:
    missing = ~panel.observed[panel.slots(series)]
    padded = np.pad(missing, 1).astype(int)
    changes = np.flatnonzero(np.diff(padded))
    begins = changes[::2]
    ends = changes[1::2]
    longest = np.argmax(ends - begins)
    gap = np.array([begins[longest], ends[longest] - 1])
    edges = panel.starts[series] + gap
    texts = position_texts(schema, edges)
    times = [text.removesuffix(" 00:00:00") for text in texts]
    name = series_name(panel.ids[series]) or "the series"
    steps = int(ends[longest] - begins[longest])
    return name, int(missing.sum()), float(missing.mean()), steps, *times


def models_section(predictor: Predictor) -> Section:
    """Which models forecast which series, and with which weights.

    Also how candidates compared, and how networks were trained.
    """
    fitted = predictor.fitted
    config = fitted.config
    groups = _ids_by(list_models(fitted), fitted.history.ids)
    mixtures = Rows()
    for name, ids in groups[:MOST_ROWS]:
        models = counted_models(name)
        mixtures.append((models, len(ids), series_names(ids, MOST_NAMED)))
    heads = ["models", "series", "such as"]
    parts: list[Part] = [PageTable("Mixtures", heads, mixtures)]
    if len(groups) > MOST_ROWS:
        parts.append(f"The {MOST_ROWS} most frequent of {len(groups):,} mixtures.")

    weights = Counter[str]()  # repeated networks are added up
    means = fitted.ensemble.weights[:-1].mean(0).tolist()
    for name, weight in zip(fitted.ensemble.components, means, strict=True):
        weights[name] += weight
    ranked = dict(weights.most_common())
    by_weight = list(zip(ranked, bars(ranked.values()), strict=True))
    parts.append(PageTable("Mean weight in the forecasts", ("model", "weight"), by_weight))

    metric = fitted.settings().metric.upper()
    scores = sorted(fitted.ensemble.scores.items(), key=lambda item: item[1])
    if scores:
        title = f"Candidates on held-out values, by {metric}"
        parts.append(PageTable(title, ("candidate", metric), scores))
    else:
        parts.append("No value could be held out to compare candidates on.")

    trained = Rows()
    networks = zip(config.plan.members, config.trained_steps, config.validation, strict=True)
    for member, steps, loss in networks:
        trained.append((member.model, steps, member.batch_size, member.lookback, loss))
    if trained:
        heads = ["network", "steps", "windows a step", "steps of the past", "best held-out loss"]
        parts.append(PageTable("Training of the networks", heads, trained))
    return Section("Who forecasts what", (*parts, *_attention(predictor)))


def _attention(predictor: Predictor) -> tuple[LineChart, ...]:
    """A chart of the attention weight of each step of the past, averaged over series."""
    members = predictor.fitted.network_members
    if not any("attention" in member.model for member in members):
        return ()  # before torch is imported
    panel = predictor.fitted.history
    series = forecast_series(panel)
    try:
        weights = predictor.attention(panel, series[:256]).mean(0)
    except Unavailable:
        return ()
    title = "Attention of the network to the past, the mean over series"
    ends = (f"{len(weights):,}", "1")
    lines = {"weight": weights.tolist()}
    return (LineChart(title, "steps before the forecast", ends, lines),)


def versions_section(versions: Sequence[Row]) -> Section:
    """The versions of a store, the newest first; `versions` has the oldest first."""
    rows = Rows()
    for row in reversed(versions):
        saved = row["created"][:19].replace("T", " ")
        live = "live" if row["live"] else ""
        short_hash = row["hash"][:12]
        rows.append((row["version"], saved, live, short_hash, row["note"]))
    heads = ["version", "saved, UTC", "", "hash", "note"]
    return Section("Versions", (PageTable("Versions of the store", heads, rows),))


def actuals_lines(summary: Mapping[str, Any]) -> list[str]:
    """Lines of text on the values that have arrived since the last run."""
    if "values" not in summary:
        return []
    shares = ", ".join(_share_text(summary, level) for level in ("80", "95"))
    lines = [f"{summary['values']:,} new values: {shares}"]

    value = "{series} {time}: {actual:.6g}, forecast {forecast:.6g} ({lo_80:.6g} to {hi_80:.6g})"
    if summary["farthest"]:
        farthest = [value.format_map(row).strip() for row in summary["farthest"][:SERIES_SHOWN]]
        lines.append(f"farthest {'; '.join(farthest)}")
    return lines


def _share_text(summary: Mapping[str, Any], level: str) -> str:
    share = summary[f"outside_{level}"]
    usual = summary[f"usual_{level}"]
    text = f"{100 * share:.3g} % outside {level} % intervals"
    if usual is None:
        return text
    more = "more than ever, " if share > usual[1] else ""
    return f"{text} ({more}{100 * usual[0]:.3g} to {100 * usual[1]:.3g} % in past runs)"


def job_section(
    state: str, runs: Sequence[Row], newest_days: Sequence[Row], actuals: Row
) -> Section:
    """The runs of a job and its scores by day, newest first, and what its newest actuals say."""
    parts: list[Part] = [f"{state}."]
    if lines := actuals_lines(actuals):
        parts.append(f"Since the last run: {'. '.join(lines)}.")
    if added := actuals.get("overrides"):
        rows = [list(row.values()) for row in added]
        parts.append(
            PageTable(
                "Overrides of earlier runs against the actual values",
                list(added[0]),
                rows,
            )
        )
    if len(newest_days) > 1:
        days = newest_days[::-1]
        ends = str(days[0]["day"]), str(days[-1]["day"])
        errors = {"MASE": _line(days, "mase")}
        parts.append(LineChart("MASE by day", "day", ends, errors))
        title = "Share of values inside the intervals by day"
        parts.append(LineChart(title, "day", ends, _coverage_lines(days), TARGETS))
    if newest_days:
        title = "Forecasts of earlier runs against the actual values"
        parts.append(_table(title, newest_days, ("day",), DAY))
    else:
        parts.append("There is no actual value yet for a forecast of an earlier run.")
    rows = [[run[name] for name in RUN_HEADS] for run in runs]
    parts.append(PageTable("Runs, newest first", list(RUN_HEADS.values()), rows))
    return Section("Runs", tuple(parts))


def changes_section(changes: Row) -> Section:
    """Why the newest forecasts differ from those of the run before.

    `changes` are plain values, as `compare_runs` returns them.
    """
    runs = " to that as of ".join(changes[name]["as_of"] for name in ("from", "to"))
    moved = 100 * (changes["size"] or 0)
    text = f"From the run as of {runs} forecasts of the same times changed by {moved:.3g} %."
    notes = [f"Note: {note}." for note in changes["notes"]]
    times = changes["by_time"]
    ends = times[0]["time"], times[-1]["time"]
    lines = {"run before": _line(times, "old"), "newest run": _line(times, "new")}
    chart = LineChart("Sum of all series", "time", ends, lines)

    steps = Rows()
    sizes = bars(row["size"] or 0 for row in changes["steps"])
    for row, size in zip(changes["steps"], sizes, strict=True):
        steps.append((row["step"], row["change"], size))
    series = Rows()
    for row in changes["by_series"][:MOST_ROWS]:
        name = " / ".join(list(row.values())[:-5])
        series.append((name, row["old"], row["new"], row["change"]))
    title = "Steps in the order in which they were taken"
    heads = ["step", "change of the sum", "share that moved"]
    by_step = PageTable(title, heads, steps)
    heads = ["series", "before", "now", "change"]
    by_series = PageTable(f"Series whose sum changed most, at most {MOST_ROWS}", heads, series)
    return Section("Changes", (text, *notes, chart, by_step, by_series))


def job_verdict(days: Sequence[Row]) -> str:
    """How good the forecasts of a job were, in a sentence; "" if there are no actual values."""
    covered = _select_rows(days, "coverage_95")
    values = sum(day["count"] for day, _ in covered)
    if not values:
        return ""
    held = sum(day["count"] * share for day, share in covered) / values
    text = f"In the job's last {len(covered)} scored days 95 % intervals held "
    text += f"{100 * held:.0f} % of {values:,} values"
    scored = _select_rows((day for day, _ in covered), "mase")
    weight = sum(day["count"] for day, _ in scored)
    if weight:
        error = sum(day["count"] * mase for day, mase in scored) / weight
        text += f", MASE {error:.2f}"
    return text
