"""What series and windows a network is pretrained on: all kinds of records, or those of one frequency alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from workshop.kinds import KINDS
from workshop.seasons import HOURS, LENGTHS, MONTHS


@dataclass(frozen=True)
class Specialist:
    seasons: Mapping[int, int] = field(
        default_factory=lambda: LENGTHS
    )  # and how often each is drawn
    kinds: Mapping[str, int] = field(
        default_factory=dict
    )  # shares that differ from those of `KINDS`
    sizes: tuple[tuple[int, int, float], ...] = (
        (128, 256, 0.42),
        (384, 128, 0.3),
        (1024, 64, 0.28),
    )  # steps of the past, windows of a batch, and how often
    horizons: tuple[tuple[int, float], ...] = ((16, 0.25), (32, 0.35), (64, 0.32), (128, 0.08))
    shortened: float = 0.65  # share of pasts that are shorter than the window

    def shares(self) -> dict[str, int]:
        """How often series are of each kind."""
        return {name: share for name, (share, _) in KINDS.items()} | dict(self.kinds)


SPECIALISTS = {
    "all": Specialist(),
    "hours": Specialist(
        seasons=HOURS,
        kinds={"hours": 200},
        sizes=((512, 112, 0.5), (1024, 64, 0.5)),
        horizons=((24, 0.25), (32, 0.15), (48, 0.4), (64, 0.2)),
        shortened=0.3,
    ),
    # months, quarters and years: many pasts are as short as those of official statistics
    "months": Specialist(
        seasons=MONTHS,
        sizes=((64, 512, 0.45), (128, 256, 0.4), (384, 128, 0.15)),
        horizons=((8, 0.4), (16, 0.2), (24, 0.35), (40, 0.05)),
    ),
}
