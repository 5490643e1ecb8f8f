"""The declarations of commands: help, parameters and examples.

Nothing is imported that help does not need.
"""

import click

from forecast import settings
from forecast.cli._command import (
    BY_DEFAULT_NONE,
    OUTPUT_SECTION,
    RUN_SECTION,
    Command,
    Declaration,
    Option,
    file_argument,
)
from forecast.settings import (
    LagSettings,
    OutputSettings,
    StoreSettings,
    SumSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)

DATA_ARGUMENT = file_argument("data")
DATA_OR_FIT = file_argument("data", required=False)
DATA_FORMATS = "DATA is a CSV, .csv.gz, .xz, JSON, .xlsx or Parquet file, a folder of Parquet, "
DATA_FORMATS += "- for stdin, or synth:KIND."
READING_SETTINGS = TableSettings, TextSettings
OF_STORE = StoreSettings.heading
DEFAULT = f"[default: {settings.DEFAULT_STORE.store}]"
ARTIFACT = Option("--artifact DIR", f"folder of the saved versions  {DEFAULT}", OF_STORE)
VERSION = Option(
    "--version ID", "a version of the store; default the live one", OF_STORE, first=False
)
OF_VERSION = ARTIFACT, VERSION
JOB = file_argument("job", required=False)
JOB_OR_STORE = JOB, ARTIFACT
PATHS = click.IntRange(1, 10_000)
RUNS = click.IntRange(1, 1_000)
LIMIT_TYPE = click.IntRange(1)
STATUS_FORMATS = click.Choice(["text", "json", "prometheus"])
BY = Option(
    "--by WORD", "a row for each series, step, level of sums, or value of a column", OUTPUT_SECTION
)
FUTURE = Option("--future FILE", "table with the future values of known covariates")
MORE_KNOWN = Option("--future FILE", "table with more values of known covariates", first=False)
FEWER_STEPS = Option(
    "--horizon", "number of steps, fewer than at fit", OutputSettings.heading, type=int
)
WRITE_TABLE = Option(
    "--output FILE", "write a .csv, .parquet or .xlsx file; default stdout", OUTPUT_SECTION
)
SUMS_HEADING = SumSettings.heading
TOTALS_OPTION = Option(
    "--totals FILE", "write the sums here, and the series as without them", SUMS_HEADING
)
PATHS_OPTION = Option(
    "--paths N", "write N paths of all series, as NAME.paths.parquet", SUMS_HEADING, type=PATHS
)
ORDERS_OPTION = Option(
    "--orders FILE", "write what to order of the items in this table instead", SUMS_HEADING
)
SHEET_OPTION = Option(
    "--override-sheet FILE",
    "write a sheet to fill in, too, which --overrides reads",
    SUMS_HEADING,
)
SUMS_OPTIONS = SumSettings, TOTALS_OPTION, PATHS_OPTION, ORDERS_OPTION, SHEET_OPTION
AS_OF = Option(
    "--as-of TIME", "time at which the age of the data is measured  [default: now]", first=False
)
# output settings that change a chart
SHAPE = ("levels", "point", "min", "max", "integer")
WHERE = ("horizon", "device", "engine")
MACHINE = (TrainSettings, "device", "engine")
CLUSTER = (settings.ClusterSettings, "cluster")
ON_SAVED = (
    *settings.AFTER_FIT,
    *(name for name in settings.SIDE_TABLES if name not in BY_DEFAULT_NONE),
)


def _json(help: str) -> Option:
    return Option("--json", help, OUTPUT_SECTION, name="as_json")


MEASURES_OPTION = (
    BY,
    Option(
        "--output FILE", "write the table to a .csv, .json, .parquet or .xlsx file", OUTPUT_SECTION
    ),
    _json("print all tables as one JSON object"),
    (OutputSettings, "excel_safe"),
)

COMMANDS: dict[str, Declaration] = {}

COMMANDS["now"] = Declaration(
    f"""
    {DATA_FORMATS}

    The pretrained network and the quick baselines forecast, weighed on the past of DATA.
    `forecast fit` trains and saves, and takes other covariates than those known in advance.
    """,
    [
        DATA_ARGUMENT,
        WRITE_TABLE,
        FUTURE,
        AS_OF,
        OutputSettings,
        *SUMS_OPTIONS,
        settings.CheckSettings,
        *READING_SETTINGS,
        (TableSettings, "overrides"),
        (TrainSettings, "horizon"),
    ],
    (
        "forecast now sales.csv --output forecasts.csv",
        "forecast now sales.csv --horizon 14 --levels 50,90",
        "forecast now synth:seasonal",
    ),
)

