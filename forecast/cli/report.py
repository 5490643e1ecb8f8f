"""Write a report as one page of HTML: a forecaster, its backtest, its job."""

import json
import platform
import shlex
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path

from forecast.artifacts.store import Store, check_apart
from forecast.checks.accuracy import actuals_lines
from forecast.checks.promotion import ServingVersion as Saved
from forecast.cli._command import Request
from forecast.cli._console import log, steps_bar, suggest
from forecast.cli._data import check_outputs, load_later
from forecast.cli.store import Chosen, chosen_store
from forecast.durable import replace_file
from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest
from forecast.errors import BadData, NoInput, UsageError
from forecast.inference.fitted import Fitted, counted_models, verdict
from forecast.inference.forecasting import Forecasts, load_predictor
from forecast.jobs.administration import ledger_of, run_note, status_of, versions_of
from forecast.jobs.diff import diff_of
from forecast.jobs.pipeline import Pipeline, files_read
from forecast.ledger.ledger import ALWAYS, PUBLISHED
from forecast.panel.panel import series_index
from forecast.panel.schema import calendar_of
from forecast.reading.saved import SavedForecasts
from forecast.report import sections
from forecast.report.chart import PlotData, plot_of_forecasts, plot_of_history, plot_of_table
from forecast.report.page import Commands, Gallery, Section, check_report, page_bytes
from forecast.report.sections import BacktestTables
from forecast.report.sum_charts import sums_section
from forecast.settings import (
    INTERVALS,
    STORE,
    OutputSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)


def run(request: Request) -> None:
    where, backtest, output = request.of(TrainSettings), request.backtest, request.output
    with chosen_store(request.job, request.artifact) as chosen:
        check_report(output)
        check_outputs(request, output, store=chosen.store)
        check_apart(output, files_read(chosen.pipeline) if chosen.pipeline else {})
        tables = None if backtest is None else _backtest(backtest)
        explicit = (
            chosen.pipeline is not None
            or chosen.store != STORE.store
            or request.version is not None
        )
        saved, store = None, Store(chosen.store)
        if chosen.pipeline is not None and store.empty:
            ran = f"forecast run {chosen.pipeline.file or 'JOB.toml'}"
            raise NoInput(
                f"{chosen.shown(chosen.pipeline.name or 'job')} has not run yet; run `{ran}` first"
            )
        if tables is None or explicit or not store.empty:
            version = request.version or store.current()
            saved = Saved(
                version, load_predictor(chosen.store, version, where.device, where.engine)
            )
        if saved is not None and tables is not None:
            horizon = saved.fitted.config.horizon
            if not tables.ids.isdisjoint(saved.fitted.history.ids):
                if tables.steps != horizon:
                    log(
                        f"{backtest} tests {tables.steps} steps, and the store forecasts {horizon}",
                        "warning",
                    )
            elif explicit:
                cure = (
                    "name the store of the same series with --artifact, or leave one of the two out"
                )
                raise BadData("has no series of this store", place=backtest, cure=cure)
            else:
                log(f"store    {chosen.store} has other series than {backtest}, and is left out")
                saved = None
        replace_file(output, _page(chosen, request, tables, saved))
        log(f"written  {output}")
        if tables is None and saved is not None:
            suggest("backtest", "DATA", *_fit_words(saved.fitted), "--output", "backtest.json")


