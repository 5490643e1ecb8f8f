"""Write a synthetic series as CSV."""

from forecast.cli._console import put, suggest
from forecast.cli._data import write
from forecast.tables.synthetic import KINDS, synthesize


def run(kind: str | None, series: int, length: int | None, seed: int, output: str | None) -> None:
    """Write a series of a kind, or list the kinds."""
    if kind is None:
        width = max(map(len, KINDS))
        put(*(f"{name:<{width}}  {text}" for name, text in KINDS.items()))
        suggest("synth", next(iter(KINDS)))
        return
    write(synthesize(kind, series=series, length=length, seed=seed), output)
    suggest("now", f"synth:{kind}" if output is None else output)
