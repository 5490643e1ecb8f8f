"""List the versions of a store."""

import click

from forecast.cli._console import put, put_json, style_options
from forecast.cli._store import Place, store_options


@click.command()
@store_options
@click.option("--json", "as_json", is_flag=True, help="print a list of objects")
@style_options
def command(place: Place, as_json: bool) -> int:
    """List the versions of a store, oldest first; the live one is marked.

    JOB, a pipeline file, or --artifact names the store.
    """
    from forecast.jobs.administration import versions_of

    versions = versions_of(place.store, place.own_ledger())
    versions = [{**version, "note": place.shown(version["note"])} for version in versions]
    if as_json:
        put_json(versions, indent=2)
        return 0
    for version in versions:
        mark = "live" if version["live"] else ""
        put(f"{version['version']}  {mark:4}  {str(version['hash'])[:12]}  {version['note']}".rstrip())
    return 0
