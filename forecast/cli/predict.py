"""The command `predict`: forecast with a saved forecaster."""

from dataclasses import replace
from pathlib import Path

from forecast.calendar.spec import parse_as_of
from forecast.cli._command import Request, name_artifact
from forecast.cli._console import log, steps_bar, suggest, using_cluster
from forecast.cli._data import check_outputs, load_later, write
from forecast.cli._forecasts import (
    Saved,
    build_question,
    log_result,
    path_file,
    put_forecast,
    put_sums,
)
from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest, TableFile
from forecast.engine.shards import SHARDS_MANIFEST, forecast_shards, plan_shards
from forecast.engine.what_if import several_values, what_if
from forecast.errors import BadData, Setting, Unavailable, UsageError, as_flag
from forecast.inference.forecasting import future_template
from forecast.jobs.checks.age import age, check_age
from forecast.parallel import on_cluster, workers
from forecast.settings import (
    CheckSettings,
    ClusterSettings,
    SumSettings,
    TableSettings,
    TextSettings,
)
from forecast.tables.table import Table
from forecast.tables.writing import build_frame, check_output, write_frames
from forecast.totals.sums import log_notes

SHARDS = 16  # on a cluster of any size, so that the files do not depend on the cluster
SHARDED = ("shards", "cluster")
TOTALS_OPTIONS = ("totals", "paths")
# by option, those that it does not go with
EXCLUSIVE = {
    **dict.fromkeys(SHARDED, ("origin", "paths")),
    "what_if": (*SHARDED, *TOTALS_OPTIONS, "future_template"),
    "overrides": (*SHARDED, "what_if", "future_template"),
    "override_sheet": (*SHARDED, "what_if", "future_template"),
    "orders": (*SHARDED, *TOTALS_OPTIONS, "what_if", "future_template"),
    "future_template": ("future", "output", *SHARDED, *TOTALS_OPTIONS, *SumSettings.model_fields),
}


def run(request: Request) -> int:
    """Forecast the series of the fit or those of a table, and write the forecasts."""
    data = request.data
    instant = parse_as_of(request.as_of)
    checks = request.read_group(CheckSettings)
    question = build_question(request)
    shards = _checked_shards(request)
    saved = Saved(request)

    def check_newest(newest: int) -> None:
        check_age(age(newest, saved.schema, instant), checks, data or request.store)

    question = replace(saved.add_tables(question, request), on_newest=check_newest)
    if request.future_template is not None:
        return _put_template(saved, request, question)
    if shards is not None:
        return _put_shards(saved, request, question, shards)
    put = _put_what_if if request.what_if or request.what_if_from else _put
    code = put(saved, request, question)
    if code == 0:
        again = request.words(more=("version", "future", "origin"))
        reading = request.words(TableSettings, TextSettings)
        suggest("plot", data, *name_artifact(request.store), *again, *reading)
    return code


def _checked_shards(request: Request) -> int | None:
    """Refuse wrong options before any work; returns the number of shards, if any."""
    data = request.data
    machines = request.read_group(ClusterSettings)
    reading = request.read_group(TextSettings).model_dump(exclude_defaults=True)
    if reading and data is None and request.future is None:
        flags = ", ".join(as_flag(Setting(name)) for name in reading)
        problem = "it says how a table is read, and no table is; name DATA, or leave it out"
        raise UsageError(f"{flags}: {problem}")
    written = (
        *(request.output, request.totals, request.override_sheet),
        *(path_file(request), request.future_template),
    )
    check_outputs(request, *written, store=request.store)
    check_output(request.totals)
    for name, others in EXCLUSIVE.items():
        if name in request.values:
            clash = f"it does not go with {Setting(name)}"
            request.refuse(clash, "leave one out", *others)
    shards = machines.shards
    if shards is None and machines.cluster is not None:
        shards = SHARDS
    if shards is None:
        check_output(request.output)
        return None
    if data is None or data == "-" or data.startswith("synth:"):
        cure = "name a file, a folder of Parquet, or a URI"
        request.refuse("shards are read from Parquet or CSV", cure, *SHARDED)
    if request.output is None:
        into = f"name one with {Setting('output')}"
        request.refuse("shards are written into a folder", into, *SHARDED)
    if request.sums is not None and request.totals is None:
        beside = f"pass {Setting('totals', 'FILE')}"
        request.refuse("the folder gets the series", beside, *SHARDED)
    return shards


def _put(saved: Saved, request: Request, question: ForecastRequest) -> int:
    trouble = None
    with steps_bar("forecasts", "series") as on_series:
        answer = forecast(saved.predictor, replace(question, on_series=on_series))
        if not answer.is_whole:
            try:
                return put_forecast(answer, request)
            except (BadData, UsageError) as error:
                trouble = error
    if trouble is not None:
        # the whole table has what the part lacked, or its error names all that is wrong
        try:
            answer = saved.forecast(question)
        except Unavailable:  # the whole table does not fit into memory
            raise trouble from None
    return put_forecast(answer, request)


def _put_template(saved: Saved, request: Request, question: ForecastRequest) -> int:
    source = question.source
    table = source.load() if isinstance(source, TableFile) else None
    rows = future_template(saved.fitted, table, request.origin, request.horizon)
    write_frames([build_frame(rows)], request.future_template, saved.text)
    log(f"written  {request.future_template}")
    return 0


def _put_what_if(saved: Saved, request: Request, question: ForecastRequest) -> int:
    """Forecast twice, the second time with other known values, and write both point forecasts."""
    changed = _changed_values(request, saved.text)
    with steps_bar("forecasts", "series") as on_series:
        question = replace(question, on_series=on_series)
        answer = what_if(saved.predictor, question, changed, request.what_if_from)
    if answer.forecast.totals is not None:
        log_notes(answer.forecast.totals)
    keys = ("level", *saved.schema.ids, *saved.schema.static)
    ids = [name for name in answer.columns if name in keys]
    write(build_frame(answer.columns), request.output, ids if request.excel_safe else None)
    return log_result(answer.forecast, request)


def _changed_values(request: Request, text: TextSettings) -> dict[str, str] | Table:
    """The values that --what-if gives as COLUMN=VALUE, or the table that it names."""
    words = request.what_if
    table = next((word for word in words if "=" not in word or Path(word).exists()), None)
    if table is not None and (len(words) > 1 or not table):
        problem = "write COLUMN=VALUE, or name one table"
        raise UsageError(problem, setting=Setting("what_if", words[0]))
    if table is not None and (loaded := load_later(table, text)) is not None:
        return loaded
    values = dict(word.split("=", 1) for word in words)
    if len(values) < len(words):
        raise several_values(words)
    return values


def _put_shards(saved: Saved, request: Request, question: ForecastRequest, shards: int) -> int:
    work = plan_shards(saved.predictor, question, request.output)
    with using_cluster(request.cluster):
        jobs = max(request.jobs or 1, workers() if on_cluster() else 1)
        manifest, answer = forecast_shards(work, shards, jobs)
    sizes = f"{manifest.series:,} series, {manifest.rows:,} rows in {len(manifest.files)} files"
    log(f"saved    {request.output}/{SHARDS_MANIFEST}: {sizes}")
    if answer.totals is not None:
        put_sums(answer.totals, request)
    return log_result(answer, request)
