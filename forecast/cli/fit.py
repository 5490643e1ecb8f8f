"""Train on a table and save the forecaster."""

import time
from typing import TYPE_CHECKING

import click

from forecast.cli._cluster import in_use
from forecast.cli._console import be_quiet, progress_bar, say, say_lines, say_next, style_options
from forecast.cli._data import load_to_fit
from forecast.cli._help import RUN, file_argument, option, with_examples
from forecast.cli._options import Given, settings_options
from forecast.cli._store import artifact_option, predicting
from forecast.parallel import process_rank
from forecast.settings import ClusterSettings, StoreSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.forecaster import Forecaster
    from forecast.panel.schema import Schema

STARTUP = 3.0  # seconds of start-up that do not count against a budget


@with_examples(
    "forecast fit sales.csv",
    "forecast fit sales.csv --id shop --target units --horizon 28",
    "forecast fit sales.csv --known price --holidays DE --artifact shops",
    "forecast fit sales.csv --budget 600",
)
@file_argument("data")
@settings_options(
    TableSettings,
    TextSettings,
    TrainSettings,
    single={"keep": StoreSettings, "wait": StoreSettings, "cluster": ClusterSettings},
)
@artifact_option
@option("--resume", heading=RUN, is_flag=True, help="continue a fit of the same data and settings that was stopped")
@option("--dry-run", heading=RUN, is_flag=True, help="say what a fit would do and take; train and write nothing")
@option("--json", "as_json", heading=RUN, first=False, is_flag=True, help="with --dry-run: print one JSON object")
@style_options
@click.pass_obj
def command(begun: float, data: str, artifact: str, resume: bool, dry_run: bool, as_json: bool, given: Given) -> int:
    """Train on DATA, and save the forecaster as the live version of a store.

    DATA is a CSV, .csv.gz, .xlsx, .ods or Parquet file, a folder of Parquet files, - for stdin, or synth:KIND.
    """
    from forecast.artifacts.store import Store
    from forecast.engine.stages import Callbacks, save_by
    from forecast.ensemble.names import check_names
    from forecast.errors import INCOMPLETE, Setting, UsageError
    from forecast.forecaster import Forecaster
    from forecast.reading.differences import schema_differences

    train, how, text = (
        given.of(TrainSettings),
        given.of(TableSettings),
        given.of(TextSettings),
    )  # refused before any work
    check_names(train)
    store = given.of(StoreSettings)
    if as_json and not dry_run:
        raise UsageError("it belongs to --dry-run", setting=Setting("json", True))
    if process_rank() > 0:
        return 0 if dry_run else _train_along(data, artifact, given)
    if dry_run:
        from forecast.cli._dry_run import put_dry_run, rehearse

        live = _live(artifact) if train.warm_start else None
        found = rehearse(begun, data, artifact, given, None if live is None else live.fitted_)
        put_dry_run(found, artifact, as_json)
        return 0
    with Store(artifact).lock(store.wait) as writer:
        started = min(time.monotonic(), begun + STARTUP)  # a budget counts from the reading of the table
        table, table_defaults = load_to_fit(data, text, how, train.seed)
        knobs = {**train.model_dump(), **given.of(TableSettings, table_defaults).model_dump()}
        forecaster, checkpoints = Forecaster(**knobs), writer.checkpoints(resume)
        with in_use(given), progress_bar() as on_step:
            forecaster.fit(
                table,
                started=started,
                callbacks=Callbacks(on_read=say_lines, on_step=on_step),
                checkpoints=checkpoints,
                start=_live(artifact) if train.warm_start else None,
            )
        before = _live_schema(artifact)
        version = forecaster.save(writer, store.keep, deadline=save_by(train, started))
        checkpoints.discard()
    changes = [] if before is None else schema_differences(before, forecaster.schema_)
    if changes:
        say(f"this version reads tables differently from the one before it: {'; '.join(changes)}", "warning")
    say_lines(forecaster.describe())
    say(f"saved    {artifact}/{version.id}")
    if "missing" in forecaster.fitted_.history.status:
        return INCOMPLETE
    say_next(*predicting(artifact, forecaster.schema_.known))
    return 0


def _train_along(data: str, artifact: str, given: Given) -> int:
    """Train as one of several processes of torchrun; the first one says what happens, and saves."""
    from forecast.forecaster import Forecaster

    be_quiet()
    train = given.of(TrainSettings)
    table, table_defaults = load_to_fit(data, given.of(TextSettings), given.of(TableSettings), train.seed)
    knobs = {**train.model_dump(), **given.of(TableSettings, table_defaults).model_dump()}
    Forecaster(**knobs).fit(table, start=_live(artifact) if train.warm_start else None)
    return 0


def _live(artifact: str) -> "Forecaster | None":
    """The live forecaster, which training continues; None if the store has none."""
    from forecast.errors import ArtifactRefused, NoInput, as_flag
    from forecast.forecaster import Forecaster

    try:
        return Forecaster.load(artifact)
    except (NoInput, ArtifactRefused) as error:
        say(f"training starts from scratch: {error.told(as_flag)}", "warning")
        return None


def _live_schema(artifact: str) -> "Schema | None":
    """The schema of the live version; None if no live version can be read."""
    from forecast.artifacts.store import Store
    from forecast.errors import ForecastError
    from forecast.panel.schema import Schema

    store = Store(artifact)
    try:
        # an older version lacks what is newer, and means its default
        return None if store.empty else Schema.model_validate(store.load()[0].config.get("table"))
    except (ForecastError, ValueError):
        return None
