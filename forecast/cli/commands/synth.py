"""Write a synthetic series as CSV."""

import click

from forecast.cli._command import WRITE_TABLE, Command, Option

command = Command(
    "synth",
    """Write a synthetic series of a KIND; without KIND, list the kinds.""",
    [
        click.Argument(["kind"], required=False),
        Option("--series", "number of series", "Series", type=click.IntRange(1), default=1, show_default=True),
        Option("--length", "steps of each series; default by kind", "Series", type=click.IntRange(1)),
        Option("--seed", "seed of all random numbers", "Series", type=click.IntRange(0), default=0, show_default=True),
        WRITE_TABLE,
    ],
    "forecast synth",
    "forecast synth seasonal --series 3 --output seasonal.csv",
)
