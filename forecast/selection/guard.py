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


def clearly_better(new: Numbers, old: Numbers, blocks: NDArray[np.int64]) -> bool:
    """Whether the losses `new` are lower than `old` by 1 %, by their standard error, and by more where there are few.

    Parameters
    ----------
    new, old : [windows]
    blocks : [windows], windows of one series and one horizon of time share a number: they tell the same story
    """
    _, index = np.unique(blocks, return_inverse=True)
    size = np.bincount(index)
    gain = np.bincount(index, old - new) / size
    level = float((np.bincount(index, old) / size).mean())
    error = float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else 0.0
    needed = max(LEAD * level, DOUBT / float(np.sqrt(len(gain))) * level, error)
    return float(gain.mean()) > needed


def choose(
    names: tuple[str, ...],
    loss_of: Callable[[Numbers], Numbers],
    series: NDArray[np.int64],
    blocks: NDArray[np.int64],
    count: int,
) -> tuple[Numbers, dict[str, float]]:
    """The share of each component in the forecast of each series.

    The simplest that is good enough forecasts: the best baseline; or the network, if it is clearly better; or a blend
    (greedy selection with replacement, Caruana et al. 2004), if it is clearly better than both.

    Parameters
    ----------
    names : components, the network among them or not
    loss_of : gives the loss of each held-out window, [windows], from shares, [components]
    series : [windows]
    blocks : [windows], see `clearly_better`
    count : series of the fit

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
        best = next((i for i, name in enumerate(names) if name == "theta"), 0)
        shares[:, best] = 1.0
        return shares, {}
    series, blocks = series[usable], blocks[usable]

    def loss(share: Numbers) -> Numbers:
        return loss_of(share)[usable]

    chosen = _for_panel(names, losses[:, usable], loss, blocks)
    shares[:] = chosen
    _for_series(shares, single, losses[:, usable], loss(chosen), series, blocks)
    scores = {name: float(one[usable].mean()) for name, one in zip(names, losses, strict=True)}
    return shares, {**scores, "chosen": float(loss(chosen).mean())}


def _for_panel(
    names: tuple[str, ...], losses: Numbers, loss: Callable[[Numbers], Numbers], blocks: NDArray[np.int64]
) -> Numbers:
    single = np.eye(len(names))
    simple = [i for i, name in enumerate(names) if name != NETWORK]
    best = single[min(simple, key=lambda i: losses[i].mean())] if simple else single[0]
    kept = loss(best)
    if NETWORK in names and simple:
        network = single[names.index(NETWORK)]
        if clearly_better(loss(network), kept, blocks):
            best, kept = network, loss(network)
    blend = _blend(losses, loss)
    return blend if clearly_better(loss(blend), kept, blocks) else best


def _blend(losses: Numbers, loss: Callable[[Numbers], Numbers]) -> Numbers:
    """The best mean of up to `PARTS` components, one of them several times or not, added one by one."""
    single = np.eye(len(losses))
    total = single[int(losses.mean(1).argmin())]
    found = [(float(loss(total).mean()), total)]
    for parts in range(2, PARTS + 1):
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
    series: NDArray[np.int64],
    blocks: NDArray[np.int64],
) -> None:
    """Give a series with enough held-out values the component that is clearly better on it, in place."""
    if len(np.unique(series)) < 2:
        return
    for one in np.unique(series):
        own = series == one
        if len(np.unique(blocks[own])) >= OWN_BLOCKS:
            best = int(losses[:, own].mean(1).argmin())
            if clearly_better(losses[best, own], kept[own], blocks[own]):
                shares[one + 1] = single[best]
