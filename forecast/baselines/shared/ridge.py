"""Ridge regression of many targets at once, each with the penalty that generalised cross-validation
chooses.
"""

import numpy as np

from forecast.baselines.shared.method import Values

RIDGE_PENALTIES = 10.0 ** np.arange(-6, 2.1, 0.5)[:, None]  # as shares of the largest eigenvalue
MIN_RIDGE_FREEDOM = 0.5  # degrees of freedom that a fit must leave, or its errors say nothing
EIGENVALUE_SHARE = 1e-12  # share of the largest eigenvalue, and of the squares: less is rounding
# deviation of a column, of values of about 1, below which it does not move
LEAST_COLUMN_DEVIATION = 1e-9


def ridge(columns: Values, targets: Values) -> tuple[Values, Values]:
    """Weights [..., columns, targets] and intercepts [..., 1, targets] of columns [..., rows,
    columns].

    Targets are [..., rows, targets]. Columns count standardised (Golub, Heath and Wahba 1979 for
    the penalty).
    """
    middle = columns.mean(-2, keepdims=True)
    centre = targets.mean(-2, keepdims=True)
    past = columns - middle
    ahead = targets - centre
    variance = (past**2).mean(-2, keepdims=True)
    unit = np.sqrt(variance)
    unit = np.where(unit > LEAST_COLUMN_DEVIATION, unit, np.inf)
    past = past / unit
    turned = past.swapaxes(-1, -2)
    rows, width = past.shape[-2:]
    wide = rows < width
    products = past @ turned if wide else turned @ past
    size, vectors = np.linalg.eigh(products)
    size = np.where(size > EIGENVALUE_SHARE * size[..., -1:], size, 0.0)
    moves = size[..., None] > 0  # [..., eigenvalues, 1]
    product = ahead if wide else turned @ ahead
    product = vectors.swapaxes(-1, -2) @ product
    squares = np.where(moves, product**2, 0.0)  # [..., eigenvalues, targets]
    if not wide:
        squares = squares / np.where(moves, size[..., None], 1.0)

    sizes = size[..., None, :]
    largest = np.maximum(sizes[..., -1:], LEAST_COLUMN_DEVIATION)
    shrunk = 1 / (sizes + RIDGE_PENALTIES * largest)  # [..., penalties, eigenvalues]
    share = shrunk * sizes
    total = (ahead**2).sum(-2, keepdims=True)
    explained_share = (2 - share) * share
    errors = total - explained_share @ squares  # [..., penalties, targets]
    errors = np.maximum(errors, EIGENVALUE_SHARE * total)
    free = rows - 1 - share.sum(-1, keepdims=True)
    leaves = free > MIN_RIDGE_FREEDOM
    score = errors / np.maximum(free, MIN_RIDGE_FREEDOM) ** 2
    score = np.where(leaves, score, np.inf)
    best = score.argmin(-2)[..., None, :]
    best = np.broadcast_to(best, product.shape)
    used = np.where((sizes > 0) & leaves, shrunk, 0.0)
    used = used.swapaxes(-1, -2)
    turned_weights = np.take_along_axis(used, best, -1) * product
    chosen = vectors @ turned_weights
    weights = turned @ chosen if wide else chosen
    weights = weights / unit.swapaxes(-1, -2)
    return weights, centre - middle @ weights
