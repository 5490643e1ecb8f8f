"""List the models, or the settings of one."""

import click

from forecast.cli._command import Command

command = Command(
    "models",
    """List the models; with NAME, list that model's own settings, which `-p NAME=VALUE` sets.""",
    [click.Argument(["name"], required=False)],
    "forecast models",
    "forecast models segrnn",
)
