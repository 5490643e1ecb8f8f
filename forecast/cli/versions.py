"""The command `versions`."""

from forecast.cli._command import Request
from forecast.cli._console import put, put_json, suggest
from forecast.cli._named_store import named_store
from forecast.jobs.administration import list_versions


def run(request: Request) -> None:
    with named_store(request.job, request.artifact) as store:
        versions = list_versions(store.folder, store.pipeline)
        for version in versions:
            version["note"] = store.redact(version["note"])
        if request.as_json:
            put_json(versions, indent=2)
        else:
            for version in versions:
                live = "live" if version["live"] else ""
                line = f"{version['version']}  {live:4}  {version['hash'][:12]}  {version['note']}"
                put(line.rstrip())
        suggest("inspect", *store.words)
