"""Write a synthetic series as CSV."""

from forecast.cli._command import Request
from forecast.cli._console import put, suggest
from forecast.cli._data import write
from forecast.tables.synthetic import KINDS, synthesize


def run(request: Request) -> None:
    kind, output = request.kind, request.output
    if kind is None:
        width = max(map(len, KINDS))
        put(*(f"{name:<{width}}  {text}" for name, text in KINDS.items()))
        suggest("synth", next(iter(KINDS)))
        return
    write(synthesize(kind, series=request.series, length=request.length, seed=request.seed), output)
    suggest("now", f"synth:{kind}" if output is None else output)
