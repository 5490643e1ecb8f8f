"""Carry the weights of an earlier fit over to networks for other series."""

from dataclasses import replace

import numpy as np

from forecast.models.shared.building import build, to_arrays
from forecast.models.shared.model import Shape
from forecast.panel.panel import Integers
from forecast.training.context import Weights
from forecast.training.plan import Candidate
from forecast.training.resume import layout_of


def carry_weights(candidate: Candidate, shape: Shape, weights: Weights, earlier: Integers) -> Weights | None:
    """The weights as a network of this shape has them; None where they do not fit.

    Weights of a series move with it: `earlier` [series] is the series index that each series had in the earlier fit.
    """
    expected = to_arrays(build(candidate, shape).state_dict())
    more = to_arrays(build(candidate, replace(shape, series=shape.series + 1)).state_dict())
    by_series = {name for name, array in expected.items() if array.shape != more[name].shape}
    rows = np.concatenate([[0], earlier])
    carried = {name: array[rows] if name in by_series else array for name, array in weights.items()}
    return carried if layout_of(carried) == layout_of(expected) else None
