"""The command line of the benchmarks: `python -m benchmarks accuracy m4-hourly --data DIR`."""

import signal
import sys
import tempfile
from pathlib import Path

import click
import pandas as pd
from rich.console import Console

from benchmarks import coverage, development, samples
from benchmarks import lumpy as lumpy_series
from benchmarks import made as made_tables
from benchmarks import nights as job_nights
from benchmarks import rolling as rolling_origins
from benchmarks import sums as sums_of_sets
from benchmarks.accuracy import DATASETS, measure_all, runs_on
from benchmarks.machine import machine_lines
from benchmarks.methods import DEFAULT, NOW, Method, choose, installed_peers, own_methods
from benchmarks.plan import Wanted
from benchmarks.processes import ROOT
from benchmarks.rows import Row, add_row, read_rows
from benchmarks.singles import MEASURES, measure, read_runs, summary
from benchmarks.speed import ALL, KINDS, Asked, speed_lines
from benchmarks.tables import markdown, rich_tables
from forecast.durable import replace_file
from forecast.errors import ForecastError
from forecast.models import model_names

FILE = click.Path(dir_okay=False, path_type=Path)
RESULTS = click.option(
    "--json",
    "path",
    required=True,
    type=FILE,
    help="JSON lines so far; they are kept, and new ones added",
)
said = Console(stderr=True, soft_wrap=True)
WIDE = 240  # characters


def items(ctx: click.Context, parameter: click.Parameter, given: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in given.split(",") if part.strip()]


