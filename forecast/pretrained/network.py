"""Run the pretrained network in numpy.

The network consists of residual blocks, each with layer normalisation and a GRU (Cho et al. 2014).
It reads tokens of eight steps: first those of the past, then those of the future, in which values
are masked. For each step ahead it returns quantiles, which cannot cross.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.panel.panel import Floats, Numbers
from forecast.pretrained.features import (
    OTHERS,
    STEP_FEATURES,
    SUMMARY_FEATURES,
    TOKEN_STEPS,
    Features,
)

# number of the architecture: features, layers and how they are run; weights of another one would
# forecast something else
ARCHITECTURE = 2
LEVELS = (0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.995)
MIDDLE = LEVELS.index(0.5)
SEASONAL = 5  # so many of `Features.others`, the first ones, are guesses from seasons
OUTPUTS = OTHERS + len(LEVELS)
TOKEN_INPUTS = TOKEN_STEPS * STEP_FEATURES + SUMMARY_FEATURES + 2
# a guess from a season may change the forecast by at most so many units, at a gate of 1
MOST_CHANGE = 4.0
SMALL = 1e-5  # added to variances, so that none is 0

Weights = dict[str, Floats]


def build_tokens(features: Features) -> Floats:
    """Return the inputs of each token, [windows, tokens, TOKEN_INPUTS].

    They are the features of its steps, the summary of the window, whether the token is coarse, past
    or future, and how far ahead it lies.
    """
    windows, steps, width = features.steps.shape
    number = np.arange(steps // TOKEN_STEPS) - features.coarse // TOKEN_STEPS
    ahead = np.maximum(number - features.context // TOKEN_STEPS + 1, 0)
    place = np.where(number < 0, -1, ahead > 0)  # -1 for coarse steps, 0 for the past, 1 ahead
    tokens = np.empty((len(number), TOKEN_INPUTS, windows), np.float32)
    by_step = features.steps.transpose(1, 2, 0)
    of_steps = TOKEN_STEPS * width
    tokens[:, :of_steps] = by_step.reshape(len(number), -1, windows)
    tokens[:, of_steps:-2] = features.summary.T
    tokens[:, -2] = place[:, None]
    tokens[:, -1] = np.log1p(ahead)[:, None] / 2
    return tokens.transpose(2, 0, 1)


def build_inputs(features: Features) -> tuple[Floats, Floats, Floats, Floats]:
    """Return the inputs of the network: tokens, first guesses, other guesses, and units.

    The gates of the network multiply the other guesses, [windows, horizon, OTHERS]. Guesses from
    seasons are limited to some units, so that a gate of 0.03 cannot spoil a season that repeats
    exactly.
    """
    most = MOST_CHANGE * features.unit[:, None, None]
    gated = features.others.copy()
    seasons = gated[..., :SEASONAL]
    seasons[:] = most * np.tanh(seasons / most)
    return build_tokens(features), features.base, gated, features.unit


def convert_weights(weights: Weights) -> Weights:
    """Convert weights to the matrices that `run` multiplies by, [outputs, inputs + 1].

    The last column of a matrix is the bias, whose input is 1. The scale and shift of a
    normalisation are merged into the layer that reads it. Gates are stored with the opposite sign,
    as the logistic function takes the exponential of minus its argument. The two gates of a block
    are one matrix, which reads the inputs of the block, 1, and its state.
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
        state = np.roll(state, 1, axis=1)  # in `read`, the state follows the 1: bias first
        new = 2 * len(inputs) // 3  # rows before this one belong to the two gates
        gates = np.column_stack([inputs[:new], state[:new, 1:]])
        gates[:, inputs.shape[1] - 1] += state[:new, 0]  # add the two biases
        layers[f"{block}.gates"] = -gates
        layers[f"{block}.new"] = inputs[new:]
        layers[f"{block}.kept"] = state[new:]
        layers[f"{block}.wide"] = layer(f"{block}.wide", f"{block}.between")
        layers[f"{block}.narrow"] = layer(f"{block}.narrow")
    return as_floats(layers)


def run(layers: Weights, features: Features) -> Floats:
    """Run the layers of a network; return quantiles in scaled units, [windows, horizon, LEVELS].

    Tokens are computed one after another, each for all windows, [width, windows]; what this needs
    fits into a processor's cache.
    """
    tokens, base, gated, unit = build_inputs(features)
    matrix = layers["inputs"][:, :-1]
    bias = layers["inputs"][:, -1:]
    states = [matrix @ token + bias for token in tokens.transpose(1, 2, 0)]
    future = (features.coarse + features.context) // TOKEN_STEPS
    blocks = sum(name.endswith(".wide") for name in layers)
    width = len(bias)
    # rows of `read`: the inputs of a layer, a row of 1, and the state of a block
    read = np.ones((2 * width + 1, len(base)), np.float32)
    state = read[width + 1 :]
    for block in range(blocks):
        state[:] = 0
        for number, token in enumerate(states):
            inputs = _normalise(token, read)
            token += _next(layers, f"blocks.{block}", read if number else inputs, state)
            if block < blocks - 1 or number >= future:  # past tokens of the last block are unused
                token += _wider(layers, f"blocks.{block}", _normalise(token, read))
    last = layers["outputs"]
    outputs = np.stack([last @ _normalise(token, read) for token in states[future:]])
    outputs = outputs.reshape(-1, OUTPUTS, len(base))
    return _quantiles(outputs, base.T, gated.transpose(1, 2, 0), unit)


def _quantiles(outputs: Floats, base: Floats, gated: Floats, unit: Floats) -> Floats:
    """Compute quantiles, [windows, horizon, LEVELS], from outputs [horizon, OUTPUTS, windows].

    They are a median, and distances between neighbours, which are never negative.
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


def _normalise(states: Floats, read: Floats) -> Floats:
    """Normalise states [width, windows] to mean 0 and variance 1, and write them into `read`.

    Returns these rows of `read` and the row of 1 that follows them.
    """
    width = len(states)
    out = read[:width]
    shares = np.full(width, 1 / width, np.float32)
    np.subtract(states, shares @ states, out=out)
    variance = np.einsum("wn,wn->n", out, out) / np.float32(width)
    out /= np.sqrt(variance + np.float32(SMALL))
    return read[: width + 1]


def _next(layers: Weights, block: str, read: Floats, state: Floats) -> Floats:
    """Compute the next state of a GRU, [width, windows], and write it into `state`.

    `read` holds the inputs, 1 and the state; the state may be left out if it is 0.
    """
    width = len(state)
    size = len(read)
    away = np.exp(layers[f"{block}.gates"][:, :size] @ read)  # reset gates, then update gates
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
    """Compute a wide layer with SiLU activation and a narrow one after it, [width, windows]."""
    narrow = layers[f"{block}.narrow"]
    hidden = layers[f"{block}.wide"] @ read
    hidden /= np.exp(-hidden) + 1
    return narrow[:, :-1] @ hidden + narrow[:, -1:]


def as_floats(arrays: dict[str, NDArray[Any]]) -> Weights:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
