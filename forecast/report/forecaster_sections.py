"""What a saved forecaster is, as sections of a report: what it read, gaps, who forecasts, what forecasts rest on."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from forecast.errors import BadData, Unavailable
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor
from forecast.inference.summary import counted_models, models_of
from forecast.panel.naming import series_name, series_names
from forecast.panel.panel import Ids, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.reading import describe
from forecast.report.explanation import importances
from forecast.report.page import Bar, Cell, Facts, LineChart, Section, Table, number
from forecast.threads import OnPart

LABEL = 9  # characters of a line that describes a table, before what it says
ROWS = 20  # that a table lists
ATTENDED = 256  # series whose attention is averaged
REPEATS = 3  # of each input whose importance is measured
MEANINGS = {
    "ok": "forecast",
    "constant": "forecast; the value never changes",
    "short": "forecast; shorter than the steps that a forecast looks back",
    "ended": "no forecast: the newest values are missing for longer than a forecast looks back",
    "missing": "no forecast: too many values are missing",
}


def read_section(fitted: Fitted, version: str) -> Section:
    """What was read and inferred at the fit of a version."""
    config = fitted.config
    lines = [line for line in describe(config.table, fitted.history) if not line.startswith(("layout", "time"))]
    facts = (
        ("version", version),
        ("series", f"{len(fitted.history):,}"),
        ("layout", config.table.layout),
        ("time", f"{', '.join(config.table.time)}, every {config.table.calendar.name}, up to {config.train_end}"),
        ("horizon", f"{config.horizon} steps, from the last {config.lookback}"),
        *((line[:LABEL].strip(), line[LABEL:]) for line in lines),
    )
    return Section("What was read", (Facts(facts),))


def gaps_section(fitted: Fitted) -> Section:
    """Missing values of the past that the version holds, and series without a forecast."""
    panel = fitted.history
    missing = np.array([int((~panel.observed[panel.slots(i)]).sum()) for i in range(len(panel))])
    rows = tuple(
        (status, len(ids), MEANINGS.get(status, ""), series_names(ids, 3))
        for status, ids in _grouped(panel.status, panel.ids)
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
    """A row for a series with missing values."""
    seen = panel.observed[panel.slots(series)]
    edges = np.flatnonzero(np.diff(np.concatenate([[True], seen, [True]]).astype(int)))
    begin, end = edges[::2], edges[1::2]
    longest = int(np.argmax(end - begin))
    ends = panel.starts[series] + np.array([begin[longest], end[longest] - 1])
    first, last = (text.removesuffix(" 00:00:00") for text in position_texts(schema, calendar_of(schema), ends))
    name, count = series_name(panel.ids[series]) or "the series", int((~seen).sum())
    return name, count, count / len(seen), int(end[longest] - begin[longest]), first, last


def models_section(predictor: Predictor) -> Section:
    """Which models forecast which series and by what weight; how candidates compared, and networks were trained."""
    fitted = predictor.fitted
    groups = _grouped(models_of(fitted), fitted.history.ids)
    rows = tuple((counted_models(name), len(ids), series_names(ids, 3)) for name, ids in groups[:ROWS])
    more = (f"The {ROWS} most frequent of {len(groups):,} mixtures.",) if len(groups) > ROWS else ()
    total = Counter[str]()
    for name, weight in zip(fitted.ensemble.components, fitted.ensemble.weights[1:].mean(0).tolist(), strict=True):
        total[name] += weight  # that of repeated networks together
    largest = max(total.values(), default=1.0) or 1.0
    weights = tuple((name, Bar(weight, weight / largest)) for name, weight in total.most_common())
    scores = sorted(fitted.config.scores.items(), key=lambda item: item[1])
    metric = fitted.settings().metric.upper()
    losses = Table(f"Candidates on held-out values, by {metric}", ("candidate", metric), tuple(scores))
    networks = zip(fitted.config.plan.members, fitted.config.trained_steps, fitted.config.validation, strict=True)
    trained = tuple((each.model, steps, each.batch_size, each.lookback, loss) for each, steps, loss in networks)
    heads = ("network", "steps", "windows a step", "steps of the past", "best loss on held-out values")
    parts = (
        Table("Mixtures", ("models", "series", "such as"), rows),
        *more,
        Table("Mean weight in the forecasts", ("model", "weight"), weights),
        losses if scores else "No value could be held out to compare candidates on.",
        *([Table("Training of the networks", heads, trained)] if trained else ()),
        *_attention(predictor),
    )
    return Section("Who forecasts what", parts)


def _attention(predictor: Predictor) -> tuple[LineChart, ...]:
    """The weight that a network with attention gives to each step of the past, the mean over series."""
    config, panel = predictor.fitted.config, predictor.fitted.history
    if not any("attention" in member.model for group in config.members() for member in group):
        return ()  # before torch is imported
    series = panel.order[~panel.skipped[panel.order]][:ATTENDED]
    try:
        weights = predictor.attention(panel, series).mean(0)
    except Unavailable:
        return ()
    title, across = "Attention of the network to the past, the mean over series", "steps before the forecast"
    return (LineChart(title, across, (f"{len(weights):,}", "1"), {"weight": weights.tolist()}),)


def importance_section(predictor: Predictor, panel: Panel, on_part: OnPart | None = None) -> Section:
    """By how much errors grow without an input; `on_part` receives the progress."""
    title = "What the forecasts rest on"
    try:
        found = importances(predictor, panel, REPEATS, predictor.fitted.settings().seed, on_part)
    except BadData as error:
        return Section(title, (f"Not measured: {error}",))
    largest = max((abs(row.mean) for row in found), default=0.0) or 1.0
    rows = tuple(
        (name, kind, Bar(mean, mean / largest), f"± {number(std)}" if std else "") for name, kind, mean, std in found
    )
    text = "By how much the mean absolute error of the newest horizons grows without an input, in the unit of the "
    text += f"target. `forecast explain` repeats this more often than the {REPEATS} times here."
    heads = ("input", "kind", "error grows by", "standard deviation")
    return Section(title, (text, Table("Importance", heads, rows)))
