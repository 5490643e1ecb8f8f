"""The command `synth`."""

from forecast.cli._command import Request
from forecast.cli._console import put, suggest
from forecast.cli._data import write
from forecast.tables.synthetic import SYNTHETIC_KINDS, synthesize


def run(request: Request) -> None:
    kind = request.kind
    if kind is None:
        width = max(map(len, SYNTHETIC_KINDS))
        put(*(f"{name:<{width}}  {text}" for name, text in SYNTHETIC_KINDS.items()))
        suggest("synth", next(iter(SYNTHETIC_KINDS)))
        return
    frame = synthesize(kind, series=request.series, length=request.length, seed=request.seed)
    write(frame, request.output)
    suggest("now", request.output or f"synth:{kind}")
