"""The command `fit`: train on a table and save the forecaster."""

import time
from dataclasses import replace

import click

from forecast.artifacts.store import Store
from forecast.cli import _console as console
from forecast.cli._command import Request, build_predict_command
from forecast.cli._console import log, log_lines, suggest
from forecast.cli._data import load_later
from forecast.engine.fit import fit
from forecast.engine.requests import Callbacks, FitRequest, TableFile
from forecast.ensemble.names import check_names
from forecast.errors import (
    INCOMPLETE,
    ArtifactRefused,
    NoInput,
    as_flag,
)
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted, describe_fit
from forecast.inference.forecasting import load_forecaster
from forecast.settings import StoreSettings, TableSettings, TextSettings, TrainSettings

# most seconds of start-up that count towards a budget
MAX_STARTUP = 3.0


def run(request: Request) -> int:
    check_names(request.read_group(TrainSettings))
    begun = click.get_current_context().obj
    store = request.read_group(StoreSettings)
    with Store(request.store).lock(store.wait) as writer:
        started = min(time.monotonic(), begun + MAX_STARTUP)
        with console.using_cluster(request.cluster), console.progress_bar() as on_step:
            asked = replace(
                _build_request(request),
                started=started,
                callbacks=Callbacks(on_read=log_lines, on_step=on_step),
                exports=True,
            )
            fitted = fit(asked)
        version = writer.save(to_contents(fitted), store.keep)
    log_lines(describe_fit(fitted))
    log(f"saved    {request.store}/{version.id}")
    if "missing" in fitted.history.status:
        return INCOMPLETE
    suggest(*build_predict_command(request.store, fitted.schema.known))
    return 0


def _build_request(request: Request) -> FitRequest:
    train = request.read_group(TrainSettings)
    text = request.read_group(TextSettings)
    return FitRequest(
        TableFile(request.data, text),
        train,
        request.read_group(TableSettings),
        future=load_later(request.future, text),
        earlier=_live(request.store) if train.warm_start else None,
    )


def _live(folder: str) -> Fitted | None:
    """The live forecaster, whose training is continued; None if the store has none."""
    try:
        return load_forecaster(folder)[0]
    except (NoInput, ArtifactRefused) as error:
        log(f"training starts from scratch: {error.render(as_flag)}", "warning")
        return None
