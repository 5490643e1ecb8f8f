"""Train on a table and save the forecaster."""

import time
from typing import Any

import click

from forecast.artifacts.store import Store
from forecast.cli._command import Request, predicting
from forecast.cli._console import listen, log, log_lines, progress_bar, suggest, using_cluster
from forecast.cli._data import load, load_later
from forecast.cli._dry_run import put_dry_run
from forecast.engine.stages import Callbacks
from forecast.ensemble.names import check_names
from forecast.errors import INCOMPLETE, ArtifactRefused, ForecastError, NoInput, Setting, UsageError, as_flag
from forecast.forecaster import Forecaster
from forecast.panel.schema import Schema
from forecast.parallel import process_rank
from forecast.reading.comparing import schema_differences
from forecast.reading.dated import normalised
from forecast.reading.large import sampled
from forecast.settings import STORE, StoreSettings, TableSettings, TextSettings, TrainSettings
from forecast.tables.table import Table

STARTUP = 3.0  # seconds of start-up that do not count against a budget


def run(request: Request) -> int:
    train = request.of(TrainSettings)
    request.of(TableSettings), request.of(TextSettings)  # refused before any work
    check_names(train)
    folder, store = request.artifact or STORE.store, request.of(StoreSettings)
    begun = click.get_current_context().obj
    if request.as_json and not request.dry_run:
        raise UsageError("it belongs to --dry-run", setting=Setting("json", True))
    if process_rank() > 0:
        return 0 if request.dry_run else _train_along(folder, request)
    if request.dry_run:
        live = _live(folder) if train.warm_start else None
        put_dry_run(begun, folder, request, None if live is None else live.fitted_)
        return 0
    with Store(folder).lock(store.wait) as writer:
        started = min(time.monotonic(), begun + STARTUP)  # a budget counts from the reading of the table
        (table, settings), future = _load(request), load_later(request.future, request.of(TextSettings))
        forecaster, checkpoints = Forecaster(**settings), writer.checkpoints(request.resume)
        with using_cluster(request.cluster), progress_bar() as on_step:
            callbacks = Callbacks(on_read=log_lines, on_step=on_step)
            start = _live(folder) if train.warm_start else None
            forecaster.fit(
                table, future=future, started=started, callbacks=callbacks, checkpoints=checkpoints, start=start
            )
        before = _live_schema(folder)
        version = forecaster.save(writer, store.keep)
        checkpoints.discard()
    changes = [] if before is None else schema_differences(before, forecaster.schema_)
    if changes:
        log(f"this version reads tables differently from the one before it: {'; '.join(changes)}", "warning")
    log_lines(forecaster.describe())
    log(f"saved    {folder}/{version.id}")
    if "missing" in forecaster.fitted_.history.status:
        return INCOMPLETE
    suggest(*predicting(folder, forecaster.schema_.known))
    return 0


def _load(request: Request) -> tuple[Table, dict[str, Any]]:
    """The table, or an even sample of its series where it does not fit into memory, and what to fit to it."""
    train, text = request.of(TrainSettings), request.of(TextSettings)
    sample = sampled(request.data, text, request.of(TableSettings), train.seed)
    table, defaults = load(request.data, text) if sample is None else (normalised(sample), {})
    return table, {**train.model_dump(), **request.of(TableSettings, defaults).model_dump()}


def _train_along(folder: str, request: Request) -> int:
    """Train as one of several processes of torchrun; the first one says what happens, and saves."""
    listen(quiet=True)
    (table, settings), future = _load(request), load_later(request.future, request.of(TextSettings))
    Forecaster(**settings).fit(table, future=future, start=_live(folder) if settings["warm_start"] else None)
    return 0


def _live(folder: str) -> Forecaster | None:
    """The live forecaster, which training continues; None if the store has none."""
    try:
        return Forecaster.load(folder)
    except (NoInput, ArtifactRefused) as error:
        log(f"training starts from scratch: {error.render(as_flag)}", "warning")
        return None


def _live_schema(folder: str) -> Schema | None:
    """The schema of the live version; None if no live version can be read."""
    try:  # an older version lacks what is newer, and means its default
        return Schema.model_validate(Store(folder).load()[0].config.get("table"))
    except (ForecastError, ValueError):
        return None
