"""What a run is about to write: sums, its checks, what stands in for what fails them, and past runs replayed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.checks import actual, limits
from forecast.checks import output as checks
from forecast.checks.accuracy import MAX_FORECASTS, Earlier, earlier_forecasts
from forecast.checks.actual import Night
from forecast.checks.promotion import ServingVersion
from forecast.errors import Blocked, Setting, Words
from forecast.events.closed import with_fixed
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import fixed_of
from forecast.jobs.administration import ledger_of
from forecast.jobs.inputs import added_columns, explained_output
from forecast.jobs.kinds import Results
from forecast.jobs.pipeline import Pipeline
from forecast.ledger.ledger import PUBLISHED, SUM_COLUMNS, Kept, series_text
from forecast.ledger.record import Record
from forecast.logs import log
from forecast.panel.panel import Ids, Panel
from forecast.panel.schema import calendar_of
from forecast.settings import INTERVALS
from forecast.tables.writing import frame_of
from forecast.totals.periods import key_columns, keys_of, levels_of
from forecast.totals.sums import Totals, log_notes, significant


def totals_of(pipeline: Pipeline, live: ServingVersion, forecasts: Forecasts) -> list[Totals]:
    made = []
    for asked in pipeline.totals:
        totals = Totals(live.predictor, asked.sums, pipeline.output, None)
        totals.add(forecasts)
        log_notes(totals)
        made.append(totals)
    return made


def sums_to_keep(made: Iterable[Totals], forecasts: Forecasts) -> pd.DataFrame:
    """Sums for the ledger: a row for each, with the first and the last time of its period."""
    rows, numbers = list[tuple[Any, ...]](), list[pd.DataFrame]()
    for totals in made:
        calendar = calendar_of(totals.schema)
        for groups in totals.groups:
            last = forecasts.panel.origins.max() + groups.periods.edges[1:]
            first = np.concatenate([[groups.periods.first], last[:-1] + 1])
            spans = np.column_stack(
                [np.arange(len(last)) + 1, calendar.times(first), calendar.times(last)]
            ).tolist()
            rows += [
                (series_text((groups.level.name, *key)), *span)
                for key in groups.ordered()
                for span in spans
            ]
        numbers.append(frame_of(totals.columns(INTERVALS))[PUBLISHED])
    frame = pd.DataFrame(rows, columns=SUM_COLUMNS[:4]).join(pd.concat(numbers, ignore_index=True))
    return frame.drop_duplicates(["series", "step"])[:MAX_FORECASTS].astype({"series": "category"})


def compare_sums(
    runs: Iterable[pd.DataFrame], panel: Panel, live: ServingVersion, pipeline: Pipeline
) -> list[dict[str, Any]]:
    """Compare sums of earlier runs with those of the actuals: scores by level, errors in shares of the actual sums.

    A sum counts once its period is over and all of its cells are known; a series that ended has none after that.
    """
    schema, status, calendar = live.schema, np.array(panel.status), calendar_of(live.schema)
    # series without dates have ends of their own
    stored = [sums.astype({"series": object}) for sums in runs] if schema.dated else []
    known, ended = (
        with_fixed(panel, fixed_of(live.fitted, panel)),
        np.repeat(status == "ended", np.diff(panel.offsets)),
    )
    values = np.where(known.observed, known.values, np.where(ended, 0.0, np.nan))
    parts = np.nan_to_num(values).astype(np.longdouble), values != values
    total, gaps = (np.append(0, np.cumsum(part)) for part in parts)
    series, groups, compared = (
        np.flatnonzero(status != "missing"),
        dict[str, tuple[Any, Any]](),
        list[pd.DataFrame](),
    )
    for level in (level for totals in pipeline.totals for level in levels_of(totals.sums, schema)):
        names = [
            series_text((level.name, *key)) for key in keys_of(panel, schema, series, level.by)
        ]
        groups[level.name] = pd.factorize(np.array(names, object))
    for span, sums in pd.concat(stored).groupby(["first", "instant"]) if stored else ():
        first, last = calendar.positions(np.array(span)).tolist()
        if last <= panel.origins.max():
            ends = np.clip(
                np.array([[first], [last + 1]]) - panel.starts[series], 0, panel.lengths[series]
            )
            low, high = panel.offsets[series] + ends
            of_series = np.where(gaps[high] > gaps[low], np.nan, total[high] - total[low]).astype(
                np.float64
            )
            found = pd.concat(
                [
                    pd.Series(np.bincount(codes, of_series), names)
                    for codes, names in groups.values()
                ]
            )
            compared.append(
                sums.assign(actual=significant(found.reindex(sums["series"]).to_numpy(np.float64)))
            )
    level_of = {name: level for level, (_, names) in groups.items() for name in names}
    over = pd.concat(compared).dropna(subset="actual") if compared else pd.DataFrame({"series": []})
    found = []
    for level, sums in over.groupby(over["series"].map(level_of)):
        actual, error = sums["actual"], sums["forecast"] - sums["actual"]
        size = float(actual.abs().sum())
        shares = [float(part) / size if size else None for part in (error.abs().sum(), error.sum())]
        row = {"level": str(level), "sums": len(sums), "error": shares[0], "bias": shares[1]}
        held = {
            end: actual.between(sums[f"lo_{end}"], sums[f"hi_{end}"]).mean() for end in (80, 95)
        }
        found.append(row | {f"coverage_{end}": float(share) for end, share in held.items()})
    return found


@dataclass(frozen=True)
class CheckedForecasts:
    forecasts: Forecasts
    totals: list[Totals]
    problems: list[str] = field(default_factory=list)  # that block the run
    source: NDArray[np.object_] | None = (
        None  # [rows], where the numbers of each row are from, if that is asked for
    )
    replaced: Ids = ()  # series whose numbers are of other runs

    def tables(self, pipeline: Pipeline, live: ServingVersion) -> list[Results]:
        """The table of forecasts, and those of sums, as sinks write them."""
        explained, forecasts, calendar = (
            frame_of(self.forecasts.columns),
            self.forecasts,
            calendar_of(live.schema),
        )
        if self.source is not None:
            explained[checks.SOURCE] = self.source
        hidden = (
            ["model", "status"] if added_columns(pipeline) and not pipeline.output.explain else []
        )
        origins, horizon = (
            forecasts.panel.origins[forecasts.series, None],
            forecasts.quantiles.shape[1],
        )
        times = (
            calendar.times((origins + 1 + np.arange(horizon)).ravel()),
            calendar.times(origins.repeat(horizon)),
        )
        made = live.version, pipeline.output
        tables = [Results(explained.drop(columns=hidden), explained, *times, live.schema, *made)]
        newest = calendar.times(forecasts.panel.origins.max(keepdims=True))[0]
        for totals in self.totals:
            frame, ids = (
                frame_of(totals.columns()),
                ("level", *key_columns(totals.levels, live.schema)),
            )
            schema = live.schema.model_copy(update={"ids": ids})
            tables.append(
                Results(frame, frame, totals.starts, np.full(len(frame), newest), schema, *made)
            )
        return tables


def checked(
    pipeline: Pipeline,
    live: ServingVersion,
    forecasts: Forecasts,
    record: Record,
    last: Kept,
    night: Night,
) -> CheckedForecasts:
    """Check what a run is about to write; the record gets the statistics, and the log what warns."""
    falls_back = pipeline.checks.output.on_error == "fallback"
    source = np.full(forecasts.rows, checks.THIS_RUN, object) if falls_back else None
    as_forecast = CheckedForecasts(forecasts, totals_of(pipeline, live, forecasts), [], source)
    found = actual.findings(night, record)
    refused = _refused(_alarms(pipeline, found, night.runs), found) if falls_back else set()
    passed = _fallen_back(pipeline, live, as_forecast, last, refused) if refused else as_forecast

    earlier = None if last is None else _comparable(last, passed.forecasts, night)
    output = checks.Output(
        passed.forecasts, live.fitted, live.schema, pipeline.output, passed.totals
    )
    new = set(found["new_series"].series) if "new_series" in found else set()
    found |= checks.findings(output, earlier, limits.teaching(night.runs), new)
    alarms = _alarms(pipeline, found, night.runs)
    problems = [text for word, text in alarms.values() if word == "blocked"]
    of_forecasts = _refused(alarms, found) - refused if falls_back else set()
    if of_forecasts and not problems:
        here = {*of_forecasts, *(forecasts.panel.ids[i] for i in forecasts.series)}
        if len(of_forecasts) > checks.MOST_REPLACED * len(here):
            problems = [
                f"{len(of_forecasts)} of {len(here)} series are too many for rows of the last run"
            ]
            problems += [text for word, text in alarms.values() if word == "error"]
        else:
            passed = _fallen_back(pipeline, live, as_forecast, last, refused | of_forecasts)
    passed = replace(passed, problems=[*passed.problems, *problems])

    record.checks = {name: finding.statistic() for name, finding in found.items()}
    record.findings = list(alarms)
    only_warns = all(word == "warning" for word, _ in alarms.values())
    record.held = only_warns and any(limits.has_held(name, night.runs) for name in alarms)
    for text in (text for _, text in alarms.values() if text not in passed.problems):
        log.warning("%s", pipeline.hidden(text))
    return passed


def _alarms(
    pipeline: Pipeline, found: dict[str, limits.Finding], runs: Sequence[Record]
) -> dict[str, tuple[str, str]]:
    """What checks say; what the runs of a week have found, too, only warns."""
    statistics = {name: finding.statistic() for name, finding in found.items()}
    alarms = limits.alarms(statistics, pipeline.checks, found)
    for name, (_, text) in alarms.items():
        if limits.has_held(name, runs):
            alarms[name] = (
                "warning",
                f"{text}; as the runs of a week have found it, it counts as right",
            )
    return alarms


def _refused(
    alarms: dict[str, tuple[str, str]], found: dict[str, limits.Finding]
) -> set[tuple[str, ...]]:
    """The series that errors name which rows of the last run can mend."""
    return {
        ids for name, (word, _) in alarms.items() if word == "error" for ids in found[name].series
    }


def _comparable(last: pd.DataFrame, forecasts: Forecasts, night: Night) -> Earlier:
    """What the last run published, without the steps that events touch of which it did not know."""
    names, published = earlier_forecasts(last, forecasts, night.schema)
    panel = forecasts.panel
    first = panel.offsets[forecasts.series] + panel.lengths[forecasts.series]
    slots = first[:, None] + np.arange(published.shape[1])
    touched = actual.with_unknown_events(panel, night)[slots]
    return names, np.where(touched[..., None], np.nan, published)


def _fallen_back(
    pipeline: Pipeline,
    live: ServingVersion,
    passed: CheckedForecasts,
    last: Kept,
    refused: set[tuple[str, ...]],
) -> CheckedForecasts:
    """The forecasts with those of the last run for refused series, and seasonal naive where these end."""
    forecasts = passed.forecasts
    here = {forecasts.panel.ids[i] for i in forecasts.series}
    room = checks.with_gone_series(forecasts, live.fitted, sorted(refused - here))
    if room is None:
        return replace(
            passed, problems=[f"{len(refused - here)} series are too new for rows of the last run"]
        )
    earlier = (
        np.full((*room.means.shape, 5), np.nan)
        if last is None
        else earlier_forecasts(last, room, live.schema)[1]
    )
    series = np.array([room.panel.ids[i] in refused for i in room.series], bool)
    made, source = checks.with_replaced_series(
        room, live.fitted, explained_output(pipeline), series, earlier
    )
    return CheckedForecasts(
        made, totals_of(pipeline, live, made), [], source, tuple(sorted(refused))
    )


def refuse(problems: list[str]) -> None:
    """Raise `Blocked` for what keeps a run from being published, if anything does."""
    if problems:
        cure = Words("`forecast diff` explains it; mend the source and run again")
        if not any(text.partition(":")[0] in limits.HARD for text in problems):
            cure = Words(cure, ", or pass ", Setting("accept"))
        raise Blocked(f"blocked, and nothing was published: {'; '.join(problems)}", cure=cure)


def replayed_checks(pipeline: Pipeline, runs: int) -> list[str]:
    """A line for each of the newest runs of which a check of forecasts would have said something, and a summary."""
    with pipeline.hidden.kept_out():
        records = [run for run in ledger_of(pipeline).runs(runs) if run.checks]
    lines, counts = list[str](), Counter[str]()
    for record in reversed(records):
        if found := limits.alarms(record.checks, pipeline.checks, {}):
            words = {"warning"} if record.held else {word for word, _ in found.values()}
            worst = min(words)  # the alphabet has them in the order of severity
            counts[worst] += 1
            lines.append(
                f"{record.as_of}  {worst}: {'; '.join(text for _, text in found.values())}"
            )
    summary = ", ".join(f"{counts[word]} {word}" for word in sorted(counts)) or "no alarm"
    return [*lines, f"replayed {len(records)} runs with the limits of {pipeline.file}: {summary}"]
