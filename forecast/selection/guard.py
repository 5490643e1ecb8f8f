"""The guard: whether the network, a baseline or a blend of them forecasts, by what each made of held-out values."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from forecast.selection.components import NETWORK

Numbers = NDArray[np.float64]
MetricName = Literal["mase", "rmsse", "mae", "rmse", "smape"]

LEAD = 0.01  # share by which the network, or a blend, must beat what is simpler
DOUBT = 0.05  # the same for a single held-out horizon; it falls with the root of their number
PARTS = 4  # a blend has up to this many parts
FEW = 16  # with fewer held-out horizons baselines are compared over the whole past, and a blend has two parts
ALIKE = 10  # series held out over the same time tell much the same: at most so many of them count
OWN_BLOCKS = 5  # held-out horizons that a series must have for a choice of its own


def window_losses(
    forecast: Numbers, actual: Numbers, observed: NDArray[np.bool_], unit: Numbers, metric: MetricName
) -> Numbers:
    """The loss of each window, [windows]; NaN where it cannot be told.

    Parameters
    ----------
    forecast, actual, observed : [windows, horizon]
    unit : [windows], in-sample error of the seasonal naive forecast of each window's series
    """
    error = np.abs(actual - forecast)
    if metric in ("rmse", "rmsse"):
        error = error**2
    if metric == "smape":
        size = np.abs(actual) + np.abs(forecast)
        error = np.where(size > 0, 2 * error / np.where(size > 0, size, 1.0), 0.0)
    count = observed.sum(1)
    loss = np.where(observed, error, 0.0).sum(1) / np.maximum(count, 1)
    if metric in ("mase", "rmsse"):
        divisor = unit if metric == "mase" else unit**2
        loss = np.where(divisor > 0, loss / np.where(divisor > 0, divisor, 1.0), np.nan)
    return np.where(count > 0, loss, np.nan)


def clearly_better(new: Numbers, old: Numbers, blocks: NDArray[np.int64], doubt: float = 0.0) -> bool:
    """Whether the losses `new` are lower than `old` by 1 % and by their standard error.

    Parameters
    ----------
    new, old : [windows]
    blocks : [windows, 2], the series of each window and the number of its horizon of time
    doubt : share by which they must be lower where there is a single block; it falls with the root of their number
    """
    _, index = np.unique(blocks, axis=0, return_inverse=True)
    index, count = index.ravel(), stories(blocks)
    size = np.bincount(index)
    gain = np.bincount(index, old - new) / size
    level = float((np.bincount(index, old) / size).mean())
    error = float(gain.std(ddof=1) / np.sqrt(count)) if len(gain) > 1 else 0.0
    needed = max(LEAD * level, doubt / float(np.sqrt(count)) * level, error)
    return float(gain.mean()) > needed


def stories(blocks: NDArray[np.int64]) -> int:
    """How many independent comparisons windows stand for, given their series and horizons of time, [windows, 2]."""
    return min(len(np.unique(blocks, axis=0)), ALIKE * len(np.unique(blocks[:, 1])))


def choose(
    names: tuple[str, ...],
    loss_of: Callable[[Numbers], Numbers],
    blocks: NDArray[np.int64],
    count: int,
    past_of: Callable[[Numbers], float],
) -> tuple[Numbers, dict[str, float]]:
    """The share of each component in the forecast of each series.

    The simplest that is good enough forecasts: the best baseline; or the network, if it is clearly better; or a blend
    (greedy selection with replacement, Caruana et al. 2004), if it is clearly better than both.

    Parameters
    ----------
    names : components, the network among them or not
    loss_of : gives the loss of each held-out window, [windows], from shares, [components]
    blocks : [windows, 2], the series of each window and the number of its horizon of time
    count : series of the fit
    past_of : gives the mean loss over the whole past from shares of baselines; NaN where it cannot be told

    Returns
    -------
    shares : [count + 1, components]; row 0 is for a series that was not there at fit, row i + 1 for series i
    scores : mean loss of each component, and of what was chosen for the panel under the name ``chosen``
    """
    single = np.eye(len(names))
    losses = np.stack([loss_of(one) for one in single])
    usable = np.isfinite(losses).all(0)
    shares = np.zeros((count + 1, len(names)))
    if not usable.any():
        shares[:] = _baseline(names, past_of)
        return shares, {}
    blocks = blocks[usable]

    def loss(share: Numbers) -> Numbers:
        return loss_of(share)[usable]

    chosen = _for_panel(names, losses[:, usable], loss, blocks, past_of)
    shares[:] = chosen
    _for_series(shares, single, losses[:, usable], loss(chosen), blocks)
    scores = {name: float(one[usable].mean()) for name, one in zip(names, losses, strict=True)}
    return shares, {**scores, "chosen": float(loss(chosen).mean())}


def _for_panel(
    names: tuple[str, ...],
    losses: Numbers,
    loss: Callable[[Numbers], Numbers],
    blocks: NDArray[np.int64],
    past_of: Callable[[Numbers], float],
) -> Numbers:
    single: Numbers = np.eye(len(names))
    few = stories(blocks) < FEW
    baseline = _baseline(names, past_of if few else lambda share: float(loss(share).mean()), pairs=few)
    best, kept = baseline, loss(baseline)
    parts: Numbers = single
    if NETWORK in names and len(names) > 1:
        network = single[names.index(NETWORK)]
        if clearly_better(loss(network), kept, blocks, DOUBT):
            best, kept = network, loss(network)
        parts = np.stack([network, baseline]) if few else single
    blend = _blend(parts, loss, 2 if few else PARTS)
    return blend if clearly_better(loss(blend), kept, blocks) else best


def _baseline(names: tuple[str, ...], loss: Callable[[Numbers], float], pairs: bool = False) -> Numbers:
    """The best baseline, or the mean of two where that is clearly better; the network where there is no baseline."""
    single: Numbers = np.eye(len(names))
    simple = [one for one, name in zip(single, names, strict=True) if name != NETWORK] or [single[0]]
    losses = [np.nan_to_num(loss(one), nan=np.inf) for one in simple]
    best = simple[int(np.argmin(losses))]
    halves = [(best + other) / 2 for other in simple] if pairs and np.isfinite(min(losses)) else [best]
    pair = min(halves, key=loss)
    chosen: Numbers = pair if loss(pair) < (1 - LEAD) * min(losses) else best
    return chosen


def _blend(single: Numbers, loss: Callable[[Numbers], Numbers], most: int) -> Numbers:
    """The best mean of up to `most` components, one of them several times or not, added one by one."""
    total = single[int(np.argmin([loss(one).mean() for one in single]))]
    found = [(float(loss(total).mean()), total)]
    for parts in range(2, most + 1):
        tried = [(float(loss((total + one) / parts).mean()), i) for i, one in enumerate(single)]
        value, added = min(tried)
        total = total + single[added]
        found.append((value, total / parts))
    best: Numbers = min(found, key=lambda one: one[0])[1]
    return best


def _for_series(
    shares: Numbers,
    single: Numbers,
    losses: Numbers,
    kept: Numbers,
    blocks: NDArray[np.int64],
) -> None:
    """Give a series with enough held-out values the component that is clearly better on it, in place."""
    found = np.unique(blocks[:, 0])
    if len(found) < 2 or len(np.unique(blocks[:, 1])) < OWN_BLOCKS:
        return
    for one in found:
        own = blocks[:, 0] == one
        if stories(blocks[own]) >= OWN_BLOCKS:
            best = int(losses[:, own].mean(1).argmin())
            if clearly_better(losses[best, own], kept[own], blocks[own]):
                shares[one + 1] = single[best]