def whole_numbers(ctx: click.Context, parameter: click.Parameter, given: str) -> list[int]:
    """The numbers of a list with commas."""
    try:
        return [int(part) for part in items(ctx, parameter, given)]
    except ValueError as error:
        raise click.BadParameter(
            f"{given!r} is not a list of whole numbers; write it as 96,192"
        ) from error


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Measure this project and its peers on the same work."""


@cli.command()
@click.argument("name", metavar="DATA", type=click.Choice([*DATASETS, samples.NAME]))
@click.option(
    "--data",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="where its files lie",
)
@click.option(
    "--methods",
    callback=items,
    default="",
    metavar="A,B",
    help="default: a bare fit, all models and baselines",
)
@click.option(
    "--horizon",
    "horizons",
    callback=whole_numbers,
    default="",
    metavar="N,M",
    help="default: those of the papers",
)
@click.option(
    "--budget",
    "budgets",
    callback=items,
    default="",
    metavar="S,T",
    help="seconds; default: none is passed",
)
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="number of seeds, from 0"
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="training steps, for a trial of the harness; not a result",
)
@click.option("--peers", is_flag=True, help="measure the peers that are installed too")
@click.option(
    "--peers-python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="an interpreter that has peers; repeatable",
)
@click.option("--json", "path", type=FILE, help="rows so far; they are kept, and new ones added")
@click.option("--markdown", "page", type=FILE, help="write the table of all rows here")
def accuracy(
    name: str,
    folder: Path | None,
    methods: list[str],
    horizons: list[int],
    budgets: list[str],
    seeds: int,
    steps: int | None,
    peers: bool,
    pythons: tuple[str, ...],
    path: Path | None,
    page: Path | None,
) -> None:
    """Scores, seconds and memory of all methods on DATA."""
    if folder is None and name == samples.NAME:
        folder = ROOT / "data"
    if folder is None:
        raise click.UsageError(f"name the folder with the files of {name}: --data DIR")
    try:
        wanted = Wanted(horizons, [float(one) for one in budgets] or [None], seeds, steps)
        chosen = choose(_methods(peers or bool(pythons), pythons), methods)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            rows, failures = measure_all(
                runs_on(name, folder, Path(scratch), chosen, wanted), path, said
            )
    except (ValueError, ForecastError) as error:
        raise click.ClickException(str(error)) from error
    _show(rows, page)
    sys.exit(1 if failures else 0)


@cli.command()
@click.option(
    "--data",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="the sets",
)
@click.option(
    "--methods",
    callback=items,
    default=",".join((NOW, *rolling_origins.BASELINES)),
    show_default=True,
)
@click.option("--json", "path", type=FILE, help="rows so far; they are kept, and new ones added")
def rolling(folder: Path, methods: list[str], path: Path | None) -> None:
    """MASE of `forecast now` and of baselines on eight sets, from rolling origins."""
    try:
        chosen = choose(own_methods(), methods)
        runs = rolling_origins.rolling_runs(folder, chosen, Wanted([], [None], 1, None))
        rows, failures = measure_all(runs, path, said)
    except (ValueError, ForecastError) as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(rolling_origins.comparison(rows)))
    sys.exit(1 if failures else 0)


@cli.command()
@click.option(
    "--data",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="the development sets",
)
@click.option(
    "--rows",
    "path",
    required=True,
    type=FILE,
    help="CSV of rows so far; they are kept, and new ones added",
)
@click.option(
    "--kinds",
    callback=items,
    default=",".join(development.KINDS),
    show_default=True,
    help="kinds of tables",
)
@click.option(
    "--change",
    "changes",
    multiple=True,
    metavar="NUMBER=VALUE",
    help="a number of the program: ensemble.weights.WEIGHT_PRIORS.trimmed=0",
)
def develop(folder: Path, path: Path, kinds: list[str], changes: tuple[str, ...]) -> None:
    """Errors of `forecast now` on panels and single series of the development sets, from four origins."""
    try:
        for change in changes:
            development.change_number(change)
        development.measure_all(folder, path, kinds)
    except (ImportError, ValueError, ForecastError) as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@click.argument("base", type=click.Path(exists=True, path_type=Path))
@click.argument("changed", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True)
def judge(base: Path, changed: tuple[Path, ...]) -> None:
    """What changes are worth on sources and origins that did not choose them, from rows of `develop`."""
    before = pd.read_csv(base)
    for path in changed:
        table = development.judge(before, pd.read_csv(path))
        click.echo(f"{path.stem}\n{table.to_string(index=False, float_format='{:.4f}'.format)}")


@cli.command()
@click.option(
    "--kinds", callback=items, default="seasonal,random-walk,multi-season", show_default=True
)
@click.option(
    "--methods",
    callback=items,
    default="",
    metavar="A,B",
    help="default: a bare fit and all models",
)
@click.option("--series", type=click.IntRange(1), default=coverage.SERIES, show_default=True)
@click.option("--budget", type=float, help="seconds of each fit")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True)
@click.option("--steps", type=click.IntRange(1), help="training steps of each fit")
@click.option("--json", "path", type=FILE, help="rows so far; they are kept, and new ones added")
def intervals(
    kinds: list[str],
    methods: list[str],
    series: int,
    budget: float | None,
    seeds: int,
    steps: int | None,
    path: Path | None,
) -> None:
    """Coverage of intervals on synthetic series, of each model and of a bare fit."""
    chosen = methods or [DEFAULT, *model_names()]
    try:
        rows = read_rows(path)
        for row in coverage.coverage_rows(kinds, chosen, series, budget, seeds, steps):
            add_row(path, rows, row)
            said.print(
                " ".join(f"{name}={value}" for name, value in rows[-1].items()), highlight=False
            )
    except (ValueError, ForecastError) as error:
        raise click.ClickException(str(error)) from error
    _show(rows, None)


@cli.command()
@click.option(
    "--data",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="development sets",
)
@RESULTS
@click.option(
    "--method",
    default=DEFAULT,
    show_default=True,
    help="a bare fit, baselines (no networks) or a model",
)
@click.option(
    "--checkout",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="measure this one",
)
@click.option(
    "--origins", type=click.IntRange(1), default=3, show_default=True, help="of each series"
)
@click.option(
    "--times",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="so many times as many series",
)
@click.option("--only", default="", help="series whose name contains this")
@click.option("--against", type=FILE, help="compare with the runs of this file")
@click.option("--by", type=click.Choice(["set", "series"]), default="set", show_default=True)
@click.option("--show", is_flag=True, help="show the results; nothing is run")
def singles(
    folder: Path,
    path: Path,
    method: str,
    checkout: Path | None,
    origins: int,
    times: int,
    only: str,
    against: Path | None,
    by: str,
    show: bool,
) -> None:
    """Coverage and MSIS of intervals of single real series, of a bare fit or of one model."""
    try:
        for run in (
            () if show else measure(folder, path, method, checkout or ROOT, origins, times, only)
        ):
            line = " ".join(f"{name}={run[name]:.3f}" for name in MEASURES)
            said.print(f"{run['series']} at {run['origin']}: {line}", highlight=False)
        runs = [run for run in read_runs(path) if run["method"] == method and only in run["series"]]
        table = summary(runs, None if against is None else read_runs(against), by)
        click.echo(table.round(3).to_string())
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@RESULTS
@click.option(
    "--method", default=NOW, show_default=True, help="now, default (a bare fit) or a model"
)
@click.option(
    "--checkout",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="measure this one",
)
@click.option("--series", type=click.IntRange(1), default=200, show_default=True)
def lumpy(path: Path, method: str, checkout: Path | None, series: int) -> None:
    """Means and 99 % ends of made lumpy series, beside the truth."""
    try:
        for row in lumpy_series.measure(path, method, checkout or ROOT, series):
            said.print(
                " ".join(f"{name}={value:.3g}" for name, value in row.items() if name != "method")
            )
        click.echo(lumpy_series.summary(lumpy_series.read_rows(path)).round(3).to_string())
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@RESULTS
@click.option("--families", callback=items, default="", metavar="A,B", help="default: all")
@click.option("--method", type=click.Choice([NOW, DEFAULT]), default=NOW, show_default=True)
@click.option("--budget", type=float, help="seconds of each bare fit; default: none is passed")
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True)
def made(path: Path, families: list[str], method: str, budget: float | None, seeds: int) -> None:
    """Made tables whose truth is known: what columns do, levels, growth, holidays, new series."""
    names = families or list(made_tables.FAMILIES)
    if unknown := [name for name in names if name not in made_tables.FAMILIES]:
        raise click.UsageError(f"{unknown[0]}: families are {', '.join(made_tables.FAMILIES)}")
    try:
        for row in made_tables.measure(path, names, method, seeds, budget):
            said.print(f"{row['family']}, seed {row['seed']}", highlight=False)
    except (ValueError, ForecastError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(made_tables.summary(made_tables.read_rows(path)).round(3).to_string())


@cli.command()
@click.option(
    "--data", "folder", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--json",
    "path",
    required=True,
    type=FILE,
    help="JSON lines so far; sets that it has are not run again",
)
@click.option(
    "--sets",
    callback=items,
    default="",
    metavar="A,B",
    help="by the names of their files; default all",
)
@click.option(
    "--fits",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="at origins that are spread evenly",
)
def sums(folder: Path, path: Path, sets: list[str], fits: int) -> None:
    """What intervals of sums over groups and over time held, from twenty origins, and their interval scores."""
    for row in sums_of_sets.measure(folder, path, tuple(sets), fits):
        said.print(
            f"{row['set']} {row['level']} {row['way']}: {row['in_80']:.3f} {row['in_95']:.3f}"
        )
    click.echo("\n".join(sums_of_sets.table(sums_of_sets.rows_of(path))))


@cli.command()
@click.option("--series", type=click.IntRange(1), default=2_000, show_default=True)
@click.option("--horizon", type=click.IntRange(1), default=168, show_default=True, help="hours")
@click.option("--nights", "count", type=click.IntRange(1), default=16, show_default=True)
def nights(series: int, horizon: int, count: int) -> None:
    """Seconds, peak memory and size of the ledger of a job on hourly series, night by night."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        for night in job_nights.live(Path(scratch), series, horizon, count):
            click.echo(str(night))


