"""The command `report`: sections on a forecaster, its backtest and its job, in their order."""

import json
import platform
import shlex
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from forecast.artifacts.store import Store, check_apart
from forecast.cli._command import CommandLine, Request
from forecast.cli._console import log, steps_bar, suggest
from forecast.cli._data import check_outputs, load_later
from forecast.cli._named_store import NamedStore, named_store
from forecast.durable import replace_file
from forecast.engine.forecast import forecast
from forecast.engine.requests import DEFAULT_OUTPUT, ForecastRequest
from forecast.errors import ArtifactRefused, BadData, NoInput, UsageError
from forecast.inference.fitted import Fitted, counted_models, verdict
from forecast.inference.forecasting import Forecasts, checked_horizon, load_predictor
from forecast.jobs.administration import build_status, list_versions, open_ledger, run_note
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.diff import compare_runs, newest_run
from forecast.jobs.ledger import PUBLISHED, Ledger
from forecast.jobs.pipeline import files_read
from forecast.panel.panel import series_index
from forecast.panel.saved import SavedForecasts
from forecast.panel.schema import build_calendar
from forecast.report import sections
from forecast.report.chart import PlotData, plot_of_forecasts, plot_of_history, plot_of_table
from forecast.report.page import CommandBlock, Gallery, Section, check_report, render_page
from forecast.report.sections import BacktestTables
from forecast.report.sum_charts import sums_section
from forecast.settings import (
    DEFAULT_STORE,
    TableSettings,
    TextSettings,
    TrainSettings,
)
from forecast.version import __version__

BACKTEST = ("--output", "backtest.json")


def run(request: Request) -> None:
    output = request.output
    with named_store(request.job, request.artifact) as store:
        check_report(output)
        check_outputs(request, output, store=store.folder)
        if store.pipeline is not None:
            check_apart(output, files_read(store.pipeline))
        backtest = None if request.backtest is None else _backtest(request.backtest)
        saved = _find_version(store, request, backtest)
        if request.by not in (None, backtest and backtest.by):
            request.refuse(
                "no backtest has these errors",
                f"name one of `forecast backtest DATA --by {request.by} --output FILE`",
                "by",
            )
        replace_file(output, _page(store, request, backtest, saved))
        log(f"written  {output}")
        if backtest is None and saved is not None:
            suggest("backtest", "DATA", *_fit_words(saved.fitted), *BACKTEST)