COMMANDS["fit"] = Declaration(
    f"""
    {DATA_FORMATS} The forecaster becomes the live version of a store.
    """,
    [
        DATA_ARGUMENT,
        MORE_KNOWN,
        *READING_SETTINGS,
        TrainSettings,
        (StoreSettings, "keep", "wait"),
        CLUSTER,
        ARTIFACT,
    ],
    (
        "forecast fit sales.csv",
        "forecast fit sales.csv --id shop --target units --horizon 28",
        "forecast fit sales.csv --known price --holidays DE --artifact shops",
        "forecast fit sales.csv --budget 600",
    ),
)

COMMANDS["predict"] = Declaration(
    """
    It forecasts the series of the fit, or those of DATA, which may have new ids. Nothing is
    trained, and nothing in the store changes.
    """,
    [
        DATA_OR_FIT,
        *OF_VERSION,
        Option(
            "--output FILE",
            "write .csv, .parquet or .xlsx, with --shards a folder; default stdout",
            OUTPUT_SECTION,
        ),
        Option("--origin TIME", "forecast from this time of DATA; later values are not used"),
        FUTURE,
        Option(
            "--what-if COLUMN=VALUE",
            "forecast with other known values, too, =+10% more or *=1.1, or those of a FILE",
            multiple=True,
        ),
        Option("--what-if-from TIME", "with --what-if: change values from this time on"),
        Option(
            "--future-template FILE",
            "write the rows that --future needs, to be filled in; forecast nothing",
        ),
        AS_OF,
        FEWER_STEPS,
        OutputSettings,
        *SUMS_OPTIONS,
        settings.CheckSettings,
        TextSettings,
        settings.ClusterSettings,
        (TrainSettings, "jobs", "device", "engine"),
        (TableSettings, *ON_SAVED, "overrides"),
    ],
    (
        "forecast predict --output forecasts.csv",
        "forecast predict tonight.csv --artifact shops",
        "forecast predict --future-template prices.csv",
        "forecast predict --future prices.csv --levels 80 --integer",
        "forecast predict --future prices.csv --what-if price=+10%",
        "forecast predict s3://sales/2026/ --shards 64 --output s3://forecasts/2026",
    ),
)

COMMANDS["plot"] = Declaration(
    """
    They are those of the series of the fit, or of DATA. Without a store, DATA is forecast
    as `forecast now` does. --output names a file; else the terminal gets the picture.
    """,
    [
        DATA_OR_FIT,
        Option("--actual FILE", "table with the actual values; default those of DATA"),
        Option(
            "--output FILE",
            "write a .png, .svg, .pdf or .html file; default the terminal",
            OUTPUT_SECTION,
        ),
        Option("--terminal", "draw in the terminal, with --output too", OUTPUT_SECTION),
        Option("--forecast FILE", "draw this table of forecasts, which predict wrote, beside DATA"),
        Option("--now", "draw the forecasts of `forecast now`, even where there is a store"),
        FUTURE,
        Option("--origin TIME", "forecast from this time of DATA, and draw what came after it"),
        *OF_VERSION,
        settings.PictureSettings,
        SumSettings,
        *READING_SETTINGS,
        (TrainSettings, *WHERE),
        (OutputSettings, *SHAPE),
    ],
    (
        "forecast plot sales.csv",
        "forecast plot --artifact shops --series north --output north.png",
        "forecast plot sales.csv --origin 2026-01-31 --output worst.html",
        "forecast plot sales.csv --forecast forecasts.csv --output f.svg",
    ),
)

COMMANDS["report"] = Declaration(
    """
    JOB, a pipeline file, or --artifact names the store, whose live forecaster the report is
    on; the runs of a JOB are in it. With --backtest and no store it is on the backtest
    alone. The page needs no other file and no network.
    """,
    [
        *JOB_OR_STORE,
        VERSION,
        MACHINE,
        Option("--backtest FILE", "a .json file that `forecast backtest DATA --output FILE` wrote"),
        FUTURE,
        FEWER_STEPS,
        Option(
            "--by COLUMN",
            "with errors by the values of a column, which --backtest has",
            OUTPUT_SECTION,
        ),
        Option("--output FILE", "the .html file to write", OUTPUT_SECTION, required=True),
    ],
    (
        "forecast report --output report.html",
        "forecast report job.toml --output job.html",
        "forecast report --artifact shops --backtest tests.json --output s.html",
    ),
)

