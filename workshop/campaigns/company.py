"""Run the nights of a made company, which refits each week: few warnings, no block, and effects that stay."""

import logging
import tempfile
from pathlib import Path

import click
import numpy as np

from forecast.artifacts.store import Store
from forecast.inference.forecasting import load_forecaster
from workshop.campaigns._counts import Counts, campaign
from workshop.campaigns._shops import DAYS_BEFORE, ShopJob, sales

MONTHS, YEAR = 92, 365  # nights
MOST_WARNINGS = 3
SAME = 0.1  # by what share the effect of a column may differ from that of the first fit
FEW = ["bread", "milk", "rice"]  # products of the year


@click.command()
@click.option("--seeds", default=3, show_default=True, help="of made companies, three months each")
@click.option("--nights", default=MONTHS, show_default=True, help="of the months")
@click.option("--year", default=YEAR, show_default=True, help="nights of the year; 0: without it")
def command(seeds: int, nights: int, year: int) -> None:
    """Run three months of nights of a company, and a year of a small one with vintages and without."""
    quiet = logging.getLogger("forecast")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())
    with campaign("company") as counts, tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            job = ShopJob(Path(folder) / str(seed), sales(DAYS_BEFORE + nights, seed))
            live(job, range(nights), counts)
        if year:
            compare_vintages(Path(folder), year, counts)


def live(job: ShopJob, nights: range, counts: Counts, vintages: str = "keep") -> int:
    """Run nights; returns how many fits went live."""
    job.write("theta", "weekly", vintages)
    store = Store(str(job.folder / "model"))
    said, versions = 0, dict[str, np.ndarray]()  # with the sizes of the effects
    for night in nights:
        code, messages = job.run(night)
        counts.done["nights"] += 1
        said += len(messages)
        for message in messages:
            click.echo(f"{job.folder.name} {job.as_of(night)}: {message}", err=True)
        if code:
            counts.lose(f"{job.folder.name}, night {night}: ended with {code}")
        if (version := store.current()) in versions:
            continue
        effects = load_forecaster(str(store.path))[0].effects.columns
        versions[version] = np.zeros(2) if effects is None else effects.typical
        sizes, first = versions[version], next(iter(versions.values()))
        if not (sizes.all() and (np.abs(sizes - first) <= SAME * first).all()):
            counts.lose(f"{job.folder.name}, night {night}: effects {sizes}, and {first} at first")
    counts.done["warnings"] += said
    counts.done["refits"] += len(versions) - 1
    if said > MOST_WARNINGS:
        counts.lose(f"{job.folder.name}: {said} warnings, more than {MOST_WARNINGS}")
    return len(versions)


def compare_vintages(folder: Path, nights: int, counts: Counts) -> None:
    """Run the same nights with vintages kept and without: refits go live as often."""
    table = sales(DAYS_BEFORE + nights)
    table = table[table["product"].isin(FEW)]
    accepted = {
        vintages: live(ShopJob(folder / vintages, table), range(nights), counts, vintages)
        for vintages in ("keep", "off")
    }
    click.echo(
        f"a year: {accepted['keep']} fits went live, {accepted['off']} without vintages", err=True
    )
    if accepted["keep"] < accepted["off"]:
        counts.lose(f"fits went live less often with vintages: {accepted}")