def _backtest(path: str) -> BacktestTables:
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NoInput(f"{path} cannot be opened: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        content = None
    return BacktestTables(content, path)


def _find_version(
    store: NamedStore, request: Request, backtest: BacktestTables | None
) -> ServingVersion | None:
    """The version that the report describes; None if it describes a backtest alone."""
    versions = Store(store.folder)
    if store.pipeline is not None and versions.empty:
        command = f"forecast run {store.pipeline.file or 'JOB.toml'}"
        raise NoInput(f"{store.pipeline.shown_name} has not run yet; run `{command}` first")
    explicit = store != NamedStore(DEFAULT_STORE.store) or request.version is not None
    explicit |= request.horizon is not None
    if backtest is not None and not explicit and versions.empty:
        return None
    machine = request.read_group(TrainSettings)
    version = request.version or versions.current()
    predictor = load_predictor(store.folder, version, machine.device, machine.engine)
    fitted = predictor.fitted
    horizon = checked_horizon(request.horizon, fitted.config.horizon)
    if backtest is None:
        return ServingVersion(version, predictor)
    if backtest.ids.isdisjoint(fitted.history.ids):
        if explicit:
            cure = "name the store of the same series with --artifact, or leave one of the two out"
            raise BadData("has no series of this store", place=request.backtest, cure=cure)
        log(f"store    {store.folder} has other series than {request.backtest}, and is left out")
        return None
    if backtest.steps != horizon:
        tested = f"{request.backtest} tests {backtest.steps} steps"
        log(f"{tested}, and the store forecasts {horizon}", "warning")
    return ServingVersion(version, predictor)


def _page(
    store: NamedStore,
    request: Request,
    backtest: BacktestTables | None,
    saved: ServingVersion | None,
) -> Iterator[bytes]:
    verdicts: list[str] = []
    parts: list[Section] = []
    gallery: list[Section] = []
    ledger = None if store.pipeline is None else open_ledger(store.pipeline)
    if saved is not None:
        parts, gallery = _forecast_sections(store, ledger, request, backtest, saved)
    if backtest is not None:
        verdicts.append(sections.describe_accuracy(backtest))
        parts += [sections.error_section(backtest), sections.coverage_section(backtest)]
    elif saved is not None:
        ensemble = saved.fitted.ensemble
        words = verdict(ensemble.scores, len(ensemble.components))
        verdicts.append(words[0].upper() + words[1:])
        text = "No backtest was given. These lines make one, and a report with its errors "
        text += "by step and by series."
        test = ("backtest", "DATA", *_fit_words(saved.fitted), *BACKTEST)
        again = ("report", *store.words, "--backtest", BACKTEST[1], "--output", request.output)
        parts.append(Section("Errors in the past", (text, _lines(store, test, again))))
    parts += gallery
    if saved is not None:
        versions = list_versions(store.folder, store.pipeline)
        shown = [{**row, "note": store.redact(row["note"])} for row in versions]
        models = sections.models_section(saved.predictor)
        parts += [models, sections.versions_section(shown)]
    if ledger is not None:
        said, nights = _job_sections(store, ledger, request)
        verdicts.append(said)
        parts += nights
    if saved is not None:
        fitted = saved.fitted
        parts += [sections.read_section(fitted, saved.version), sections.gaps_section(fitted)]
    parts.append(Section("How to repeat it", (_commands(store, request, saved),)))

    name = request.backtest if saved is None else Path(store.folder).name
    if store.pipeline is not None:
        name = store.pipeline.shown_name
    now = datetime.now(UTC).isoformat(" ", "minutes").removesuffix("+00:00")
    program = f"forecast {__version__} with Python {platform.python_version()}"
    text = ". ".join(filter(None, verdicts))
    made = f"Made by {program} at {now} UTC."
    return map(str.encode, render_page(f"Forecast report: {name}", f"{text}.", parts, made))


def _job_sections(store: NamedStore, ledger: Ledger, request: Request) -> tuple[str, list[Section]]:
    """What the newest runs of a job say, and the sections on them."""
    parts = list[Section]()
    days = [vars(day) for day in ledger.days(90)]
    with suppress(NoInput, UsageError):  # no two runs can be compared
        machine = request.read_group(TrainSettings)
        diff = compare_runs(ledger, store.folder, (None, None), machine)
        parts.append(sections.changes_section(diff))
    state = build_status(ledger, store.folder, runs=30)
    runs = [{**row, "what": store.redact(run_note(row))} for row in state["runs"]]
    status = store.redact(f"{state['job']}: {state['said']}")
    parts.append(sections.job_section(status, runs, days, state["actuals"]))
    return sections.job_verdict(days), parts


def _forecast_sections(
    store: NamedStore,
    ledger: Ledger | None,
    request: Request,
    backtest: BacktestTables | None,
    saved: ServingVersion,
) -> tuple[list[Section], list[Section]]:
    """The section on sums of the forecasts, if there is one, and that on each forecast."""
    fitted = saved.fitted
    table = fitted.schema
    forecasts = None
    if request.future is not None or not table.known:
        future = load_later(request.future, table.reading)
        with steps_bar("forecasts", "series") as on_series:
            question = ForecastRequest(future=future, horizon=request.horizon, on_series=on_series)
            forecasts = forecast(saved.predictor, question).whole
    data, text = _plot_data(store, ledger, request, saved, forecasts)
    models = fitted.ensemble.names(series_index(fitted.history.ids, data.ids))
    notes = list(map(counted_models, models))
    gallery = Gallery(data, {} if backtest is None else backtest.errors, notes)
    sums = list[Section]()
    if forecasts is not None and len(forecasts.panel) > 1:
        totals = [] if store.pipeline is None else store.pipeline.totals
        asked = [settings.sums for settings in totals]
        sums.append(sums_section(saved.predictor, forecasts, asked))
    return sums, [Section("Forecasts", (text, gallery))]


def _plot_data(
    store: NamedStore,
    ledger: Ledger | None,
    request: Request,
    saved: ServingVersion,
    forecasts: Forecasts | None,
) -> tuple[PlotData, str]:
    """The data to draw, and a title for them.

    These are the newest forecasts of a job, or else those after the fit, or else history alone.
    """
    config = saved.fitted.config
    if ledger is not None and request.version is None and request.future is None:
        with suppress(NoInput, ArtifactRefused):  # the ledger no longer holds such a run
            return _plot_of_run(ledger, store.folder, request.horizon)
    if forecasts is None:
        text = (
            f"History only: forecasts need the future values of {', '.join(config.table.known)}; "
        )
        text += "name their table with --future."
        return plot_of_history(saved.fitted), text
    end = "the last value of each series"
    if config.table.dated:
        end = f"{config.train_end}, the last time at fit"
    text = f"Forecasts of {forecasts.numbers.shape[1]} steps after {end}."
    return plot_of_forecasts(forecasts, saved.fitted, DEFAULT_OUTPUT), text


def _plot_of_run(ledger: Ledger, store: str, most: int | None) -> tuple[PlotData, str]:
    """At most so many steps of the newest forecasts of a job, beside what they were made from."""
    run, rows, inputs = newest_run(ledger, store)
    series = rows["series"].cat
    step = rows["step"].to_numpy() - 1
    position = build_calendar(inputs.schema).positions(rows["instant"].to_numpy())
    first = np.zeros(len(series.categories), np.int64)
    first[series.codes] = position - step
    numbers = np.full((len(first), step.max() + 1, len(PUBLISHED)), np.nan)
    numbers[series.codes, step] = rows[PUBLISHED]
    saved = SavedForecasts(
        ids=tuple(tuple(json.loads(text)) for text in series.categories),
        first=first,
        numbers=numbers[:, :most],
        columns=DEFAULT_OUTPUT.columns,
    )
    data = plot_of_table(inputs.panel, inputs.schema, saved)
    text = f"Forecasts of the run as of {run.as_of}, beside the values that it knew."
    count = len(data.series)
    total = run.counts["series"]
    if count < total:
        text += f" The ledger holds those of {count:,} of {total:,} series."
    return data, text


def _fit_words(fitted: Fitted) -> list[str]:
    """The words of a command line that repeats the fit."""
    table = fitted.schema
    values: dict[str, Any] = {}
    of_table = TableSettings.check(table.table_settings())
    for group in (of_table, table.reading, fitted.settings()):
        values |= group.model_dump(exclude_defaults=True)
    values |= {**fitted.run, "horizon": fitted.config.horizon}
    params = values.pop("params", {})
    for name, value in values.items():
        if isinstance(value, list | tuple):
            values[name] = tuple(map(str, value))
    words = [*Request(values=values).words(TableSettings, TextSettings, TrainSettings)]
    for name, value in params.items():
        words += ["-p", f"{name}={json.dumps(value)}"]
    return words


def _commands(store: NamedStore, request: Request, saved: ServingVersion | None) -> CommandBlock:
    words = request.words(more=("backtest", "future", "horizon", "output"))
    if saved is None:
        return _lines(store, ("report", *words))
    version = ("--version", saved.version)
    inspect = ("inspect", *store.words, *version, "--json")
    if store.pipeline is not None:
        reported = version if request.version is not None else ()
        report = ("report", *store.words, *reported, *words)
        return _lines(store, report, store.use, ("status", *store.words), inspect)
    future: CommandLine = ()
    if saved.fitted.schema.known:
        future = ("--future", request.future or "FILE")
    return _lines(
        store,
        ("report", *store.words, *version, *words),
        ("fit", "DATA", *_fit_words(saved.fitted), *store.words),
        (*store.use, *version, *future, *request.words(more=("horizon",))),
        ("explain", *store.words, *version),
        inspect,
    )


def _lines(store: NamedStore, *commands: CommandLine) -> CommandBlock:
    """Command lines, without secrets."""
    lines = [shlex.join(("forecast", *map(store.redact, words))) for words in commands]
    return CommandBlock(tuple(lines))
