"""Run a job from its pipeline file, for cron."""

from dataclasses import dataclass
from typing import Annotated

from forecast.cli._command import OUTPUT, RUN, Command, Option, options_of, table_argument
from forecast.settings import StoreSettings


@dataclass(frozen=True)
class Options:
    """Options of one run, beside the settings of the job."""

    as_of: Annotated[str | None, Option("--as-of TIME", "run as of this time; nothing later is read  [default: now]")]
    output: Annotated[str | None, Option("--output FILE", "write here, and not to the sink of the job", OUTPUT)]
    resume: Annotated[bool, Option("--resume", "continue a fit that was stopped", RUN)]
    take_over: Annotated[
        bool, Option("--take-over", "take the store from another job, which this one replaces", RUN, first=False)
    ]


command = Command(
    "run",
    """Run JOB, a pipeline file: read, fit when due, check, forecast, write, record.

    A run does all of this or nothing; another run with the same --as-of gives the same forecasts.
    """,
    [
        table_argument("job", required=False),
        Options,
        Option("--check", "check the file, the source, its columns and the sink; write nothing", RUN),
        Option("--schema", "print the JSON schema of pipeline files, for editors", OUTPUT),
        Option("--json", "print the record of the run to stdout", OUTPUT, name="as_json"),
        *options_of(StoreSettings, "wait"),
    ],
    "forecast run job.toml --check",
    "forecast run job.toml",
    "forecast run job.toml --as-of 2026-01-31",
)