def _backtest(path: str) -> BacktestTables:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NoInput(f"{path} cannot be opened: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        found = None
    return BacktestTables(found, path)


def _page(
    chosen: Chosen, request: Request, backtest: BacktestTables | None, saved: Saved | None
) -> Iterator[bytes]:
    verdicts, parts = list[str](), list[Section]()
    if saved is not None:
        config, forecasts = saved.fitted.config, _forecasts(request, saved)
        data, text = _plot_data(chosen, request, saved, forecasts)
        names = saved.fitted.ensemble.names(series_index(saved.fitted.history.ids, data.ids))
        measure, errors = ("", {}) if backtest is None else ("MASE", backtest.errors)
        gallery = Gallery(data, measure, errors, list(map(counted_models, names)))
        parts += [
            sections.read_section(saved.fitted, saved.version),
            sections.gaps_section(saved.fitted),
        ]
        parts.append(Section("Forecasts", (text, gallery)))
        if forecasts is not None and len(forecasts.panel) > 1:
            asked = (
                [] if chosen.pipeline is None else [each.sums for each in chosen.pipeline.totals]
            )
            parts.append(sums_section(saved.predictor, forecasts, asked))
        if backtest is None:
            words = verdict(config.scores, len(config.components))
            verdicts.append(words[0].upper() + words[1:])
            text = "No backtest was given. These lines make one, and a report with its errors by step and by series."
            test = ("backtest", "DATA", *_fit_words(saved.fitted), "--output", "backtest.json")
            more = (
                "report",
                *chosen.words,
                "--backtest",
                "backtest.json",
                "--output",
                request.output,
            )
            parts.append(Section("Errors in the past", (text, _lines(chosen, test, more))))
    if backtest is not None:
        verdicts.append(sections.verdict_of(backtest))
        parts += [sections.error_section(backtest), sections.coverage_section(backtest)]
    if saved is not None:
        versions = versions_of(chosen.store, chosen.pipeline)
        with steps_bar("importance", "inputs") as on_part:
            importance = sections.importance_section(saved.predictor, saved.fitted.history, on_part)
        shown = [{**row, "note": chosen.shown(row["note"])} for row in versions]
        parts += [
            sections.models_section(saved.predictor),
            importance,
            sections.versions_section(shown),
        ]
    if chosen.pipeline is not None:
        ledger = ledger_of(chosen.pipeline)
        state = status_of(ledger, chosen.store, runs=30)
        runs = [
            {**run, "what": chosen.shown(run_note(run))} for run in state["runs"]
        ]  # without secrets
        days = [vars(day) for day in ledger.days(90)]
        verdicts.append(sections.job_verdict(days))
        with suppress(NoInput, UsageError):  # there are no two runs that can be compared
            diff = diff_of(ledger, chosen.store, (None, None), request.of(TrainSettings))
            parts.append(sections.changes_section(diff))
        status = f"{chosen.shown(state['job'])}: {chosen.shown(state['said'])}"
        parts.append(sections.job_section(status, runs, days, actuals_lines(state["actuals"])))
    parts.append(Section("How to repeat it", (_commands(chosen, request, saved),)))
    name = (
        chosen.pipeline.name
        if chosen.pipeline
        else Path(chosen.store).name
        if saved
        else request.backtest
    )
    now = datetime.now(UTC).isoformat(" ", "minutes").removesuffix("+00:00")
    made = f"Made by forecast {version_of('forecast')} with Python {platform.python_version()} at {now} UTC."
    text = ". ".join(text for text in verdicts if text) + "."
    return page_bytes(f"Forecast report: {chosen.shown(name or 'job')}", text, parts, made)


def _forecasts(request: Request, saved: Saved) -> Forecasts | None:
    """The forecasts after the values that a version holds; None without the known values that they need."""
    table, output = saved.fitted.config.table, OutputSettings(levels=INTERVALS)
    if table.known and request.future is None:
        return None
    later = load_later(request.future, table.reading)
    with steps_bar("forecasts", "series") as on_series:
        question = ForecastRequest(future=later, output=output, on_series=on_series)
        return forecast(saved.predictor, question).whole


def _plot_data(
    chosen: Chosen, request: Request, saved: Saved, forecasts: Forecasts | None
) -> tuple[PlotData, str]:
    config = saved.fitted.config
    live = chosen.pipeline if request.version is None and request.future is None else None
    if live is not None and (stored := _plot_of_ledger(saved.fitted, live)) is not None:
        return stored
    if forecasts is None:
        names = ", ".join(config.table.known)
        text = f"History only: forecasts need the future values of {names}; name their table with --future."
        return plot_of_history(saved.fitted), text
    after = (
        f"{config.train_end}, the last time at fit"
        if config.table.dated
        else "the last value of each series"
    )
    return plot_of_forecasts(
        forecasts, saved.fitted, INTERVALS
    ), f"Forecasts of {config.horizon} steps after {after}."


def _plot_of_ledger(fitted: Fitted, pipeline: Pipeline) -> tuple[PlotData, str] | None:
    stored = next(ledger_of(pipeline).forecasts(ALWAYS, 1), None)
    if stored is None or len(stored) % (horizon := stored["step"].max()):
        return None
    as_of = stored["as_of"].iloc[0]
    first = calendar_of(fitted.config.table).positions(stored["instant"].to_numpy()[::horizon])
    numbers = stored[PUBLISHED].to_numpy().reshape(-1, horizon, len(PUBLISHED))
    ids = tuple(tuple(json.loads(text)) for text in stored["series"][::horizon])
    made = SavedForecasts(ids, first, numbers, INTERVALS)
    data = plot_of_table(fitted.history, fitted.config.table, made, fitted.naive_error)
    if not len(data.series):
        return None
    run, held = (
        f"the run as of {as_of}",
        f"the values up to {fitted.config.train_end} that the version holds",
    )
    text = f"Forecasts of {run}, beside {held}."
    if len(data.series) < len(fitted.history):
        text += (
            f" The ledger holds those of {len(data.series):,} of {len(fitted.history):,} series."
        )
    return data, text


def _fit_words(fitted: Fitted) -> list[str]:
    table = fitted.config.table
    groups = TableSettings.check(table.table_settings()), table.reading, fitted.settings()
    given = {
        name: value
        for group in groups
        for name, value in group.model_dump(exclude_defaults=True).items()
    }
    given |= {**fitted.run, "horizon": fitted.config.horizon}
    params = given.pop("params", {})
    lists = {
        name: tuple(map(str, value))
        for name, value in given.items()
        if isinstance(value, list | tuple)
    }
    pairs = [
        word for name, value in params.items() for word in ("-p", f"{name}={json.dumps(value)}")
    ]
    return [
        *Request(values=given | lists).words(TableSettings, TextSettings, TrainSettings),
        *pairs,
    ]


def _commands(chosen: Chosen, request: Request, saved: Saved | None) -> Commands:
    words = request.words(more=("backtest", "future", "output"))
    if saved is None:
        return _lines(chosen, ("report", *words))
    store, version = chosen.words, ("--version", saved.version)
    named = version if request.version is not None or chosen.pipeline is None else ()
    report, inspect = ("report", *store, *named, *words), ("inspect", *store, *version, "--json")
    if chosen.pipeline is not None:
        return _lines(chosen, report, chosen.use, ("status", *store), inspect)
    future = ("--future", request.future or "FILE") if saved.fitted.config.table.known else ()
    fit, predict = (
        ("fit", "DATA", *_fit_words(saved.fitted), *store),
        (*chosen.use, *version, *future),
    )
    return _lines(chosen, report, fit, predict, ("explain", *store, *version), inspect)


def _lines(chosen: Chosen, *commands: tuple[str, ...]) -> Commands:
    """Command lines, without secrets."""
    return Commands(
        tuple(shlex.join(("forecast", *map(chosen.shown, words))) for words in commands)
    )
