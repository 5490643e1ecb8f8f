"""Ridge regression of many targets at once, each with the penalty that generalised cross-validation chooses."""

import numpy as np

from forecast.baselines.shared.method import Values

PENALTIES = 10.0 ** np.arange(-6, 2.1, 0.5)  # as shares of the largest eigenvalue
MIN_FREEDOM = 0.5  # degrees of freedom that a fit must leave, or its errors say nothing
ROUNDING = 1e-12  # share of the largest eigenvalue: smaller ones are rounding, and so are errors of the squares
STILL = 1e-9  # deviation of a column, of values of about 1, below which it does not move


def ridge(columns: Values, targets: Values) -> tuple[Values, Values]:
    """Weights [..., columns, targets] and intercepts [..., 1, targets] of columns [..., rows, columns].

    Targets are [..., rows, targets]. Columns count standardised (Golub, Heath and Wahba 1979 for the penalty).
    """
    middle, centre = columns.mean(-2, keepdims=True), targets.mean(-2, keepdims=True)
    past, ahead = columns - middle, targets - centre
    unit = np.sqrt((past**2).mean(-2, keepdims=True))
    unit = np.where(unit > STILL, unit, np.inf)
    past = past / unit
    rows, wide = past.shape[-2], past.shape[-2] < past.shape[-1]
    turned = past.swapaxes(-1, -2)
    size, vectors = np.linalg.eigh(past @ turned if wide else turned @ past)
    size = np.where(size > ROUNDING * size[..., -1:], size, 0.0)
    product = vectors.swapaxes(-1, -2) @ (
        ahead if wide else turned @ ahead
    )  # [..., eigenvalues, targets]
    inverse = 1 / np.where(size > 0, size, np.inf)
    squares = (
        np.where(size[..., None] > 0, product**2, 0.0) if wide else product**2 * inverse[..., None]
    )
    total = (ahead**2).sum(-2, keepdims=True)
    largest = np.maximum(size[..., None, -1:], STILL)
    shrunk = 1 / (
        size[..., None, :] + PENALTIES[:, None] * largest
    )  # [..., penalties, eigenvalues]
    share = shrunk * size[..., None, :]
    rest = np.maximum(
        total - ((2 - share) * share) @ squares, ROUNDING * total
    )  # [..., penalties, targets]
    free = rows - 1 - share.sum(-1, keepdims=True)
    score = np.where(free > MIN_FREEDOM, rest / np.maximum(free, MIN_FREEDOM) ** 2, np.inf)
    best = score.argmin(-2)[..., None, :]
    used = np.where((size[..., None, :] > 0) & (free > MIN_FREEDOM), shrunk, 0.0).swapaxes(-1, -2)
    chosen = np.take_along_axis(used, np.broadcast_to(best, product.shape), -1) * product
    weights = (turned @ (vectors @ chosen) if wide else vectors @ chosen) / unit.swapaxes(-1, -2)
    return weights, centre - middle @ weights
