"""Run a job from its pipeline file, for cron."""

from dataclasses import dataclass

from forecast.cli._command import OUTPUT, RUN, Command, Grouped, Option, options_of, table_argument
from forecast.settings import StoreSettings


@dataclass(frozen=True)
class Options:
    """Options of one run, beside the settings of the job."""

    as_of: str | None
    output: str | None
    resume: bool
    take_over: bool


command = Command(
    "run",
    """Run JOB, a pipeline file: read, fit when due, check, forecast, write, record.

    A run does all of this or nothing; another run with the same --as-of gives the same forecasts.
    """,
    [
        table_argument("job", required=False),
        Grouped(
            "options",
            Options,
            (
                Option("--as-of TIME", "run as of this time; nothing later is read  [default: now]"),
                Option("--output FILE", "write to this file, and not to the sink of the job", OUTPUT),
                Option("--resume", "continue a fit that was stopped", RUN),
                Option("--take-over", "take the store from another job, which this one replaces", RUN, first=False),
            ),
        ),
        Option("--check", "check the file, the source, its columns and the sink; write nothing", RUN),
        Option("--schema", "print the JSON schema of pipeline files, for editors", OUTPUT),
        Option("--json", "print the record of the run to stdout", OUTPUT, name="as_json"),
        *options_of(StoreSettings, "wait"),
    ],
    "forecast run job.toml --check",
    "forecast run job.toml",
    "forecast run job.toml --as-of 2026-01-31",
)
