"""The command `run`."""

from forecast.cli._command import Request
from forecast.cli._console import log, log_lines, progress_bar, put_json, suggest
from forecast.errors import UsageError
from forecast.jobs.gate import replayed_checks
from forecast.jobs.inputs import check_job
from forecast.jobs.pipeline import Pipeline, read_pipeline
from forecast.jobs.record import Record
from forecast.jobs.run import run_job
from forecast.jobs.sinks import SinkSettings
from forecast.settings import StoreSettings


def run(request: Request) -> int:
    if request.schema:
        put_json(Pipeline.model_json_schema(), indent=2)
        return 0
    if request.job is None:
        raise UsageError("name a pipeline file: forecast run JOB.toml")
    pipeline = read_pipeline(request.job)
    if "wait" in request.values:
        pipeline = pipeline.model_copy(update={"wait": request.read_group(StoreSettings).wait})
    if request.replay is not None:
        if not request.check:
            request.refuse("it replays past runs, and runs nothing", "add --check", "replay")
        log_lines(replayed_checks(pipeline, request.replay))
        return 0
    if request.accept:
        wrong = ("as_of", "output", "check")
        request.refuse("--accept repeats the run that was blocked", "leave it out", *wrong)
    if request.check:
        log(pipeline.hidden(f"{request.job}: the file is valid; {_plan(pipeline)}"))
        log_lines(check_job(pipeline, request.as_of, request.take_over))
        suggest("run", request.job)
        return 0
    with progress_bar() as on_step:
        record = run_job(
            pipeline,
            as_of=request.as_of,
            output=request.output,
            accept=request.accept,
            take_over=request.take_over,
            on_step=on_step,
        )
    return _put(record, request.as_json)


def _plan(pipeline: Pipeline) -> str:
    source = pipeline.source.path or "a query"
    sinks = " and ".join(_places(sink.places) for sink in pipeline.sinks.values())
    reads = f"job '{pipeline.name}' reads {source}, refits {pipeline.refit}"
    return f"{reads}, and writes to {sinks}"


def _put(record: Record, as_json: bool) -> int:
    if as_json:
        put_json(record.model_dump(mode="json"), indent=2)
    places = list[str]()
    for output in (record.output, *record.output.get("totals", ())):
        sink = {key: output[key] for key in SinkSettings.model_fields if key in output}
        places.append(_places(sink))
    counts = record.counts
    text = f"{counts['rows']:,} forecasts of {counts['series']:,} series to {places[0]}"
    if places[1:]:
        text += f", and {counts['sums']:,} sums to {' and '.join(places[1:])}"
    log(f"done     {text}")
    log(f"run      {record.id} by {record.version}, {record.seconds:.1f} s")
    return record.exit_code


def _places(output: dict[str, str]) -> str:
    texts = [
        f"the table {place}" if key == "table" else str(place) for key, place in output.items()
    ]
    return " and ".join(texts)
