"""What a fit goes on from: the networks of an earlier one, where they fit what is trained now."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from forecast.artifacts.format import Arrays, artifact_hash, encode
from forecast.inference.fitted import Fitted, to_contents
from forecast.models.shared.model import Shape
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema
from forecast.panel.spans import most_lookback
from forecast.training.fitting import Fitter, Start
from forecast.training.inputs import numbers_in
from forecast.training.members import build
from forecast.training.plan import Candidate, Member

Ids = tuple[tuple[str, ...], ...]

KEPT = ("model", "params", "scaling", "transform", "loss")  # settings without which networks are other ones
# of a schema: they change nothing of what a network sees
FREE = {"series", "ignored", "categorical", "max_missing", "on_duplicate", "reading", "freq", "strict"}


def start_of(fitted: Fitted, fitter: Fitter, schema: Schema, ids: Ids) -> Start | str:
    """The networks of a fitted forecaster as a start for another fit, or why they are none.

    Parameters
    ----------
    fitter : of the new fit, made ready with the lookback and the transform of the earlier one
    schema : of the new fit
    ids : of the series of the new fit
    """
    base, inputs = fitted.base, fitter.inputs
    candidates = [Candidate(**one.model_dump(include=set(Candidate.model_fields))) for one in _members(fitted)]
    reason = _misfit(fitted, fitter, schema, candidates)
    if reason is not None or base is None:
        return reason or "it was saved without what a fit can go on from"
    own = numbers_in(fitted.history.ids, inputs.panel.ids)
    first_held_out = inputs.panel.starts + fitter.spans.train_end
    if (first_held_out < np.concatenate([[np.iinfo(np.int64).min], base.until])[own]).any():
        return "it has seen values that are held out now"
    numbers = numbers_in(fitted.history.ids, ids)
    weights = []
    for candidate, arrays in zip(candidates, base.weights, strict=True):
        carried = _carried(candidate, inputs.shape(candidate), arrays, numbers)
        if carried is None:
            return f"its {candidate.model} has another shape"
        weights.append(carried)
    digest = artifact_hash(encode(to_contents(fitted)))
    return Start(candidates, weights, 1 + max(one.warm for one in _members(fitted)), digest)


def _misfit(fitted: Fitted, fitter: Fitter, schema: Schema, candidates: list[Candidate]) -> str | None:
    config, settings, own, networks = fitted.config, fitter.settings, fitted.settings(), len(candidates)
    if not candidates:
        return "no network has a share in its forecasts"
    if config.table.model_dump(exclude=FREE) != schema.model_dump(exclude=FREE) or config.lags != fitter.inputs.lags:
        return "it reads tables in another way, or sees other seasons"
    if config.horizon != fitter.inputs.horizon:
        return f"its horizon is {config.horizon}, not {fitter.inputs.horizon}"
    if settings.lookback not in (None, config.lookback):
        return f"its lookback is {config.lookback}, not {settings.lookback}"
    if max(one.lookback for one in candidates) > most_lookback(int(fitter.inputs.panel.lengths.max())):
        return "its lookback is longer than the series are now"
    if settings.members not in (None, networks):
        return f"it has {networks} networks, not {settings.members}"
    changed = [name for name in KEPT if getattr(own, name) != getattr(settings, name)]
    return f"it has another {changed[0]}" if changed else None


def _carried(candidate: Candidate, shape: Shape, arrays: Arrays, numbers: Integers) -> dict[str, Tensor] | None:
    """Weights as a network of this shape has them; None where they do not fit.

    Parameters
    ----------
    numbers : [series], the number that each series had, 0 for one that was not there; what is kept by series moves
        with it
    """
    own = build(candidate, shape).state_dict()
    more = build(candidate, replace(shape, series=shape.series + 1)).state_dict()
    rows = np.concatenate([[0], numbers])
    carried = {
        name: torch.from_numpy(array[rows] if name in own and own[name].shape != more[name].shape else array).clone()
        for name, array in arrays.items()
    }
    alike = {name: (one.shape, one.dtype) for name, one in own.items()}
    return carried if {name: (one.shape, one.dtype) for name, one in carried.items()} == alike else None


def _members(fitted: Fitted) -> list[Member]:
    return [member for group in fitted.config.members() for member in group]
