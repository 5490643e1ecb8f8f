"""Decide whether a fit can continue the networks of an earlier one, and prepare them for it."""

import numpy as np

from forecast.artifacts.format import artifact_hash, encode
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted
from forecast.models.shared.building import carry_weights
from forecast.panel.panel import Ids, series_index
from forecast.panel.schema import Schema
from forecast.panel.season import most_lookback
from forecast.training.fitting import Fitter
from forecast.training.plan import Candidate, WarmStart

SAME_SETTINGS = ("model", "params", "scaling", "transform", "loss")  # these must be equal
# fields of a schema that do not change the inputs of a network
FREE_SETTINGS = {
    "inferred",
    "dated_events",
    "series",
    "ignored",
    "categorical",
    "max_missing",
    "on_duplicate",
    "reading",
    "freq",
    "strict",
}


def find_start(fitted: Fitted, fitter: Fitter, schema: Schema, ids: Ids) -> WarmStart | str:
    """The networks of a fitted forecaster as the start of another fit, or why they cannot be."""
    inputs = fitter.inputs
    members = fitted.network_members
    candidates = [member.candidate for member in members]
    reason = _misfit(fitted, fitter, schema, candidates)
    if reason is not None:
        return reason
    index = series_index(fitted.history.ids, inputs.panel.ids)  # -1 is a new series
    first_unseen = np.append(fitted.trained_until, np.iinfo(np.int64).min)[index]
    first_held_out = inputs.panel.starts + fitter.split.train_end
    if (first_held_out < first_unseen).any():
        return "it has seen values that are held out now"
    earlier = series_index(fitted.history.ids, ids)
    weights = []
    for candidate, arrays in zip(candidates, fitted.base_weights, strict=True):
        carried = carry_weights(candidate, fitter.shape(candidate), arrays, earlier)
        if carried is None:
            return f"its {candidate.model} has another shape"
        weights.append(carried)
    digest = artifact_hash(encode(to_contents(fitted)))
    warm = 1 + max(member.warm for member in members)
    return WarmStart(candidates, weights, warm, digest)


def _misfit(
    fitted: Fitted, fitter: Fitter, schema: Schema, candidates: list[Candidate]
) -> str | None:
    config = fitted.config
    settings = fitter.settings
    networks = len(candidates)
    if not candidates:
        return "no network has a share in its forecasts"
    reads_alike = config.table.model_dump(exclude=FREE_SETTINGS) == schema.model_dump(
        exclude=FREE_SETTINGS
    )
    if not reads_alike or config.lags != fitter.inputs.lags:
        return "it reads tables differently, or sees other seasons"
    if config.horizon != fitter.inputs.horizon:
        return f"its horizon is {config.horizon}, not {fitter.inputs.horizon}"
    if settings.lookback not in (None, fitted.ensemble.lookback):
        return f"its lookback is {fitted.ensemble.lookback}, not {settings.lookback}"
    longest = fitter.inputs.panel.longest
    if max(candidate.lookback for candidate in candidates) > most_lookback(longest):
        return "its lookback is longer than the series are now"
    if settings.members not in (None, networks):
        return f"it has {networks} networks, not {settings.members}"
    earlier = fitted.settings()
    changed = [name for name in SAME_SETTINGS if getattr(earlier, name) != getattr(settings, name)]
    return f"it has another {changed[0]}" if changed else None
