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

    The store is that of JOB, a pipeline file, or of --artifact.
    """
    from forecast.jobs.life import versions_of

    found = versions_of(place.store, place.own_ledger())
    found = [{**one, "note": place.shown(one["note"])} for one in found]
    if as_json:
        put_json(found, indent=2)
        return 0
    for one in found:
        mark = "live" if one["live"] else ""
        put(f"{one['version']}  {mark:4}  {str(one['hash'])[:12]}  {one['note']}".rstrip())
    return 0
