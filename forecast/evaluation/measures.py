"""Tables of measures as frames: overall, by series, and by step of the horizon."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.evaluation.metrics import Axes, Outcome, error_units, measures, skill
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.tables.writing import Frame, frame_of

REFERENCE = "seasonal-naive"
"""The model that skill is measured against."""


@dataclass(frozen=True)
class Evaluation:
    panel: Panel
    schema: Schema
    actual: Numbers  # [series, origins, horizon], NaN where missing
    numbers: dict[str, Numbers]  # by model, [series, origins, horizon, 1 + 2 * intervals], NaN without a forecast
    intervals: tuple[float, ...]  # in percent
    scale: Numbers  # [series], the unit of MASE
    squared_scale: Numbers  # [series], the unit of RMSSE
    bound: Flags | None = None  # [series, origins, horizon], stock-outs, which count where forecasts lie below them

    def actual_of(self, model: str) -> Numbers:
        """The actual values that count for a model."""
        if self.bound is None:
            return self.actual
        return np.where(self.bound & ~(self.numbers[model][..., 0] < self.actual), np.nan, self.actual)


@dataclass(frozen=True)
class Measures:
    """How good forecasts were.

    Attributes
    ----------
    overall : a row for each model: ``model``, then ``skill`` (1 - MASE / MASE of seasonal naive: above 0 is better than
        repeating the last season) and the other measures. `smape` is in percent, `wape`, `wql` and `coverage_80` are
        shares, `width_80` is in the unit of `mase`
    by_series : the same for each series, its id columns first, series in the order of the input
    by_step : the same for each ``step`` of the horizon
    season : steps back of the seasonal naive forecast, and of the unit of `mase`; 1 is the value before
    """

    overall: Frame
    by_series: Frame
    by_step: Frame
    season: int


def in_sample_errors(panel: Panel, origin: Integers, season: int) -> tuple[Numbers, Numbers]:
    """Units of MASE and RMSSE from the values up to an origin, a grid position of each series: [series] both."""
    end = panel.offsets[:-1] + origin - panel.starts + 1
    before = panel.observed & (np.arange(panel.offsets[-1]) < np.repeat(end, np.diff(panel.offsets)))
    absolute = error_units(panel.values, before, panel.offsets, season)
    return absolute, error_units(panel.values, before, panel.offsets, season, power=2)


def measure_frames(evaluation: Evaluation) -> tuple[Frame, Frame, Frame]:
    panel, models = evaluation.panel, len(evaluation.numbers)
    ids = [np.repeat(np.array(names, object)[panel.order], models) for names in zip(*panel.ids, strict=True)]
    steps = np.arange(evaluation.actual.shape[2])
    return (
        frame_of(_measure(evaluation, None, np.zeros(1, np.int64))),
        frame_of(dict(zip(evaluation.schema.ids, ids, strict=True)) | _measure(evaluation, (1, 2), panel.order)),
        frame_of({"step": np.repeat(steps + 1, models), **_measure(evaluation, (0, 1), steps)}),
    )


def _measure(evaluation: Evaluation, axis: Axes, rows: Integers) -> dict[str, NDArray[Any]]:
    """The measures averaged over some axes: for each of `rows` of what they leave, a row of each model."""
    rest, models = (evaluation.intervals, evaluation.scale, evaluation.squared_scale), evaluation.numbers.items()
    outcomes = {model: Outcome(evaluation.actual_of(model), numbers, *rest) for model, numbers in models}
    by_model = {model: measures(outcome, axis) for model, outcome in outcomes.items()}
    reference = by_model[REFERENCE]["mase"]
    parts = [{"skill": skill(results["mase"], reference), **results} for results in by_model.values()]
    columns: dict[str, NDArray[Any]] = {"model": np.tile(np.array(list(by_model), object), len(rows))}
    for name in parts[0]:
        columns[name] = np.stack([np.atleast_1d(part[name])[rows] for part in parts], 1).ravel()  # [rows * models]
    return columns
