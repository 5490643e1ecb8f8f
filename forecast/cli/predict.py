"""Forecast with a saved forecaster."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

from forecast.calendar.spec import parse_as_of
from forecast.changes.what_if import what_if
from forecast.checks.table import age, check_age
from forecast.cli._command import Request, named
from forecast.cli._console import log, steps_bar, suggest, using_cluster
from forecast.cli._data import check_outputs, load_later, write
from forecast.cli._forecasts import (
    Saved,
    log_written,
    path_file,
    put_forecasts,
    put_sums,
    sums_asked,
    sums_of,
)
from forecast.errors import BadData, Setting, Unavailable, UsageError, Words, as_flag
from forecast.inference.forecasting import future_template
from forecast.inference.sharded import MANIFEST, forecast_shards, large_forecasts, plan_shards
from forecast.parallel import on_cluster, workers
from forecast.settings import (
    CheckSettings,
    ClusterSettings,
    OutputSettings,
    SumSettings,
    TableSettings,
    TextSettings,
)
from forecast.tables.table import Table
from forecast.tables.writing import frame_of, frames_of, write_frames
from forecast.totals.sums import Totals, log_notes

SHARDS = 16  # with a cluster, whatever its size: the same files come out of any
SUMS = ("totals", "allocate", "paths", *SumSettings.model_fields)
EXCLUSIVE = list(product(("shards", "cluster"), ("origin", "shard", "allocate", "paths")))
EXCLUSIVE += product(
    ["what_if"], ("shards", "cluster", "shard", "totals", "allocate", "paths", "future_template")
)
EXCLUSIVE += product(["future_template"], ("future", "output", "shards", "cluster", "shard", *SUMS))

CheckNewest = Callable[
    [int], None
]  # given the grid position of the newest value; raises where that is too old


def run(request: Request) -> int:
    """Forecast the series of the fit or those of a table, and write the forecasts."""
    data, future, instant = request.data, request.future, parse_as_of(request.as_of)
    shards, checks = _checked(request), request.of(CheckSettings)
    saved = Saved(request)

    def check_newest(newest: int) -> None:
        check_age(age(newest, saved.schema, instant), checks, data or request.store)

    if request.future_template is not None:
        rows = future_template(saved.fitted, saved.tables()[0], request.origin, request.horizon)
        write_frames([frame_of(rows)], request.future_template, saved.text)
        log(f"written  {request.future_template}")
        return 0
    if shards is not None:
        return _put_sharded(saved, request, shards, check_newest)
    code = (
        _put_what_if(saved, request, check_newest)
        if request.what_if
        else _put(saved, request, check_newest)
    )
    if code == 0:
        more = {"--version": request.version, "--future": future, "--origin": request.origin}
        again = [
            word for flag, value in more.items() if value is not None for word in (flag, value)
        ]
        suggest(
            "plot", data, *named(request.store), *again, *request.words(TableSettings, TextSettings)
        )
    return code


def _checked(request: Request) -> int | None:
    """Refuse what is wrong before any work; returns how many shards there are, if any."""
    data, machines = request.data, request.of(ClusterSettings)
    sums_asked(request)
    reading = request.of(TextSettings).model_dump(exclude_defaults=True)
    if reading and data is None and request.future is None:
        flags = ", ".join(as_flag(Setting(name)) for name in reading)
        raise UsageError(
            f"{flags}: it says how a table is read, and no table is; name DATA, or leave it out"
        )
    written = request.output, request.totals, path_file(request), request.future_template
    check_outputs(request, *written, store=request.store)
    for name, other in EXCLUSIVE:
        if name in request.values and other in request.values:
            raise UsageError(
                Words("it does not go with ", Setting(name)),
                setting=Setting(other),
                cure="leave one out",
            )
    shards = SHARDS if machines.shards is None and machines.cluster is not None else machines.shards
    if shards is not None and (data is None or data == "-" or data.startswith("synth:")):
        cure: object = "name a file, a folder of Parquet, or a URI"
        raise UsageError(
            "shards are read from Parquet or CSV", setting=Setting("shards"), cure=cure
        )
    if shards is not None and request.output is None:
        cure = Words("name one with ", Setting("output"))
        raise UsageError("shards are written into a folder", setting=Setting("shards"), cure=cure)
    return shards


def _put(saved: Saved, request: Request, check_newest: CheckNewest) -> int:
    totals, trouble = sums_of(saved.predictor, request), None
    try:
        if (
            skipped := _put_in_parts(saved, request, check_newest, totals and totals.blank_copy())
        ) is not None:
            return log_written(skipped, saved.fitted, request)
    except (BadData, UsageError) as error:
        trouble = error  # the whole makes up for what the part lacked, or is refused with all that is wrong
    try:
        forecasts = saved.forecasts(lambda panel: check_newest(panel.newest))
    except Unavailable as error:  # the whole does not fit into memory
        raise trouble or error from None
    return put_forecasts(forecasts, saved.fitted, request, totals)


def _put_what_if(saved: Saved, request: Request, check_newest: CheckNewest) -> int:
    """Forecast twice, the second time under other known values, and write both points."""
    schema, given, output = saved.schema, request.what_if, request.of(OutputSettings)
    changed: dict[str, object] | Table = dict(each.partition("=")[::2] for each in given)
    if any("=" not in each or Path(each).exists() for each in given):
        if len(given) > 1:
            raise UsageError(
                "write COLUMN=VALUE, or name one table", setting=Setting("what_if", given[0])
            )
        changed = load_later(given[0], saved.text) or changed
    elif len(changed) < len(given):
        raise UsageError(
            "a column has several values",
            setting=Setting("what_if"),
            cure=f"give each column one value, and not {' and '.join(given)}",
        )
    totals = sums_of(saved.predictor, request)
    forecasts = saved.forecasts(lambda panel: check_newest(panel.newest))
    columns = what_if(saved.predictor, forecasts, changed, schema, output, totals)
    if totals is not None:
        log_notes(totals)
    ids = [name for name in columns if name in ("level", *schema.ids, *schema.static)]
    write(frame_of(columns), request.output, ids if request.excel_safe else None)
    return log_written(forecasts.skipped, saved.fitted, request)


def _put_in_parts(
    saved: Saved, request: Request, check_newest: CheckNewest, totals: Totals | None
) -> dict[tuple[str, ...], str] | None:
    """Forecast a large table part by part; returns the series without forecasts, or None if it goes only as a whole."""
    predictor, schema, output = saved.predictor, saved.schema, request.of(OutputSettings)
    if request.data is None or any(
        (request.future, request.origin, request.allocate, request.paths)
    ):
        return None
    found = large_forecasts(predictor, request.data, saved.text, request.horizon, output, totals)
    if found is None:
        return None
    large_table, columns = found
    check_newest(large_table.newest)
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


def _put_sharded(saved: Saved, request: Request, shards: int, check_newest: CheckNewest) -> int:
    predictor, output, settings = saved.predictor, request.output, request.of(OutputSettings)
    future, totals = load_later(request.future, saved.text), sums_of(predictor, request)
    if totals is not None and request.totals is None:
        cure = Words("pass ", Setting("totals", "FILE"))
        raise UsageError("the folder gets the series", setting=Setting("shards"), cure=cure)
    work = plan_shards(
        predictor, request.data, saved.text, output, settings, request.horizon, future
    )
    work.totals = totals
    check_newest(work.newest)
    with using_cluster(request.cluster):
        manifest, skipped = forecast_shards(
            work, shards, max(request.jobs or 1, workers() if on_cluster() else 1)
        )
    count, size = f"{manifest.series:,} series, {manifest.rows:,} rows", len(manifest.files)
    log(f"saved    {output}/{MANIFEST}: {count} in {size} files")
    if totals is not None:
        put_sums(totals, request)
    return log_written(skipped, saved.fitted, request)
