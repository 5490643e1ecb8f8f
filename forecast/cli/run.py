"""Run a job from its pipeline file, for cron."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from forecast.cli._console import progress_bar, put_json, say, style_options
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


@click.command()
@click.argument("job", required=False)
@grouped(
    "options",
    Options,
    click.option("--as-of", metavar="TIME", help="run as of this time; nothing later is read  [default: now]"),
    click.option("--output", metavar="FILE", help="write to this file, and not to the sink of the job"),
    click.option("--resume", is_flag=True, help="continue a fit that was stopped"),
    click.option("--take-over", is_flag=True, help="take the store from another job, which this one replaces"),
)
@click.option("--check", is_flag=True, help="check the file, the source, its columns and the sink; write nothing")
@click.option("--schema", is_flag=True, help="print the JSON schema of pipeline files, for editors")
@click.option("--json", "as_json", is_flag=True, help="print the record of the run to stdout")
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
