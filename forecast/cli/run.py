"""Run a job from its pipeline file, for cron."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from forecast.cli._console import progress_bar, put_json, say, say_next, style_options
from forecast.cli._help import OUTPUT, RUN, file_argument, option, with_examples
from forecast.cli._options import Given, grouped, settings_options
from forecast.errors import UsageError
from forecast.settings import StoreSettings

if TYPE_CHECKING:
    from forecast.jobs.pipeline import Pipeline


@dataclass(frozen=True)
class Options:
    """Options of one run, beside the settings of the job."""

    as_of: str | None
    output: str | None
    resume: bool
    take_over: bool


@with_examples(
    "forecast run job.toml --check",
    "forecast run job.toml",
    "forecast run job.toml --as-of 2026-01-31",
)
@file_argument("job", required=False)
@grouped(
    "options",
    Options,
    option("--as-of", metavar="TIME", help="run as of this time; nothing later is read  [default: now]"),
    option("--output", heading=OUTPUT, metavar="FILE", help="write to this file, and not to the sink of the job"),
    option("--resume", heading=RUN, is_flag=True, help="continue a fit that was stopped"),
    option(
        "--take-over",
        heading=RUN,
        first=False,
        is_flag=True,
        help="take the store from another job, which this one replaces",
    ),
)
@option(
    "--check", heading=RUN, is_flag=True, help="check the file, the source, its columns and the sink; write nothing"
)
@option("--schema", heading=OUTPUT, is_flag=True, help="print the JSON schema of pipeline files, for editors")
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="print the record of the run to stdout")
@style_options
@settings_options(single={"wait": StoreSettings})
def command(job: str | None, options: Options, check: bool, schema: bool, as_json: bool, given: Given) -> int:
    """Run JOB, a pipeline file: read, fit when due, check, forecast, write, record.

    A run does all of this or nothing; another run with the same --as-of gives the same forecasts.
    """
    from forecast.jobs.pipeline import Pipeline, read_pipeline

    if schema:
        put_json(Pipeline.model_json_schema(), indent=2)
        return 0
    if job is None:
        raise UsageError("name a pipeline file: forecast run JOB.toml")
    pipeline = read_pipeline(job)
    if check:
        from forecast.jobs.preflight import check_job

        say(pipeline.hidden(f"{job}: the file is valid; {_summary(pipeline)}"))
        for line in check_job(pipeline):
            say(line)
        say_next("run", job)
        return 0
    from forecast.jobs.run import run_job
    from forecast.jobs.sinks import SinkSettings

    if "wait" in given.values:
        pipeline = pipeline.model_copy(update={"wait": given.of(StoreSettings).wait})
    with progress_bar() as on_step:
        record = run_job(pipeline, **vars(options), on_step=on_step)
    if as_json:
        put_json(record.model_dump(mode="json"), indent=2)
    where = " and ".join(str(record.output[key]) for key in SinkSettings.model_fields if key in record.output)
    say(f"done     {record.counts['rows']:,} forecasts of {record.counts['series']:,} series to {where}")
    say(f"run      {record.id} by {record.version}, {record.seconds:.1f} s")
    return record.exit_code


def _summary(pipeline: "Pipeline") -> str:
    """What a pipeline does, in a line."""
    from forecast.jobs.kinds import shown_keys
    from forecast.jobs.sources import source_of
    from forecast.settings import FILE, marked

    source = ", ".join(marked(source_of(pipeline.source)[1], FILE).values()) or "a query"
    sinks = " and ".join(shown_keys(pipeline.sink).values())
    return f"job '{pipeline.name}' reads {source}, refits {pipeline.refit}, and writes to {sinks}"
