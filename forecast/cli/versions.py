"""List the versions of a store."""

import json

import click

from forecast.cli._console import style_options
from forecast.cli._data import artifact_option


@click.command()
@artifact_option
@click.option("--json", "as_json", is_flag=True, help="print a list of objects")
@style_options
def command(artifact: str, as_json: bool) -> int:
    """List the versions of a store, oldest first; the live one is marked."""
    from forecast.jobs.life import versions_of

    found = versions_of(artifact)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    for one in found:
        mark = "live" if one["live"] else ""
        click.echo(f"{one['version']}  {mark:4}  {str(one['hash'])[:12]}  {one['note']}".rstrip())
    return 0
