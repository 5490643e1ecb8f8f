"""What a saved forecaster is, as sections of a report: what it read, gaps, who forecasts, what forecasts rest on."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from forecast.errors import BadData
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor
from forecast.inference.summary import counted_models, models_of
from forecast.panel.building import calendar_of, position_texts
from forecast.panel.detection import describe
from forecast.panel.naming import series_name, series_names
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.report.charts import number
from forecast.report.importance import importances
from forecast.report.page import Bar, Facts, Section, Table

ROWS = 20  # that a table lists
REPEATS = 3  # of each input whose importance is measured
MEANINGS = {
    "ok": "forecast",
    "constant": "forecast; the value never changes",
    "short": "forecast; shorter than the steps that a forecast looks back",
    "ended": "no forecast: the newest values are missing for longer than a forecast looks back",
    "missing": "no forecast: too many values are missing",
}


def read_section(fitted: Fitted) -> Section:
    """What was read and inferred at fit."""
    config = fitted.config
    lines = [line for line in describe(config.table, fitted.history) if not line.startswith(("layout", "time"))]
    facts = [
        ("series", f"{len(fitted.history):,}"),
        ("layout", config.table.layout),
        ("time", f"{', '.join(config.table.time)}, every {config.table.calendar.name}, up to {config.train_end}"),
        ("horizon", f"{config.horizon} steps, from the last {config.lookback}"),
        *((word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)),
    ]
    return Section("What was read", (Facts(tuple(facts)),))


def gaps_section(fitted: Fitted) -> Section:
    """Missing values of the past that the version holds, and series without a forecast."""
    panel = fitted.history
    sizes, slots = panel.lengths, np.concatenate([[0], np.cumsum(panel.lengths)])
    seen = np.concatenate([panel.observed[panel.slots(i)] for i in range(len(panel))])
    missing = sizes - np.add.reduceat(seen, slots[:-1])
    states = Counter(panel.status)
    rows = tuple((word, count, MEANINGS.get(word, "")) for word, count in states.most_common())
    text = f"{int(missing.sum()):,} of {len(seen):,} values are missing, in {int((missing > 0).sum()):,} of "
    text += f"{len(panel):,} series. The version holds the newest {int(sizes.max()):,} steps; older gaps do not count."
    table = [Table("Series by status", ("status", "series", "meaning"), rows)]
    worst = np.argsort(-missing, kind="stable")[:ROWS]
    if missing.any():
        gaps = tuple(_gaps(panel, fitted.config.table, int(i)) for i in worst if missing[i])
        heads = ("series", "missing", "share", "longest gap, steps", "from", "to")
        table.append(Table("The series with the most missing values", heads, gaps))
    return Section("Gaps in the data", (text, *table))


def _gaps(panel: Panel, schema: Schema, series: int) -> tuple[str | int | float, ...]:
    """A row for a series with missing values."""
    seen = panel.observed[panel.slots(series)]
    edges = np.flatnonzero(np.diff(np.concatenate([[True], seen, [True]]).astype(int)))
    begin, end = edges[::2], edges[1::2]
    longest = int(np.argmax(end - begin))
    ends = panel.starts[series] + np.array([begin[longest], end[longest] - 1])
    first, last = (text.removesuffix(" 00:00:00") for text in position_texts(schema, calendar_of(schema), ends))
    count = int((~seen).sum())
    return _name(panel, series), count, count / len(seen), int(end[longest] - begin[longest]), first, last


def _name(panel: Panel, series: int) -> str:
    return series_name(panel.ids[series]) or "the series"


def models_section(fitted: Fitted) -> Section:
    """Which models forecast which series, by what weight, and how the candidates compared."""
    panel, names = fitted.history, models_of(fitted)
    groups = Counter(names).most_common()
    examples: dict[str, list[tuple[str, ...]]] = {}
    for ids, name in zip(panel.ids, names, strict=True):
        examples.setdefault(name, []).append(ids)
    rows = tuple((counted_models(name), count, series_names(examples[name], 3)) for name, count in groups[:ROWS])
    more = (f"The {ROWS} most frequent of {len(groups):,} mixtures.",) if len(groups) > ROWS else ()
    by_component = _by_model(fitted.ensemble.components, fitted.ensemble.weights[1:].mean(0).tolist())
    largest = max((weight for _, weight in by_component), default=1.0) or 1.0
    weights = tuple((name, Bar(weight, weight / largest)) for name, weight in by_component)
    scores = sorted(fitted.config.scores.items(), key=lambda item: item[1])
    metric = fitted.settings().metric.upper()
    losses = (Table(f"Candidates on held-out values, by {metric}", ("candidate", metric), tuple(scores)),)
    return Section(
        "Who forecasts what",
        (
            Table("Mixtures", ("models", "series", "such as"), rows),
            *more,
            Table("Mean weight in the forecasts", ("model", "weight"), weights),
            *(losses if scores else ("No value could be held out to compare candidates on.",)),
        ),
    )


def _by_model(names: Sequence[str], weights: Sequence[float]) -> list[tuple[str, float]]:
    """The weights of models, those of repeated networks together, the largest first."""
    total: dict[str, float] = {}
    for name, weight in zip(names, weights, strict=True):
        total[name] = total.get(name, 0.0) + weight
    return sorted(total.items(), key=lambda item: -item[1])


def importance_section(predictor: Predictor, panel: Panel) -> Section:
    """By how much errors grow without an input."""
    title = "What the forecasts rest on"
    try:
        found = importances(predictor, panel, REPEATS, predictor.fitted.settings().seed)
    except BadData as error:
        return Section(title, (f"Not measured: {error}",))
    largest = max((abs(one.mean) for one in found), default=0.0) or 1.0
    rows = tuple(
        (one.input, one.kind, Bar(one.mean, one.mean / largest), f"± {number(one.std)}" if one.std else "")
        for one in found
    )
    text = "By how much the mean absolute error of the newest horizons grows without an input, in the unit of the "
    text += f"target. `forecast explain` repeats this more often than the {REPEATS} times here."
    return Section(title, (text, Table("Importance", ("input", "kind", "error grows by", "spread"), rows)))
