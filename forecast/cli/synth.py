"""Write a synthetic series as CSV."""

import click

from forecast.cli._console import put, style_options
from forecast.cli._data import write


@click.command()
@click.argument("kind", required=False)
@click.option("--series", type=click.IntRange(1), default=1, show_default=True, help="number of series")
@click.option("--length", type=click.IntRange(1), help="steps of each series; default by kind")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="seed of all random numbers")
@click.option("--output", metavar="FILE", help="write a .csv or .parquet file; default stdout")
@style_options
def command(kind: str | None, series: int, length: int | None, seed: int, output: str | None) -> None:
    """Write a synthetic series of a KIND; without KIND, list the kinds."""
    from forecast.tables.synthetic import KINDS, synthesize

    if kind is None:
        width = max(map(len, KINDS))
        for name, text in KINDS.items():
            put(f"{name:<{width}}  {text}")
        return
    write(synthesize(kind, series=series, length=length, seed=seed), output)
