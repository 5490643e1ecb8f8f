"""Count what a campaign did and what was lost, and say it in one line."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import click

SHOWN = 50  # losses that are described


class Counts:
    """What was done, by name, and what was lost."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.lost: list[str] = []

    def lose(self, what: str) -> None:
        """Note a loss, and describe it at once: a campaign is long."""
        self.lost.append(what)
        if len(self.lost) <= SHOWN:
            click.echo(f"lost: {what}", err=True)


@contextmanager
def campaign(name: str) -> Iterator[Counts]:
    """Count, print one line at the end, and leave with 1 where anything was lost."""
    counts, begun = Counts(), time.monotonic()
    yield counts
    said = ", ".join(f"{number:,} {what}" for what, number in counts.done.items())
    click.echo(f"{name}: {said}; {len(counts.lost):,} lost; {time.monotonic() - begun:.0f} s")
    if counts.lost or not counts.done:
        sys.exit(1)
