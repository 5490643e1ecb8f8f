"""The content of the files of a version: arrays with shapes and bounds, and scaler.json."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from forecast.artifacts.specs import Spec, of_values
from forecast.panel.panel import BEFORE_ALL_ORIGINS, Flags, Floats, Integers, Numbers
from forecast.settings import Stored
from forecast.windows.inputs import Statistics

Size = Annotated[float, Field(ge=0, strict=True)]


class Scaler(Stored):
    """The fitted statistics of scaler.json."""

    statistics: Statistics
    level: list[Size]
    seasonal_error: list[Size | None]
    effects: dict[str, Any] | None = None
    column_effects: dict[str, Any] | None = None
    closed: dict[str, Any] | None = None


@dataclass(frozen=True)
class HistoryArrays:
    """The panel that a forecaster holds as its history, without ids and vintages."""

    order: Annotated[Integers, Spec("series", low=0, below="series")]
    offsets: Annotated[Integers, Spec("series+1", low=0)]
    starts: Annotated[Integers, Spec("series")]
    values: Annotated[Numbers, of_values("slots")]
    observed: Annotated[Flags, Spec("slots")]
    known: Annotated[Numbers, of_values("slots known", nan=True)]
    past: Annotated[Numbers, of_values("slots past", nan=True)]
    static: Annotated[Numbers, of_values("series static", nan=True)]
    spread: Annotated[Floats, of_values("slots", low=0)]
    lowest: Annotated[Numbers, Spec("series", -np.inf, np.inf)]
    counted: Annotated[Flags, Spec("series")]
    shut: Annotated[Flags, Spec("slots")]


@dataclass(frozen=True)
class VintageArrays:
    """The vintages of a history."""

    slot: Annotated[Integers, Spec("vintages", low=0, below="slots")]
    column: Annotated[Integers, Spec("vintages", low=0, below="known")]
    available: Annotated[Integers, Spec("vintages", BEFORE_ALL_ORIGINS, -BEFORE_ALL_ORIGINS)]
    value: Annotated[Numbers, of_values("vintages")]


@dataclass(frozen=True)
class JointArrays:
    """The joint errors of all series."""

    errors: Annotated[NDArray[np.uint8], Spec("origins series horizon")]
    stride: Annotated[Integers, Spec("1", low=1)]


@dataclass(frozen=True)
class CalibrationArrays:
    """The weights of an ensemble and its calibration."""

    shares: Annotated[Floats, Spec("series+1 components", low=0)]
    errors: Annotated[Floats, Spec("components horizon levels")]
    step_shares: Annotated[Floats, Spec("components", 0, 1)]
    margins: Annotated[Floats, Spec("horizon levels")]
    coverage: Annotated[Floats, Spec("levels")]
    relative: Annotated[Floats, Spec("horizon levels")]
    growth: Annotated[Floats, Spec("series+1")]
    windows: Annotated[Integers, Spec("1", low=0)]
    mean_share: Annotated[Floats, Spec("1", 0, 1)]
    mean_weight: Annotated[Floats, Spec("1", 0, 1)]
    tied: Annotated[Floats, Spec("1", 0, 1)]
    rests: Annotated[Floats, Spec("1", 0, 1)]
    largest: Annotated[Floats, Spec("1", 0, np.inf)]
    slope: Annotated[Floats, Spec("1", 0, 1)]
    mean_roughness: Annotated[Floats, Spec("1")]
    step_share: Annotated[Floats, Spec("1", 0, 1)]
