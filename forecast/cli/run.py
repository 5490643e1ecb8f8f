"""Run a job from its pipeline file, for cron."""

from forecast.cli._command import Request
from forecast.cli._console import log, log_lines, progress_bar, put_json, suggest
from forecast.errors import UsageError
from forecast.jobs.kinds import shown_keys
from forecast.jobs.pipeline import Pipeline, read_pipeline
from forecast.jobs.preflight import check_job
from forecast.jobs.publishing import accept_blocked
from forecast.jobs.replay import replayed
from forecast.jobs.run import run_job
from forecast.jobs.sinks import SinkSettings
from forecast.jobs.sources import source_of
from forecast.ledger.record import Record
from forecast.settings import FILE, StoreSettings, marked


def run(request: Request) -> int:
    """Run the job, or check it, or print the schema of pipeline files."""
    job = request.job
    if request.schema:
        put_json(Pipeline.model_json_schema(), indent=2)
        return 0
    if job is None:
        raise UsageError("name a pipeline file: forecast run JOB.toml")
    pipeline = read_pipeline(job)
    if "wait" in request.values:
        pipeline = pipeline.model_copy(update={"wait": request.of(StoreSettings).wait})
    if request.replay is not None and not request.check:
        raise UsageError("--replay goes with --check: it replays past runs, and runs nothing")
    if request.accept:
        return _accept(pipeline, request)
    if request.check and request.replay is not None:
        log_lines(replayed(pipeline, request.replay))
        return 0
    if request.check:
        source = ", ".join(marked(source_of(pipeline.source)[1], FILE).values()) or "a query"
        sinks = " and ".join(_places(shown_keys(sink)) for sink in pipeline.sinks.values())
        does = f"job '{pipeline.name}' reads {source}, refits {pipeline.refit}, and writes to {sinks}"
        log(pipeline.hidden(f"{job}: the file is valid; {does}"))
        log_lines(check_job(pipeline))
        suggest("run", job)
        return 0
    options = {name: getattr(request, name) for name in ("as_of", "output", "resume", "take_over")}
    with progress_bar() as on_step:
        record = run_job(pipeline, **options, on_step=on_step)
    return _show(record, request)


def _accept(pipeline: Pipeline, request: Request) -> int:
    """Publish the newest blocked run."""
    others = [name for name in ("as_of", "output", "resume", "check") if getattr(request, name)]
    if others:
        raise UsageError(f"--accept publishes a run that is over; leave out --{others[0].replace('_', '-')}")
    return _show(accept_blocked(pipeline, request.take_over), request)


def _show(record: Record, request: Request) -> int:
    if request.as_json:
        put_json(record.model_dump(mode="json"), indent=2)
    where, *others = (
        _places({key: each[key] for key in SinkSettings.model_fields if key in each})
        for each in (record.output, *record.output.get("totals", ()))
    )
    sums = f", and {record.counts['sums']:,} sums to {' and '.join(others)}" if others else ""
    log(f"done     {record.counts['rows']:,} forecasts of {record.counts['series']:,} series to {where}{sums}")
    log(f"run      {record.id} by {record.version}, {record.seconds:.1f} s")
    return record.exit_code


def _places(output: dict[str, str]) -> str:
    return " and ".join(f"the table {place}" if key == "table" else str(place) for key, place in output.items())
