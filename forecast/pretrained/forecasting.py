"""Forecast windows with the pretrained network.

Its weights ship with the package: nothing is trained or downloaded.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from forecast.errors import ArtifactRefused
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.pretrained.features import TOKEN_STEPS, compute_features, unsquash
from forecast.pretrained.network import (
    ARCHITECTURE,
    LEVELS,
    Weights,
    as_floats,
    convert_weights,
    run,
)

CONTEXTS = (64, 128, 256, 512, 1024)  # the past of a window is padded to one of these lengths
NETWORK_CONTEXT = CONTEXTS[-1]  # features depend on at most so many steps of the past
NEWEST_STEPS = 8 * TOKEN_STEPS  # the network reads so many newest steps one by one
# the architecture that reads all steps of the past one by one, and forecasts both a series and its
# mirror image, as `finetuned` does
MIRRORED = 1
HOURLY_SEASONS = (24, 48, 96)  # steps of a day whose series have a network of their own
FILE, HOURS_FILE = "weights.safetensors", "hours.safetensors"
NETWORK_CELLS_AT_ONCE = (
    1 << 16
)  # at most so many steps of windows run together: they fit into a cache
ROUND = 16  # matrix products are fastest if the number of windows is a multiple of this
# forecasts of counts are whole numbers if the mean of the counts is at most this
LARGEST_COUNT_MEAN = 10.0
MAX_SQUASHED = 25.0  # largest squashed value; unsquashed it is 6,200 scales


@dataclass(frozen=True)
class Network:
    """A pretrained network."""

    data: bytes  # the bytes of its file
    hash: str  # the sha256 of these bytes
    weights: Weights  # the weights by name
    layers: Weights  # the weights as `run` uses them
    architecture: int  # `MIRRORED` or `ARCHITECTURE`


def network_for(seasons: tuple[int, ...]) -> Network:
    """Return the network that ships for series with these seasons, the first season first."""
    is_hourly = seasons and seasons[0] in HOURLY_SEASONS
    return load_network(file=HOURS_FILE if is_hourly else FILE)


@cache
def load_network(data: bytes | None = None, file: str = FILE) -> Network:
    """Load the network from these bytes, or from a file that ships.

    Raises `ArtifactRefused` if it is damaged or has an unknown architecture.
    """
    shipped = data is None
    if data is None:
        data = (Path(__file__).parent / file).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if shipped and digest != how_it_was_made(file)["sha256"]:
        problem = f"{file} of the package has another hash than recorded"
        raise ArtifactRefused(f"the pretrained network is damaged: {problem}")
    try:
        weights = as_floats(load(data))
    except (SafetensorError, ValueError) as error:
        raise ArtifactRefused(f"the pretrained network cannot be read: {error}") from None
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])  # that of a valid file
    architecture = header.get("__metadata__", {}).get("architecture")
    if architecture not in (str(MIRRORED), str(ARCHITECTURE)):
        problem = "the pretrained network is of another release, which forecasts otherwise"
        raise ArtifactRefused(problem)
    return Network(data, digest, weights, convert_weights(weights), int(architecture))


def how_it_was_made(file: str = FILE) -> dict[str, Any]:
    """Return how a shipped network was made: hash, recipe, training steps, generator version."""
    recipe = (Path(__file__).parent / file).with_suffix(".json")
    return dict(json.loads(recipe.read_text("utf-8")))


def forecast_quantiles(
    network: Network, values: Numbers, observed: Flags, horizon: int, seasons: tuple[int, ...]
) -> Numbers:
    """Forecast quantiles at `LEVELS` after windows [windows, context].

    Returns [windows, horizon, quantile levels]. The newest value of a window is the last; each
    window must have an observed value. Seasons are lengths in steps, the first season first; () or
    (1,) means no season.
    """
    # a forecast may depend on how far a window is padded, but not on the windows beside it
    missing = max(NETWORK_CONTEXT - values.shape[1], 0)
    padding = ((0, 0), (missing, 0))
    values = np.pad(values, padding)[:, -NETWORK_CONTEXT:]
    observed = np.pad(observed, padding)[:, -NETWORK_CONTEXT:]
    length = NETWORK_CONTEXT - observed.argmax(1)
    contexts = np.array(CONTEXTS)[np.searchsorted(CONTEXTS, length)]
    ahead = -(-horizon // TOKEN_STEPS) * TOKEN_STEPS
    result = np.zeros((len(values), horizon, len(LEVELS)))
    for context in np.unique(contexts).tolist():
        rows = np.flatnonzero(contexts == context)
        parts = -(-len(rows) * (context + ahead) // NETWORK_CELLS_AT_ONCE)
        at_once = -(-len(rows) // (parts * ROUND)) * ROUND
        for part in np.split(rows, range(at_once, len(rows), at_once)):
            past = values[part, -context:]
            seen = observed[part, -context:]
            spanned = window_seasons(seasons, length[part])
            quantiles = predict_quantiles(network, past, seen, ahead, spanned)
            result[part] = quantiles[:, :horizon]
    counts = are_counts(values, observed)
    result[counts] = np.round(result[counts])
    return result


def window_seasons(seasons: tuple[int, ...], length: Integers) -> Integers:
    """Return the seasons of windows that `compute_features` takes, [windows, 3].

    They are the first season if the past spans it, the second season if the past spans it, and the
    first season of the calendar in any case.
    """
    real = [season for season in seasons if season > 1]
    first = real[0] if real else 1
    second = real[1] if len(real) > 1 else 0
    spanned = np.where(length < first, 1, first)
    second_spanned = np.where((spanned == 1) | (length < second), 0, second)
    calendar = np.full(len(length), first)
    return np.stack([spanned, second_spanned, calendar], 1)


def predict_quantiles(
    network: Network, values: Numbers, observed: Flags, horizon: int, seasons: Integers
) -> Numbers:
    """Forecast quantiles at `LEVELS`, [windows, horizon, quantile levels].

    Past and horizon are multiples of a token. Seasons are those of `compute_features`, [windows, 3]. A
    series that lies mostly below zero is forecast by its mirror image.
    """
    if network.architecture == MIRRORED:
        quantiles = _one_way(network, values, observed, horizon, seasons)
        turned = _one_way(network, -values, observed, horizon, seasons)
        one_way = are_counts(values, observed)[:, None, None]
        both_ways = (quantiles - turned[..., ::-1]) / 2
        return np.where(one_way, quantiles, both_ways)
    sign = find_sign(values, observed)
    mostly_above = sign[:, None] * values
    quantiles = _one_way(network, mostly_above, observed, horizon, seasons)
    below = sign < 0
    quantiles[below] = -quantiles[below, :, ::-1]
    return quantiles


def find_sign(values: Numbers, observed: Flags) -> Numbers:
    """Return -1 for windows whose values add up to less than zero, and 1 for others, [windows]."""
    total = values.sum(1, where=observed)
    return np.where(total < 0, -1.0, 1.0)


def are_counts(values: Numbers, observed: Flags) -> Flags:
    """Whether windows hold only whole numbers, which are not negative and small on average."""
    whole = values == np.round(values)
    whole &= values >= 0
    total = values.sum(1, where=observed)
    few = total <= LARGEST_COUNT_MEAN * observed.sum(1)
    return np.asarray(few & whole.all(1, where=observed))


def _one_way(
    network: Network, values: Numbers, observed: Flags, horizon: int, seasons: Integers
) -> Numbers:
    newest = NETWORK_CONTEXT if network.architecture == MIRRORED else NEWEST_STEPS
    features = compute_features(values, observed, seasons, horizon, newest)
    squashed = run(network.layers, features).astype(np.float64)
    distance = unsquash(np.clip(squashed, -MAX_SQUASHED, MAX_SQUASHED))
    location = features.location[:, None, None]
    return location + features.scale[:, None, None] * distance