COMMANDS["explain"] = Declaration(
    """
    The forecasts are of the series of the fit, or of those of DATA. The parts of
    a forecast, level, season, events, known columns and rest, add up to its median.
    """,
    [
        DATA_OR_FIT,
        TextSettings,
        (settings.PictureSettings, "series"),
        MACHINE,
        (TableSettings, *ON_SAVED),
        *OF_VERSION,
        FUTURE,
        _json("print everything as one JSON object"),
    ],
    (
        "forecast explain",
        "forecast explain tonight.csv --artifact shops",
        "forecast explain tonight.csv --series north --json",
    ),
)

COMMANDS["inspect"] = Declaration(
    """
    With DATA it shows how that table would be read, without fitting. DATA may also be a
    pipeline file (.toml), which names the store of its job.
    """,
    [
        DATA_OR_FIT,
        *READING_SETTINGS,
        (TrainSettings, "horizon", "lookback"),
        *OF_VERSION,
        _json("print one JSON object"),
    ],
    (
        "forecast inspect sales.csv",
        "forecast inspect --artifact shops",
        "forecast inspect --json",
    ),
)

COMMANDS["backtest"] = Declaration(
    """
    DATA is forecast from origins in its past. The first measure is skill, the error
    reduction against seasonal naive. --model takes several names, also of baselines:
    --model segrnn,lstm,theta. --budget limits each fit.
    """,
    [
        DATA_ARGUMENT,
        MORE_KNOWN,
        settings.BacktestSettings,
        SumSettings,
        (OutputSettings, "quantiles"),
        *READING_SETTINGS,
        TrainSettings,
        CLUSTER,
        Option("--artifact DIR", "test the live forecaster of this store, without a fit", OF_STORE),
        Option(
            "--version ID", "a version of that store; default the live one", OF_STORE, first=False
        ),
        Option(
            "--forecasts FILE",
            "write all forecasts and actual values, .csv, .parquet or .xlsx",
            OUTPUT_SECTION,
        ),
        *MEASURES_OPTION,
    ],
    (
        "forecast backtest sales.csv",
        "forecast backtest sales.csv --horizon 7 --model auto,theta,drift",
        "forecast backtest sales.csv --artifact shops --by series",
    ),
)

COMMANDS["score"] = Declaration(
    """
    FORECAST is a table of forecasts or of sums written by predict, ACTUAL one of the actual
    values. The id and time columns have the same names in both. ACTUAL should contain the
    whole history: the values before the first forecast give MASE its unit, and seasonal
    naive its forecasts. With --artifact, ACTUAL is read as the fit of that store did; no
    other store is looked at.
    """,
    [
        file_argument("forecast"),
        file_argument("actual"),
        *READING_SETTINGS,
        Option("--against FILE", "other forecasts of these values, or a plan, to compare with"),
        Option("--against-column NAME", "the column of --against", default="forecast"),
        Option("--artifact DIR", "read ACTUAL as the fit of this store did", OF_STORE),
        *MEASURES_OPTION,
    ],
    (
        "forecast score forecasts.csv sales.csv",
        "forecast score forecasts.csv sales.csv --by series --output scores.csv",
        "forecast score forecasts.csv sales.csv --against others.csv --by shop",
    ),
)

COMMANDS["models"] = Declaration(
    """
    The settings of NAME are set with `-p NAME=VALUE`.
    """,
    [
        click.Argument(["name"], required=False),
    ],
    (
        "forecast models",
        "forecast models segrnn",
    ),
)

COMMANDS["synth"] = Declaration(
    """
    Without KIND, list the kinds.
    """,
    [
        click.Argument(["kind"], required=False),
        Option("--series", "number of series", "Series", type=LIMIT_TYPE, default=1),
        Option("--length", "steps of each series; default by kind", "Series", type=LIMIT_TYPE),
        Option("--seed", "seed of all random numbers", "Series", type=click.IntRange(0), default=0),
        WRITE_TABLE,
    ],
    (
        "forecast synth",
        "forecast synth seasonal --series 3 --output seasonal.csv",
    ),
)

