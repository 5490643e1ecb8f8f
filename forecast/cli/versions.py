"""List the versions of a store."""

from forecast.cli._console import put, put_json, say_next, style_options
from forecast.cli._help import OUTPUT, option, with_examples
from forecast.cli._store import Place, store_options


@with_examples(
    "forecast versions job.toml",
    "forecast versions --artifact shops",
)
@store_options
@option("--json", "as_json", heading=OUTPUT, is_flag=True, help="print a list of objects")
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
    else:
        for version in versions:
            mark = "live" if version["live"] else ""
            put(f"{version['version']}  {mark:4}  {str(version['hash'])[:12]}  {version['note']}".rstrip())
    say_next("inspect", *place.words)
    return 0
