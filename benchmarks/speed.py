"""What can be timed, each as lines of a report with ratios of one run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import (
    speed_accuracy,
    speed_install,
    speed_now,
    speed_panels,
    speed_predict,
    speed_sums,
)
from benchmarks.methods import Method


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes
    ----------
    pairs : measurements of ours and of what it is compared with, in turns; None: each kind's own number
    series : numbers of series of panels
    models : those that forecast panels
    methods : those that a bare fit is compared with
    peers : those that are installed, one of each package
    folder : with M4 hourly
    """

    pairs: int | None
    series: Sequence[int]
    models: Sequence[str]
    methods: Sequence[Method]
    peers: Sequence[Method]
    folder: Path | None


def speed_lines(what: str, asked: Asked) -> Iterator[str]:
    """Lines of the report on one of `KINDS`, or on all of them."""
    for kind, lines in KINDS.items():
        if what in (kind, ALL):
            if what == ALL:
                yield f"## {kind}"
            yield from lines(asked)


def _steps(asked: Asked) -> Iterator[str]:
    from benchmarks.speed_steps import measure_pairs  # imports torch

    found = measure_pairs(asked.pairs or 60)
    yield f"ours {np.median(found.ours):.1f} ms a step, plain loop {np.median(found.plain):.1f} ms"
    yield found.ratio_text()


def _now(asked: Asked) -> Iterator[str]:
    found = speed_now.measure_start(asked.pairs or 9)
    yield f"forecast now {np.median(found.ours):.2f} s, import torch {np.median(found.plain):.2f} s"
    yield found.ratio_text()
    if asked.folder is not None:
        yield f"forecast now on M4 hourly {speed_now.measure_m4(asked.folder):.1f} s"


def _predict(asked: Asked) -> Iterator[str]:
    for name, one in speed_predict.measure_predict(asked.pairs or 9).items():
        yield f"{name}: {np.median(one.ours):.2f} s, import torch {np.median(one.plain):.2f} s"
        yield f"  {one.ratio_text()}"


def _panels(asked: Asked) -> Iterator[str]:
    return speed_panels.panel_lines(list(asked.models), list(asked.series), asked.pairs or 1)


def _sums(asked: Asked) -> Iterator[str]:
    return speed_sums.sum_lines(list(asked.models), list(asked.series), asked.pairs or 1)


def _install(asked: Asked) -> Iterator[str]:
    yield from speed_install.size_lines(asked.peers)
    yield from speed_install.import_lines(asked.peers, asked.pairs or 5)


def _accuracy(asked: Asked) -> Iterator[str]:
    if asked.folder is None:
        yield "left out: --data names no folder with M4 hourly"
        return
    yield from speed_accuracy.accuracy_lines(asked.methods, asked.folder)


ALL = "all"
KINDS: dict[str, Callable[[Asked], Iterator[str]]] = {
    "steps": _steps,
    "now": _now,
    "predict": _predict,
    "panels": _panels,
    "sums": _sums,
    "install": _install,
    "accuracy": _accuracy,
}
