"""Make a panel ready for networks and baselines: target transformed, covariates standardised, windows indexed."""

from dataclasses import dataclass

from forecast.panel.building import calendar_of
from forecast.panel.covariates import Statistics, make_columns
from forecast.panel.panel import Ids, Integers, Panel, series_index
from forecast.panel.schema import Schema
from forecast.panel.transforms import transformed
from forecast.panel.windows import Windows
from forecast.settings import ScalingName


@dataclass(frozen=True)
class Inputs:
    """A panel made ready for any network and any baseline; nothing is cut yet.

    Attributes
    ----------
    panel : its values transformed
    schema : how the table was read
    lags : season lengths whose lagged values the networks see
    levels : quantile levels of the outputs
    series : number of series of the fit
    series_index : [series], see `series_index`
    arrays : the windows, those of a lookback of 1, as arrays of numpy
    """

    panel: Panel
    schema: Schema
    lags: tuple[int, ...]
    levels: tuple[float, ...]
    series: int
    series_index: Integers
    arrays: Windows

    @property
    def horizon(self) -> int:
        """Steps that the networks forecast."""
        return self.arrays.horizon

    def windows(self, lookback: int, scaling: ScalingName = "standard") -> Windows:
        """The windows with this lookback and scaling, as arrays of numpy."""
        return self.arrays.cut(lookback, scaling)


def make_inputs(
    panel: Panel,
    schema: Schema,
    statistics: Statistics,
    *,
    power: float,
    lags: tuple[int, ...],
    levels: tuple[float, ...],
    ids: Ids,
    horizon: int,
) -> Inputs:
    """Make a panel ready.

    Parameters
    ----------
    power : exponent of the target's transform
    ids : of the series of the fit
    horizon : steps that the networks forecast
    """
    columns = make_columns(panel, schema, statistics, calendar_of(schema))
    changed, index = transformed(panel, power), series_index(ids, panel.ids)
    arrays = Windows(changed, columns, 1, horizon, lags, "standard", index)
    return Inputs(changed, schema, lags, levels, len(ids), index, arrays)
