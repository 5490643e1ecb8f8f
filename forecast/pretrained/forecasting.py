"""Forecast windows by the pretrained network, whose weights ship with the package.

Nothing is trained or fetched.
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
from forecast.pretrained.features import TOKEN, Counts, Flags, Numbers, features_of, unsquashed
from forecast.pretrained.network import ARCHITECTURE, LEVELS, Weights, as_floats, layers_of, run

CONTEXTS = (64, 128, 256, 512, 1024)  # steps to which pasts are padded
CONTEXT = CONTEXTS[-1]  # steps of the past that its features rest on at most
NEWEST = 8 * TOKEN  # steps of the past that it reads
# the architecture that reads the whole past, of a series and of its mirror image, as `finetuned`
# does
MIRRORED = 1
HOURLY_SEASONS = (24, 48, 96)  # steps of a day whose series have a network of their own
FILE, HOURS_FILE = "weights.safetensors", "hours.safetensors"
CELLS_AT_ONCE = 1 << 16  # steps of windows that run together: what a cache holds
ROUND = 16  # of so many windows, or a multiple, products of matrices are fastest
FEW = 10.0  # mean of counts up to which a forecast is a whole number
MAX_SQUASHED = 25.0  # squashed value at most: 6,200 scales once it is unsquashed


@dataclass(frozen=True)
class Network:
    """A pretrained network.

    The bytes of its file, their sha256, its weights by name, and how it is run.
    """

    data: bytes
    hash: str
    weights: Weights
    layers: Weights  # as it is run
    architecture: int  # `MIRRORED` or `ARCHITECTURE`


def network_for(seasons: tuple[int, ...]) -> Network:
    """The network that ships for series of these seasons, the first one first."""
    return load_network(file=HOURS_FILE if seasons and seasons[0] in HOURLY_SEASONS else FILE)


@cache
def load_network(data: bytes | None = None, file: str = FILE) -> Network:
    """The network of these bytes, or the one that ships.

    `ArtifactRefused` for what is damaged or of another make.
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
    return Network(data, digest, weights, layers_of(weights), int(architecture))


def how_it_was_made(file: str = FILE) -> dict[str, Any]:
    """Hash, recipe, steps and version of the generator of a network that ships."""
    recipe = (Path(__file__).parent / file).with_suffix(".json")
    return dict(json.loads(recipe.read_text("utf-8")))


def forecast_quantiles(
    network: Network, values: Numbers, observed: Flags, horizon: int, seasons: tuple[int, ...]
) -> Numbers:
    """Quantiles of what comes after windows [windows, context], at `LEVELS`.

    [windows, horizon, levels].

    The newest value is the last, and some are observed in each window. Seasons are steps, the first
    one first; none or 1 for none.
    """
    # a forecast may depend on how far a window is padded, but not on the windows beside it
    missing = max(CONTEXT - values.shape[1], 0)
    padding = ((0, 0), (missing, 0))
    values = np.pad(values, padding)[:, -CONTEXT:]
    observed = np.pad(observed, padding)[:, -CONTEXT:]
    length = CONTEXT - observed.argmax(1)
    contexts = np.array(CONTEXTS)[np.searchsorted(CONTEXTS, length)]
    ahead = -(-horizon // TOKEN) * TOKEN
    result = np.zeros((len(values), horizon, len(LEVELS)))
    for context in np.unique(contexts).tolist():
        rows = np.flatnonzero(contexts == context)
        parts = -(-len(rows) * (context + ahead) // CELLS_AT_ONCE)
        at_once = -(-len(rows) // (parts * ROUND)) * ROUND
        for part in np.split(rows, range(at_once, len(rows), at_once)):
            past = values[part, -context:]
            seen = observed[part, -context:]
            spanned = window_seasons(seasons, length[part])
            quantiles = quantiles_of(network, past, seen, ahead, spanned)
            result[part] = quantiles[:, :horizon]
    counts = are_counts(values, observed)
    result[counts] = np.round(result[counts])
    return result


def window_seasons(seasons: tuple[int, ...], length: Counts) -> Counts:
    """[windows, 3] for `features_of`.

    First season that the past spans, second season, first one of the calendar.
    """
    real = [season for season in seasons if season > 1]
    first = real[0] if real else 1
    second = real[1] if len(real) > 1 else 0
    spanned = np.where(length < first, 1, first)
    second_spanned = np.where((spanned == 1) | (length < second), 0, second)
    calendar = np.full(len(length), first)
    return np.stack([spanned, second_spanned, calendar], 1)


def quantiles_of(
    network: Network, values: Numbers, observed: Flags, horizon: int, seasons: Counts
) -> Numbers:
    """Quantiles at `LEVELS`, [windows, horizon, levels], of whole tokens of past and horizon.

    Seasons are those of `features_of`, [windows, 3]. A series below zero is forecast by its mirror
    image.
    """
    if network.architecture == MIRRORED:
        quantiles = _one_way(network, values, observed, horizon, seasons)
        turned = _one_way(network, -values, observed, horizon, seasons)
        one_way = are_counts(values, observed)[:, None, None]
        both_ways = (quantiles - turned[..., ::-1]) / 2
        return np.where(one_way, quantiles, both_ways)
    sign = sign_of(values, observed)
    quantiles = _one_way(network, sign[:, None] * values, observed, horizon, seasons)
    below = sign < 0
    quantiles[below] = -quantiles[below, :, ::-1]
    return quantiles


def sign_of(values: Numbers, observed: Flags) -> Numbers:
    """-1 for windows whose values add up to less than zero, 1 for others, [windows]."""
    total = values.sum(1, where=observed)
    return np.where(total < 0, -1.0, 1.0)


def are_counts(values: Numbers, observed: Flags) -> Flags:
    """Whether windows hold small whole numbers only, none below 0, [windows]."""
    whole = (values == np.round(values)) & (values >= 0)
    total = values.sum(1, where=observed)
    few = total <= FEW * observed.sum(1)
    return np.asarray(few & whole.all(1, where=observed))


def _one_way(
    network: Network, values: Numbers, observed: Flags, horizon: int, seasons: Counts
) -> Numbers:
    newest = CONTEXT if network.architecture == MIRRORED else NEWEST
    features = features_of(values, observed, seasons, horizon, newest)
    squashed = run(network.layers, features).astype(np.float64)
    distance = unsquashed(np.clip(squashed, -MAX_SQUASHED, MAX_SQUASHED))
    location = features.location[:, None, None]
    return location + features.scale[:, None, None] * distance