COMMANDS["run"] = Declaration(
    """
    JOB is read, fitted when due, checked, forecast, written and recorded: all of this or
    nothing. Another run with the same --as-of gives the same forecasts.
    """,
    [
        JOB,
        Option("--as-of TIME", "run as of this time; nothing later is read  [default: now]"),
        Option("--output FILE", "write here, and not to the sink of the job", OUTPUT_SECTION),
        Option(
            "--take-over",
            "take store and sinks from another job, which this one replaces",
            RUN_SECTION,
            first=False,
        ),
        Option(
            "--check",
            "check the file, the source, its columns and age, and the sink; write nothing",
            RUN_SECTION,
        ),
        Option(
            "--accept",
            "repeat the newest run that a check blocked, and accept what it found",
            RUN_SECTION,
        ),
        Option(
            "--replay",
            "with --check: what the checks of forecasts say of so many past runs",
            RUN_SECTION,
            type=RUNS,
        ),
        Option("--schema", "print the JSON schema of pipeline files, for editors", OUTPUT_SECTION),
        _json("print the record of the run to stdout"),
        (StoreSettings, "wait"),
    ],
    (
        "forecast run job.toml --check",
        "forecast run job.toml",
        "forecast run job.toml --as-of 2026-01-31",
        "forecast run job.toml --accept",
        "forecast run job.toml --check --replay 90",
    ),
)

COMMANDS["status"] = Declaration(
    """
    JOB, a pipeline file, names one job; without it all jobs of a store are shown. The exit
    code is for monitoring: 0 all is well, 3 the newest run failed or left series out, 4 the
    data are stale.
    """,
    [
        *JOB_OR_STORE,
        Option(
            "--as-of TIME", "show the status at this time, from the runs until then  [default: now]"
        ),
        Option("--runs", "number of runs to show", OUTPUT_SECTION, type=RUNS, default=10),
        Option(
            "--by COLUMN", "scores of the newest runs by the values of a column", OUTPUT_SECTION
        ),
        LagSettings,
        Option(
            "--format",
            "text, a list of objects as JSON, one for each job, or gauges for Prometheus",
            OUTPUT_SECTION,
            type=STATUS_FORMATS,
            default="text",
        ),
        Option(
            "--json", "the same as --format json", OUTPUT_SECTION, name="format", flag_value="json"
        ),
    ],
    (
        "forecast status job.toml",
        "forecast status job.toml --by shop",
        "forecast status job.toml --lag 3w --lag-over 90d",
        "forecast status job.toml --format prometheus",
        "forecast status --artifact shops --json",
    ),
)

COMMANDS["diff"] = Declaration(
    """
    JOB is a pipeline file. Changes are shown step by step. Compared are the times that both
    runs forecast; nothing is fitted. JOB or --artifact names the store.
    """,
    [
        *JOB_OR_STORE,
        Option("--from RUN", "the earlier run, by its time; default the one before", name="before"),
        Option("--to RUN", "the later run; default the newest", name="after"),
        SumSettings,
        MACHINE,
        Option("--limit", "series to show", OUTPUT_SECTION, type=LIMIT_TYPE, default=10),
        _json("print a list of objects, one for each job"),
    ],
    (
        "forecast diff job.toml",
        "forecast diff job.toml --from 2026-01-30 --sum-by region",
    ),
)

COMMANDS["versions"] = Declaration(
    """
    JOB, a pipeline file, or --artifact names the store. The oldest version comes first; the
    live one is marked.
    """,
    [
        *JOB_OR_STORE,
        _json("print a list of objects"),
    ],
    (
        "forecast versions job.toml",
        "forecast versions --artifact shops",
    ),
)

COMMANDS["promote"] = Declaration(
    """
    All files of VERSION are checked first; `forecast versions` lists the versions. JOB, a
    pipeline file, or --artifact names the store. VERSION is an id or a hash, or the
    beginning of one.
    """,
    [
        click.Argument(["version"]),
        *JOB_OR_STORE,
        (StoreSettings, "wait"),
    ],
    (
        "forecast versions --artifact shops",
        "forecast promote v-20260131T020000.000000Z-1ab4a977 --artifact shops",
    ),
)

COMMANDS["rollback"] = Declaration(
    """
    JOB, a pipeline file, or --artifact names the store.
    """,
    [
        *JOB_OR_STORE,
        (StoreSettings, "wait"),
    ],
    (
        "forecast rollback job.toml",
        "forecast rollback --artifact shops",
    ),
)


def build_command(name: str, purpose: str) -> Command:
    return Command(name, purpose, COMMANDS[name])
