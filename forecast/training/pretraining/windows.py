"""Windows of synthetic series to pretrain on: pasts of every length, with gaps, and what came after them."""

from dataclasses import dataclass

import numpy as np

from forecast.pretrained.features import Features, Flags, Floats, Numbers, features_of
from forecast.synthetic.kind import Counts, Outline
from forecast.synthetic.mixing import draw_series

SIZES = ((128, 256, 0.42), (384, 128, 0.3), (1024, 64, 0.28))
"""Steps of the past, windows of a batch, and how often."""
HORIZONS = ((16, 0.25), (32, 0.35), (64, 0.32), (128, 0.08))
SHORTEST = 5  # values of a past
SHORTENED = 0.65  # share of pasts that are shorter than the window
WITHHELD, SECOND_WITHHELD = 0.08, 0.3  # share of windows whose seasons are withheld
FAR, FAR_SEASONS = 6, 2  # steps and seasons ahead, beyond both of which an error counts less than half
CONSTANT = 1e-5  # share of the location; a past of a smaller scale is constant, and teaches nothing


@dataclass(frozen=True)
class Sample:
    """A batch to train on."""

    features: Features  # of the pasts
    target: Floats  # [windows, horizon], in scaled units
    weight: Floats  # [windows, horizon], what an error counts: less in the far future, nothing after a constant past


def draw_sample(seed: int, number: int) -> Sample:
    """Batch `number` of a pretraining from `seed`; the same two numbers give the same batch."""
    rng = np.random.default_rng([seed, number])
    context, rows, _ = SIZES[rng.choice(len(SIZES), p=[share for *_, share in SIZES])]
    horizon, _ = HORIZONS[rng.choice(len(HORIZONS), p=[share for _, share in HORIZONS])]
    series, outline = draw_series(rng, rows, context + horizon)
    observed = _observed(rng, rows, context)
    return sample_of(series, observed, _given_seasons(rng, outline, observed), horizon)


def sample_of(series: Numbers, observed: Flags, seasons: Counts, horizon: int) -> Sample:
    """A batch from series [windows, context + horizon], of whose past some values are observed, [windows, context]."""
    past, future = series[:, :-horizon], series[:, -horizon:]
    features = features_of(past, observed, seasons, horizon)
    varies = features.scale > CONSTANT * (1e-6 + np.abs(features.location))
    far = FAR + FAR_SEASONS * seasons[:, 0]
    weight = varies[:, None] / (1 + np.arange(horizon) / far[:, None])
    weight /= np.maximum(weight.mean(1, keepdims=True), 1e-9)
    return Sample(features, features.scaled(future), weight.astype(np.float32))


def _observed(rng: np.random.Generator, rows: int, context: int) -> Flags:
    """Which values of pasts the network sees; always the last one."""
    length = np.exp(rng.uniform(np.log(SHORTEST), np.log(context), rows)).astype(np.int64)
    length = np.where(rng.random(rows) < SHORTENED, length, context)
    observed: Flags = np.arange(context) >= context - length[:, None]
    blank = rng.random((rows, context)) < np.where(rng.random(rows) < 0.12, rng.uniform(0, 0.4, rows), 0)[:, None]
    start, width = rng.integers(0, context, rows)[:, None], rng.integers(1, context // 4, rows)[:, None]
    step = np.arange(context)
    hole = (step >= start) & (step < start + width) & (rng.random(rows) < 0.05)[:, None]
    observed = observed & ~blank & ~hole
    observed[:, -1] = True
    return observed


def _given_seasons(rng: np.random.Generator, outline: Outline, observed: Flags) -> Counts:
    """The seasons as `features_of` takes them, [windows, 3]; some are withheld, as users do not know all."""
    length = observed.shape[1] - observed.argmax(1)
    calendar = np.where(rng.random(len(outline.season)) < WITHHELD, 1, outline.season)
    first = np.where(length < calendar, 1, calendar)
    second = np.where((rng.random(len(outline.season)) < SECOND_WITHHELD) | (first == 1), 0, outline.second)
    return np.stack([first, np.where(length < second, 0, second), calendar], 1)
