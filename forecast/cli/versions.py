"""List the versions of a store."""

from forecast.cli._console import put, put_json, suggest
from forecast.cli._store import place_of
from forecast.jobs.administration import versions_of


def run(job: str | None, artifact: str | None, as_json: bool) -> None:
    """Print a line for each version, or a list of objects."""
    with place_of(job, artifact) as place:
        versions = versions_of(place.store, place.sink_ledger())
        versions = [{**version, "note": place.shown(version["note"])} for version in versions]
        if as_json:
            put_json(versions, indent=2)
        else:
            for version in versions:
                mark = "live" if version["live"] else ""
                put(f"{version['version']}  {mark:4}  {str(version['hash'])[:12]}  {version['note']}".rstrip())
        suggest("inspect", *place.words)
