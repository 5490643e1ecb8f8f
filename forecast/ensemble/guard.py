"""The guard: whether the network, a baseline or a blend of them forecasts, by what each made of held-out values."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

ROUNDING = 1e-9  # share of the largest loss below which losses are rounding, and equal
LEAD = 0.01  # share by which the network, or a blend, must beat what is simpler
DOUBT = 0.1  # the same where a single horizon is held out
ERRORS = 0.5  # standard errors of the difference by which it must
SURE = 1.28  # the same for a network that is to forecast alone where little is held out
NEAR, NEARLY = 1.1, 1.2  # networks whose loss is at most so many times that of the best stay; where little is held out
PARTS = 6  # a blend has up to this many parts
FEW = 16  # with fewer held-out horizons baselines are compared over the whole past, and the network is half of a blend
MIXED = 3  # baselines that are mixed then
ALIKE = 10  # series held out over the same time tell much the same: so many of them count, or the root of their number
ALONE = 4.0  # standard errors by which it must win then: some of many series win by chance
OWN_BLOCKS = 5  # held-out horizons that a series must have for a choice of its own


def clearly_better(new: Numbers, old: Numbers, blocks: NDArray[np.int64], errors: float, lead: float = LEAD) -> bool:
    """Whether the losses `new` are lower than `old` by a share and by more than chance may do.

    Parameters
    ----------
    new, old : [windows]
    blocks : [windows, 2], the series of each window and the number of its horizon of time
    errors : standard errors by which they must be lower where there are many blocks; it takes more where there are few
    lead : share by which they must be lower
    """
    _, index = np.unique(blocks, axis=0, return_inverse=True)
    index, count = index.ravel(), stories(blocks)
    size = np.bincount(index)
    gain = np.bincount(index, old - new) / size
    level = float((np.bincount(index, old) / size).mean())
    if count == 1:
        return float(gain.mean()) > DOUBT * level
    # with SURE close to the 90 % quantile of Student's t: 3.1 standard errors for two blocks, 1.3 for many
    chance = errors * (1 + 1.4 / (count - 1)) * float(gain.std(ddof=1) / np.sqrt(count))
    return float(gain.mean()) > max(lead * level, chance)


def stories(blocks: NDArray[np.int64]) -> int:
    """How many independent comparisons windows stand for, given their series and horizons of time, [windows, 2]."""
    alike = max(ALIKE, math.isqrt(len(np.unique(blocks[:, 0]))))
    return min(len(np.unique(blocks, axis=0)), alike * len(np.unique(blocks[:, 1])))


def choose(
    networks: Sequence[int],
    baselines: int,
    loss_of: Callable[[Numbers], Numbers],
    blocks: NDArray[np.int64],
    count: int,
    past_of: Callable[[Numbers], float],
) -> tuple[Numbers, Numbers]:
    """The share of each component in the forecast of each series.

    The simplest that is good enough forecasts: the best baseline; or the network, if it is clearly better; or that
    together with a blend of all (greedy selection with replacement, Caruana et al. 2004), half and half, if this is
    clearly better. Where little is held out, the past chooses among baselines and means of a few of them, and a blend
    is half of that and half of the network.

    Parameters
    ----------
    networks : of each of the first components, which are networks, how many seeds it was trained with
    baselines : their number
    loss_of : gives the loss of each held-out window, [windows], from shares, [components]
    blocks : [windows, 2], the series of each window and the number of its horizon of time
    count : series of the fit
    past_of : gives the mean loss over the whole past from shares of baselines; NaN where it cannot be told

    Returns
    -------
    shares : [count + 1, components]; row 0 is for a series that was not there at fit, row i + 1 for series i
    scores : [components + 2], mean loss of each component, of the networks together, and of what was chosen
    """
    single = np.eye(len(networks) + baselines)
    losses = np.stack([loss_of(one) for one in single])
    usable = np.isfinite(losses).all(0)
    shares = np.zeros((count + 1, len(single)))
    if not usable.any():
        shares[:] = _baseline(single[len(networks) :], past_of, 1) if baselines else single.mean(0)
        return shares, np.full(len(single) + 2, np.nan)
    blocks, losses = blocks[usable], losses[:, usable]
    floor = ROUNDING * float(losses.max())

    def loss(share: Numbers) -> Numbers:
        return np.maximum(loss_of(share)[usable], floor)

    chosen = _for_panel(networks, single, loss, blocks, past_of)
    shares[:] = chosen
    _for_series(shares, single, np.maximum(losses, floor), loss(chosen), blocks)
    together = _together(networks, single, loss, blocks) if networks else chosen
    means = [float(loss(one).mean()) for one in (*single, together, chosen)]
    return shares, np.array(means)


def _for_panel(
    networks: Sequence[int],
    single: Numbers,
    loss: Callable[[Numbers], Numbers],
    blocks: NDArray[np.int64],
    past_of: Callable[[Numbers], float],
) -> Numbers:
    def mean(share: Numbers) -> float:
        return float(loss(share).mean())

    few = stories(blocks) < FEW
    network = _together(networks, single, loss, blocks) if networks else single[0]
    best = network
    if len(networks) < len(single):
        best = _baseline(single[len(networks) :], past_of if few else mean, MIXED if few else 1)
        if networks:
            half = (network + best) / 2
            if clearly_better(loss(network), loss(best), blocks, SURE if few else ERRORS):
                best = network
            if (few or best is not network) and clearly_better(loss(half), loss(best), blocks, ERRORS, 2 * LEAD):
                best = half
        if few:
            return best
    # the best blend of what is held out is less good later: half of it is enough
    blend = (best + _blend(np.stack([network, *single]), mean, 2 if few else PARTS)) / 2
    return blend if clearly_better(loss(blend), loss(best), blocks, ERRORS) else best


def _together(
    networks: Sequence[int], single: Numbers, loss: Callable[[Numbers], Numbers], blocks: NDArray[np.int64]
) -> Numbers:
    """The mean of the networks that are nearly as good as the best of them.

    Each counts as often as it was trained, since the better ones are repeated; where little is held out, that was
    chance.
    """
    losses = np.array([loss(one).mean() for one in single[: len(networks)]])
    if stories(blocks) < FEW:
        weights = (losses <= NEARLY * losses.min()).astype(np.float64)
    else:
        weights = np.array(networks) * (losses <= NEAR * losses.min())
    mean: Numbers = weights @ single[: len(networks)] / weights.sum()
    return mean


def _baseline(simple: Numbers, loss: Callable[[Numbers], float], most: int) -> Numbers:
    """The best baseline, or the mean of up to `most` where that is better by 1 %."""
    floor = ROUNDING * max((value for value in map(loss, simple) if np.isfinite(value)), default=0.0)

    def known(share: Numbers) -> float:
        return max(floor, float(np.nan_to_num(loss(share), nan=np.inf)))

    best: Numbers = min(simple, key=known)
    mixed = _blend(simple, known, most)
    return mixed if known(mixed) < (1 - LEAD) * known(best) else best


def _blend(single: Numbers, loss: Callable[[Numbers], float], most: int) -> Numbers:
    """The best mean of up to `most` components, one of them several times or not, added one by one."""
    total = min(single, key=loss)
    found = [(loss(total), total)]
    for parts in range(2, most + 1):
        value, added = min((loss((total + one) / parts), at) for at, one in enumerate(single))
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
            if clearly_better(losses[best, own], kept[own], blocks[own], ALONE):
                shares[one + 1] = single[best]
