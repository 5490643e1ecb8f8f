"""Forecast with a saved forecaster."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

from forecast.artifacts.store import check_apart
from forecast.calendar.spec import parse_as_of
from forecast.changes.what_if import what_if
from forecast.checks.table import age, check_age
from forecast.cli._command import Request, named
from forecast.cli._console import log, steps_bar, suggest, using_cluster
from forecast.cli._data import load_later, write
from forecast.cli._forecasts import log_written, predicted, put_forecasts, read_as_fitted, schema_as_fitted
from forecast.cli._sums import path_file, put_sums, sums_asked, sums_of
from forecast.errors import BadData, Setting, Unavailable, UsageError, Words, as_flag
from forecast.inference.forecasting import future_template, load_predictor, with_events
from forecast.inference.predictor import Predictor
from forecast.inference.sharded import MANIFEST, forecast_shards, large_forecasts, plan_shards
from forecast.parallel import on_cluster, workers
from forecast.settings import (
    STORE,
    CheckSettings,
    ClusterSettings,
    OutputSettings,
    SumSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)
from forecast.tables.table import Table
from forecast.tables.writing import frame_of, frames_of, write_frames
from forecast.totals.sums import Totals, log_notes

SHARDS = 16  # with a cluster, whatever its size: the same files come out of any
SUMS = ("totals", "allocate", "paths", *SumSettings.model_fields)
APART = list(product(("shards", "cluster"), ("origin", "shard", "allocate", "paths")))
APART += product(["what_if"], ("shards", "cluster", "shard", "totals", "allocate", "paths", "future_template"))
APART += product(["future_template"], ("future", "output", "shards", "cluster", "shard", *SUMS))

Look = Callable[[int], None]  # given the grid position of the newest value; raises where that is too old


def run(request: Request) -> int:
    """Forecast the series of the fit or those of a table, and write the forecasts."""
    data, future, output, store = request.data, request.future, request.output, request.artifact or STORE.store
    request.of(OutputSettings), sums_asked(request)  # as the others, refused before any work
    checks, machines, train = request.of(CheckSettings), request.of(ClusterSettings), request.of(TrainSettings)
    instant = parse_as_of(request.as_of)
    reading = request.of(TextSettings).model_dump(exclude_defaults=True)
    if reading and data is None and future is None:
        flags = ", ".join(as_flag(Setting(name)) for name in reading)
        raise UsageError(f"{flags}: it says how a table is read, and no table is; name DATA, or leave it out")
    events = request.of(TableSettings).events
    tables = {"the table that is read": data, "the table of --future": future, "the table of --events": events}
    for file in (output, request.totals, path_file(request), request.future_template):
        check_apart(file, tables, store)
    shards = SHARDS if machines.shards is None and machines.cluster is not None else machines.shards
    for name, other in APART:
        if name in request.values and other in request.values:
            raise UsageError(Words("it does not go with ", Setting(name)), setting=Setting(other), cure="leave one out")
    if shards is not None:
        _refuse_sharded(request)
    predictor = with_events(load_predictor(store, request.version, train.device, train.engine), events)
    schema, text = schema_as_fitted(predictor, request)

    def look(newest: int) -> None:
        check_age(age(newest, schema, instant), checks, data or store)

    if request.future_template is not None:
        table = read_as_fitted(predictor, request)[1]
        rows = future_template(predictor.fitted, table, schema, request.origin, request.horizon)
        write_frames([frame_of(rows)], request.future_template, text)
        log(f"written  {request.future_template}")
        return 0
    if shards is not None:
        return _put_sharded(predictor, request, shards, look)
    code = _put_what_if(predictor, request, look) if request.what_if else _put(predictor, request, look)
    if code == 0:
        more = {"--version": request.version, "--future": future, "--origin": request.origin}
        again = [word for flag, value in more.items() if value is not None for word in (flag, value)]
        suggest("plot", data, *named(store), *again, *request.words(TableSettings, TextSettings))
    return code


def _put(predictor: Predictor, request: Request, look: Look) -> int:
    """Forecast, write the forecasts, and say what they lack; returns the exit code.

    A large table goes part by part. If a part is refused, the whole is read: it makes up for what the part lacked, or
    is refused with all that is wrong.
    """
    trouble: BadData | UsageError | None = None
    totals = sums_of(predictor, schema_as_fitted(predictor, request)[0], request)
    try:
        skipped = _put_in_parts(predictor, request, look, totals and totals.empty())
    except (BadData, UsageError) as error:
        skipped, trouble = None, error
    if skipped is not None:
        return log_written(skipped, predictor.fitted, request)
    try:
        forecasts = predicted(predictor, request, request.of(OutputSettings), lambda panel: look(panel.newest))
    except Unavailable:
        if trouble is not None:
            raise trouble from None  # the whole does not fit into memory
        raise
    return put_forecasts(forecasts, predictor.fitted, request, totals)


def _put_what_if(predictor: Predictor, request: Request, look: Look) -> int:
    """Forecast twice, the second time under other known values, and write both points; returns the exit code."""
    (schema, text), given, output = schema_as_fitted(predictor, request), request.what_if, request.of(OutputSettings)
    changed: dict[str, object] | Table = dict(each.partition("=")[::2] for each in given)
    if any("=" not in each or Path(each).exists() for each in given):
        if len(given) > 1:
            raise UsageError("write COLUMN=VALUE, or name one table", setting=Setting("what_if", given[0]))
        changed = load_later(given[0], text) or changed
    totals = sums_of(predictor, schema, request)
    forecasts = predicted(predictor, request, output, lambda panel: look(panel.newest))
    columns = what_if(predictor, forecasts, changed, schema, output, totals)
    if totals is not None:
        log_notes(totals)
    ids = [name for name in columns if name in ("level", *schema.ids, *schema.static)]
    write(frame_of(columns), request.output, ids if request.excel_safe else None)
    return log_written(forecasts.skipped, predictor.fitted, request)


def _put_in_parts(
    predictor: Predictor, request: Request, look: Look, totals: Totals | None
) -> dict[tuple[str, ...], str] | None:
    """Forecast a large table part by part; returns the series without forecasts, or None if it goes only as a whole."""
    alone = request.future, request.origin, request.allocate or None, request.paths
    if request.data is None or alone != (None,) * len(alone):
        return None
    output_settings = request.of(OutputSettings)
    schema, text = schema_as_fitted(predictor, request)
    found = large_forecasts(predictor, request.data, text, schema, request.horizon, output_settings, totals)
    if found is None:
        return None
    large_table, columns = found
    look(large_table.newest)
    with steps_bar("forecasts", "series") as predictor.on_windows:
        frames = frames_of(columns, large_table.table.name)
        if totals is not None and request.totals is None:
            for _ in frames:
                pass
        else:
            write(frames, request.output, schema.ids if request.excel_safe else None)
    if totals is not None:
        put_sums(totals, request)
    return large_table.skipped


def _refuse_sharded(request: Request) -> None:
    """Refuse what does not go with shards, before any work."""
    shards, data = Setting("shards"), request.data
    if data is None or data == "-" or data.startswith("synth:"):
        cure: object = "name a file, a folder of Parquet, or a URI"
        raise UsageError("shards are read from Parquet or CSV", setting=shards, cure=cure)
    if request.output is None:
        cure = Words("name one with ", Setting("output"))
        raise UsageError("shards are written into a folder", setting=shards, cure=cure)


def _put_sharded(predictor: Predictor, request: Request, shards: int, look: Look) -> int:
    """Forecast a table in shards, into a folder; returns the exit code."""
    schema, text = schema_as_fitted(predictor, request)
    future = load_later(request.future, text)
    output_settings, output = request.of(OutputSettings), request.output
    totals = sums_of(predictor, schema, request)
    if totals is not None and request.totals is None:
        setting = Setting("shards")
        raise UsageError("the folder gets the series", setting=setting, cure=Words("pass ", Setting("totals", "FILE")))
    work = plan_shards(predictor, schema, request.data, text, output, output_settings, request.horizon, future)
    work.totals = totals
    look(work.newest)
    jobs = request.of(TrainSettings).jobs or 1
    with using_cluster(request.cluster):
        manifest, skipped = forecast_shards(work, shards, max(jobs, workers() if on_cluster() else 1))
    count, size = f"{manifest.series:,} series, {manifest.rows:,} rows", len(manifest.files)
    log(f"saved    {output}/{MANIFEST}: {count} in {size} files")
    if totals is not None:
        put_sums(totals, request)
    return log_written(skipped, predictor.fitted, request)
