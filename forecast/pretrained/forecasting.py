"""Stand-in for the pretrained network: the last season repeated, widths from differences."""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
_SHIPPED = b"stand-in of the pretrained network\n"


@dataclass(frozen=True)
class Network:
    data: bytes
    bias: float

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


@cache
def load_network(data: bytes | None = None) -> Network:
    data = _SHIPPED if data is None else data
    if not data.startswith(b"stand-in"):
        raise ValueError("it is no pretrained network")
    return Network(data, float(len(data) - len(_SHIPPED)))


def forecast_quantiles(
    network: Network,
    values: Numbers,
    observed: NDArray[np.bool_],
    horizon: int,
    seasons: tuple[int, ...],
    levels: tuple[float, ...],
) -> Numbers:
    from statistics import NormalDist

    season = seasons[0] if seasons else 1
    context = values.shape[1]
    order = np.where(observed, np.arange(context), -1)
    last = np.maximum.accumulate(order, 1)
    filled = np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), 1), 0.0)
    season = min(season, context)
    points = filled[:, np.arange(horizon) % season - season]
    first = np.where(observed.any(1), observed.argmax(1), context)
    inside = np.arange(season, context) >= first[:, None] + season
    changes = np.where(inside, np.abs(filled[:, season:] - filled[:, :-season]), 0.0)
    width = changes.sum(1) / np.maximum(inside.sum(1), 1)
    deviates = np.array([NormalDist().inv_cdf(level) for level in levels])
    size = np.abs(values).max(1, initial=0) * network.bias
    return np.asarray(points[..., None] + size[:, None, None] + width[:, None, None] * deviates)