@cli.command()
@click.option(
    "--births",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="US_births_2000-2014_SSA.csv",
)
@click.option("--model", default="auto", show_default=True)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="training steps, for a trial of the harness; not a result",
)
def events(births: Path | None, model: str, steps: int | None) -> None:
    """Errors on holidays and on other days, and how well a known effect is found."""
    from benchmarks.events import births_rows, rides_row  # needs the package holidays

    rows = [rides_row(), *(births_rows(births, model, steps) if births is not None else ())]
    for row in rows:
        said.print(" ".join(f"{name}={value}" for name, value in row.items()), highlight=False)


@cli.command()
@click.argument(
    "path", metavar="JSON", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--markdown", "page", type=FILE, help="write the table here too")
def table(path: Path, page: Path | None) -> None:
    """Show the rows of a file; nothing is run."""
    try:
        _show(read_rows(path), page)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@cli.command()
@click.argument("what", type=click.Choice([*KINDS, ALL]), default="steps")
@click.option("--pairs", type=click.IntRange(3), help="default: 60 of steps, 5 or 9 of commands")
@click.option(
    "--series",
    callback=whole_numbers,
    default="",
    metavar="N,M",
    help="of panels; default: 1k, 10k, 100k, 1M",
)
@click.option(
    "--models",
    callback=items,
    default="",
    metavar="A,B",
    help="of panels; default: segrnn, all baselines",
)
@click.option(
    "--methods",
    callback=items,
    default="theta",
    metavar="A,B",
    help="that a bare fit is compared with",
)
@click.option(
    "--peers-python", "pythons", type=click.Path(), multiple=True, help="an interpreter with peers"
)
@click.option(
    "--data",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="with M4 hourly, for now and accuracy",
)
def speed(
    what: str,
    pairs: int | None,
    series: list[int],
    models: list[str],
    methods: list[str],
    pythons: tuple[str, ...],
    folder: Path | None,
) -> None:
    """Ratios of seconds in one run: training steps beside a plain torch loop, `now` and
    `predict` beside importing torch, large panels beside smaller ones, sizes and imports beside the peers', and a bare
    fit beside methods that it gets as accurate as.
    """
    try:
        peers = installed_peers(pythons)[0] if pythons else []
        compared = choose([*own_methods(), *peers], methods)
        packages = {str(peer.package): peer for peer in peers}
        asked = Asked(pairs, series, models, compared, list(packages.values()), folder)
        for line in speed_lines(what, asked):
            click.echo(line)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _methods(peers: bool, pythons: tuple[str, ...]) -> list[Method]:
    if not peers:
        return own_methods()
    there, absent = installed_peers(pythons or (sys.executable,))
    if absent:
        said.print(f"left out, not installed: {', '.join(absent)}", style="yellow", highlight=False)
    return [*own_methods(), *there]


def _show(rows: list[Row], page: Path | None) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDE)  # a file has no edge
    for one in rich_tables(rows):
        console.print(one)
    if page is not None:
        replace_file(page, markdown(rows, machine_lines()).encode())


if __name__ == "__main__":
    signal.signal(
        signal.SIGTERM, lambda number, frame: sys.exit(128 + number)
    )  # a measured process must not outlive it
    cli()
