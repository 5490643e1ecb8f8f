"""The pretrained network in numpy.

Gated recurrent units over tokens of eight steps, quantiles that cannot cross.

A GRU (Cho et al. 2014) in residual blocks with layer normalisation reads the tokens of the past,
then those of the future, in which the values are masked, and puts out quantiles for each step
ahead.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.pretrained.features import (
    OTHERS,
    STEP_FEATURES,
    SUMMARY_FEATURES,
    TOKEN,
    Features,
    Floats,
    Numbers,
)

# of features, layers and how they are run; weights of another one would forecast something else
ARCHITECTURE = 2
LEVELS = (0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.995)
MIDDLE = LEVELS.index(0.5)
SEASONAL = 5  # of the other first guesses, those of seasons
OUTPUTS = OTHERS + len(LEVELS)
TOKEN_INPUTS = TOKEN * STEP_FEATURES + SUMMARY_FEATURES + 2
MOST = 4.0  # units by which a gate may change a season
SMALL = 1e-5  # added to variances

Weights = dict[str, Floats]


def tokens_of(features: Features) -> Floats:
    """Inputs of each token, [windows, tokens, TOKEN_INPUTS].

    Its steps, the summary, whether and how far ahead.
    """
    windows, steps, width = features.steps.shape
    number = np.arange(steps // TOKEN) - features.coarse // TOKEN
    ahead = np.maximum(number - features.context // TOKEN + 1, 0)
    place = np.where(number < 0, -1, ahead > 0)  # older than the newest, newest or future
    tokens = np.empty((len(number), TOKEN_INPUTS, windows), np.float32)
    by_step = features.steps.transpose(1, 2, 0)
    tokens[:, : TOKEN * width] = by_step.reshape(len(number), -1, windows)
    tokens[:, TOKEN * width : -2] = features.summary.T
    tokens[:, -2] = place[:, None]
    tokens[:, -1] = np.log1p(ahead)[:, None] / 2
    return tokens.transpose(2, 0, 1)


def inputs_of(features: Features) -> tuple[Floats, Floats, Floats, Floats]:
    """Tokens, first guesses, what the gates multiply, and units, as the network takes them.

    The gates multiply other first guesses, [windows, horizon, OTHERS]. Seasons are limited to some
    units: a gate of 0.03 must not spoil a season that repeats exactly.
    """
    most = MOST * features.unit[:, None, None]
    gated = features.others.copy()
    seasons = gated[..., :SEASONAL]
    seasons[:] = most * np.tanh(seasons / most)
    return tokens_of(features), features.base, gated, features.unit


def layers_of(weights: Weights) -> Weights:
    """The layers as `run` multiplies by them, [outputs, inputs + 1].

    A column of biases stands for inputs of 1.

    What a normalisation multiplies and adds is part of the layer that reads it. Gates have the
    other sign, as the exponential of a logistic function takes them, and those two of a block read
    its inputs, 1, and its state.
    """

    def layer(name: str, normalised: str = "", part: str = "") -> Numbers:
        matrix = weights[f"{name}.weight{part}"].astype(np.float64)
        bias = weights[f"{name}.bias{part}"].astype(np.float64)
        if normalised:
            bias = bias + matrix @ weights[f"{normalised}.bias"]
            matrix = matrix * weights[f"{normalised}.weight"]
        return np.column_stack([matrix, bias])

    layers: dict[str, NDArray[Any]] = {
        "inputs": layer("inputs"),
        "outputs": layer("outputs", "after"),
    }
    blocks = {name.partition(".recurrent.")[0] for name in weights if ".recurrent." in name}
    for block in blocks:
        inputs = layer(f"{block}.recurrent", f"{block}.before", "_ih_l0")
        state = layer(f"{block}.recurrent", part="_hh_l0")
        state = np.roll(state, 1, axis=1)  # it stands after the 1
        new = 2 * len(inputs) // 3  # the gates come first
        gates = np.column_stack([inputs[:new], state[:new, 1:]])
        gates[:, inputs.shape[1] - 1] += state[:new, 0]  # both biases
        layers[f"{block}.gates"] = -gates
        layers[f"{block}.new"] = inputs[new:]
        layers[f"{block}.kept"] = state[new:]
        layers[f"{block}.wide"] = layer(f"{block}.wide", f"{block}.between")
        layers[f"{block}.narrow"] = layer(f"{block}.narrow")
    return as_floats(layers)


def run(layers: Weights, features: Features) -> Floats:
    """Quantiles of the steps ahead in scaled units, [windows, horizon, LEVELS], by the layers of a
    network.

    Tokens are computed one after another, each for all windows, [width, windows]: a cache holds
    what that takes.
    """
    tokens, base, gated, unit = inputs_of(features)
    matrix = layers["inputs"][:, :-1]
    bias = layers["inputs"][:, -1:]
    states = [matrix @ token + bias for token in tokens.transpose(1, 2, 0)]
    future = (features.coarse + features.context) // TOKEN
    blocks = sum(name.endswith(".wide") for name in layers)
    width = len(bias)
    # what a layer reads, 1, and the state of a block
    read = np.ones((2 * width + 1, len(base)), np.float32)
    state = read[width + 1 :]
    for block in range(blocks):
        state[:] = 0
        for number, token in enumerate(states):
            inputs = _normalised(token, read)
            token += _next(layers, f"blocks.{block}", read if number else inputs, state)
            if block < blocks - 1 or number >= future:  # nothing reads the others any more
                token += _wider(layers, f"blocks.{block}", _normalised(token, read))
    last = layers["outputs"]
    outputs = np.stack([last @ _normalised(token, read) for token in states[future:]])
    outputs = outputs.reshape(-1, OUTPUTS, len(base))
    return _quantiles(outputs, base.T, gated.transpose(1, 2, 0), unit)


def _quantiles(outputs: Floats, base: Floats, gated: Floats, unit: Floats) -> Floats:
    """Quantiles from outputs [horizon, OUTPUTS, windows].

    A middle, and distances that are never negative.
    """
    gates = outputs[:, :OTHERS]
    raw = outputs[:, OTHERS:]
    shifted = raw - 1
    softplus = np.log(np.exp(-np.abs(shifted)) + 1)
    softplus += np.maximum(shifted, 0)
    quantiles = softplus * unit
    quantiles[:, :MIDDLE] *= -1
    guess = base + np.einsum("how,how->hw", gates, gated)
    quantiles[:, MIDDLE] = guess + unit * raw[:, MIDDLE]
    for side in (slice(MIDDLE, None), slice(MIDDLE, None, -1)):
        quantiles[:, side] = np.cumsum(quantiles[:, side], 1)
    return np.asarray(quantiles.transpose(2, 0, 1))


def _normalised(states: Floats, read: Floats) -> Floats:
    """The states [width, windows] with a mean of 0 and a variance of 1, in `read`, and the 1 that
    follows there.
    """
    width = len(states)
    out = read[:width]
    shares = np.full(width, 1 / width, np.float32)
    np.subtract(states, shares @ states, out=out)
    variance = np.einsum("wn,wn->n", out, out) / np.float32(width)
    out /= np.sqrt(variance + np.float32(SMALL))
    return read[: width + 1]


def _next(layers: Weights, block: str, read: Floats, state: Floats) -> Floats:
    """The next state of a GRU, [width, windows], in the place of the one before, which `read` lacks
    where it is 0.
    """
    width = len(state)
    size = len(read)
    away = np.exp(layers[f"{block}.gates"][:, :size] @ read)  # of the reset, and of the update
    away += 1
    new = layers[f"{block}.kept"][:, : size - width] @ read[width:]
    new /= away[:width]
    new += layers[f"{block}.new"] @ read[: width + 1]
    np.tanh(new, out=new)
    state -= new
    state /= away[width:]
    state += new
    return state


def _wider(layers: Weights, block: str, read: Floats) -> Floats:
    """A wider layer whose outputs are multiplied by their logistic function, and a narrow one,
    [width, windows].
    """
    narrow = layers[f"{block}.narrow"]
    hidden = layers[f"{block}.wide"] @ read
    hidden /= np.exp(-hidden) + 1
    return narrow[:, :-1] @ hidden + narrow[:, -1:]


def as_floats(arrays: dict[str, NDArray[Any]]) -> Weights:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
