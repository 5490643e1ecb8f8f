"""Two things measured in turns, so that whatever else the machine does slows both."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pairs:
    """Times of ours, and of the plain one right after it, [pairs]."""

    ours: NDArray[np.float64]
    plain: NDArray[np.float64]

    @property
    def ratio(self) -> tuple[float, float, float]:
        """Median of the paired ratios ours / plain, with its lower and upper quartile."""
        low, middle, high = np.quantile(self.ours / self.plain, [0.25, 0.5, 0.75])
        return float(middle), float(low), float(high)

    def ratio_text(self) -> str:
        """The ratio as a line."""
        middle, low, high = self.ratio
        return f"ratio {middle:.2f}, quartiles {low:.2f} to {high:.2f}, of {len(self.ours)} pairs"
