"""The pretrained network in numpy: gated recurrent units over tokens of eight steps, quantiles that cannot cross.

A GRU (Cho et al. 2014) in residual blocks with layer normalisation reads the tokens of the past, then those of the
future, in which the values are masked, and puts out quantiles for each step ahead.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.pretrained.features import OTHERS, STEP_FEATURES, SUMMARY_FEATURES, TOKEN, Features, Floats

ARCHITECTURE = 2  # of features, layers and how they are run; weights of another one would forecast something else
LEVELS = (0.005, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 0.995)
MIDDLE = LEVELS.index(0.5)
SEASONAL = 5  # of the other first guesses, those of seasons
OUTPUTS = OTHERS + len(LEVELS)
TOKEN_INPUTS = TOKEN * STEP_FEATURES + SUMMARY_FEATURES + 2
MOST = 4.0  # units by which a gate may change a season
SMALL = 1e-5  # added to variances

Weights = dict[str, Floats]


def tokens_of(features: Features) -> Floats:
    """Inputs of each token, [windows, tokens, TOKEN_INPUTS]: its steps, the summary, whether and how far ahead."""
    windows, steps, width = features.steps.shape
    tokens, coarse = steps // TOKEN, features.coarse // TOKEN
    number = np.arange(tokens) - coarse
    ahead = np.maximum(number - features.context // TOKEN + 1, 0)
    distance = np.stack([np.where(number < 0, -1, ahead > 0), np.log1p(ahead) / 2], -1).astype(np.float32)
    summary = np.broadcast_to(features.summary[:, None], (windows, tokens, SUMMARY_FEATURES))
    inputs = features.steps.reshape(windows, tokens, TOKEN * width)
    return np.concatenate([inputs, summary, np.broadcast_to(distance, (windows, tokens, 2))], -1)


def inputs_of(features: Features) -> tuple[Floats, Floats, Floats, Floats]:
    """Tokens, first guesses, what the gates multiply, and units, as the network takes them.

    The gates multiply other first guesses, [windows, horizon, OTHERS]. Seasons are limited to some units: a gate of
    0.03 must not spoil a season that repeats exactly.
    """
    most = MOST * features.unit[:, None, None]
    limited = most * np.tanh(features.others[..., :SEASONAL] / most)
    gated = np.concatenate([limited, features.others[..., SEASONAL:]], -1)
    return tokens_of(features), features.base, gated, features.unit


def run(weights: Weights, features: Features) -> Floats:
    """Quantiles of the steps ahead in scaled units, [windows, horizon, LEVELS].

    Tokens are computed one after another, each for all windows, [width, windows]: a cache holds what that takes.
    """
    tokens, base, gated, unit = inputs_of(features)
    states = [_linear(weights, "inputs", token) for token in np.ascontiguousarray(tokens.transpose(1, 2, 0))]
    future = (features.coarse + features.context) // TOKEN
    blocks = sum(name.endswith(".weight_hh_l0") for name in weights)
    for block in range(blocks):
        name, state = f"blocks.{block}", np.zeros_like(states[0])
        for number, token in enumerate(states):
            state = _next(weights, f"{name}.recurrent", _normalised(weights, f"{name}.before", token), state)
            token += state
            if block < blocks - 1 or number >= future:  # nothing reads the others any more
                hidden = _linear(weights, f"{name}.wide", _normalised(weights, f"{name}.between", token))
                token += _linear(weights, f"{name}.narrow", hidden * _sigmoid(hidden.copy()))
    raw = np.stack([_linear(weights, "outputs", _normalised(weights, "after", token)) for token in states[future:]])
    raw = np.ascontiguousarray(raw.transpose(2, 0, 1)).reshape(len(base), -1, OUTPUTS)
    return _quantiles(raw, base, gated, unit[:, None, None])


def _quantiles(raw: Floats, base: Floats, gated: Floats, unit: Floats) -> Floats:
    """Quantiles from outputs [windows, horizon, OUTPUTS]: a middle, and distances that are never negative."""
    gates, raw = raw[..., :OTHERS], raw[..., OTHERS:]
    middle = base + (gates * gated).sum(-1) + unit[..., 0] * raw[..., MIDDLE]
    away = unit * np.logaddexp(raw - 1, 0)  # softplus
    upper = middle[..., None] + np.cumsum(away[..., MIDDLE + 1 :], -1)
    lower = middle[..., None] - np.cumsum(away[..., :MIDDLE][..., ::-1], -1)[..., ::-1]
    return np.concatenate([lower, middle[..., None], upper], -1)


def _linear(weights: Weights, name: str, inputs: Floats, part: str = "") -> Floats:
    outputs: Floats = weights[f"{name}.weight{part}"] @ inputs
    outputs += weights[f"{name}.bias{part}"][:, None]
    return outputs


def _normalised(weights: Weights, name: str, states: Floats) -> Floats:
    centred: Floats = states - states.mean(0)
    centred *= 1 / np.sqrt(np.einsum("wn,wn->n", centred, centred) / np.float32(len(states)) + np.float32(SMALL))
    centred *= weights[f"{name}.weight"][:, None]
    centred += weights[f"{name}.bias"][:, None]
    return centred


def _sigmoid(values: Floats) -> Floats:
    """The logistic function, in place."""
    np.exp(np.negative(values, out=values), out=values)
    values += 1
    return np.reciprocal(values, out=values)


def _next(weights: Weights, name: str, inputs: Floats, state: Floats) -> Floats:
    """The next state of a GRU, [width, windows]."""
    gates, before = _linear(weights, name, inputs, "_ih_l0"), _linear(weights, name, state, "_hh_l0")
    width, both = len(state), 2 * len(state)  # reset and update, and then what the reset multiplies
    gates[:both] += before[:both]
    switches, new = _sigmoid(gates[:both]), before[both:]
    new *= switches[:width]
    new += gates[both:]
    np.tanh(new, out=new)
    moved = state - new
    moved *= switches[width:]
    moved += new
    return moved


def as_floats(arrays: dict[str, NDArray[np.generic]]) -> Weights:
    return {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}
