"""Values of columns known in advance as they became known, such as forecasts of the weather by their time of issue."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

ALWAYS = -(2**62)  # in the place of an origin: the value was known at all of them


@dataclass(frozen=True)
class Vintages:
    """Values of cells of known columns, each from an origin on; a cell without any has one value at all origins.

    They ascend by slot, column and origin, and no three of these come twice.
    """

    slot: Integers  # [vintages]
    column: Integers  # place among the known columns
    available: Integers  # grid position of the first origin at which the value is known, or ALWAYS
    value: Numbers

    def __len__(self) -> int:
        return len(self.slot)

    def __getitem__(self, slots: Integers) -> "Vintages":
        """Those of ascending slots, which are numbered anew."""
        found = self.where(np.isin(self.slot, slots))
        return replace(found, slot=np.searchsorted(slots, found.slot))

    def where(self, chosen: Flags | Integers) -> "Vintages":
        return Vintages(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})

    def until(self, origins: Integers) -> "Vintages":
        """Those that were known at the origins [slots]."""
        return self.where(self.available <= origins[self.slot])

    def at(self, known: Numbers, origins: Integers) -> Numbers:
        """The known columns [slots, columns] as they were known at the origins [slots], NaN where nothing was yet."""
        result, then = self.blanked(known), self.until(origins)
        result[then.slot, then.column] = then.value  # of several the last one stays, which is the newest
        return result

    def blanked(self, known: Numbers) -> Numbers:
        """The known columns [slots, columns], NaN where a cell has vintages."""
        result = known.copy()
        result[self.slot, self.column] = np.nan
        return result


def joined(parts: list[Vintages]) -> Vintages:
    """Vintages of slots that follow each other."""
    return Vintages(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Vintages)})
