"""Write a synthetic series as CSV."""

import click

from forecast.cli._console import put, say_next, style_options
from forecast.cli._data import write
from forecast.cli._help import OUTPUT, option, with_examples


@with_examples(
    "forecast synth",
    "forecast synth seasonal --series 3 --output seasonal.csv",
)
@click.argument("kind", required=False)
@option("--series", heading="Series", type=click.IntRange(1), default=1, show_default=True, help="number of series")
@option("--length", heading="Series", type=click.IntRange(1), help="steps of each series; default by kind")
@option(
    "--seed", heading="Series", type=click.IntRange(0), default=0, show_default=True, help="seed of all random numbers"
)
@option("--output", heading=OUTPUT, metavar="FILE", help="write a .csv or .parquet file; default stdout")
@style_options
def command(kind: str | None, series: int, length: int | None, seed: int, output: str | None) -> None:
    """Write a synthetic series of a KIND; without KIND, list the kinds."""
    from forecast.tables.synthetic import KINDS, synthesize

    if kind is None:
        width = max(map(len, KINDS))
        for name, text in KINDS.items():
            put(f"{name:<{width}}  {text}")
        say_next("synth", next(iter(KINDS)))
        return
    write(synthesize(kind, series=series, length=length, seed=seed), output)
    say_next("now", f"synth:{kind}" if output is None else output)
