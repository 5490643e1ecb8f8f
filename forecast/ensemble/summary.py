"""How the ensemble compares with its candidates on held-out values: a sentence, and a table."""

from forecast.ensemble.ensemble import CHOSEN, NETWORKS

NAIVE = "seasonal-naive"
ROUNDING = 1e-9, 1e-12  # an error below this share of the largest one, or below this, is rounding


def verdict(scores: dict[str, float], forecasting: int) -> str:
    """Describe in one sentence of at most 120 characters how good the ensemble is.

    Parameters
    ----------
    scores : mean loss on held-out values of each candidate, and of the choice; empty if nothing was held out
    forecasting : number of candidates in the ensemble
    """
    if not scores:
        return "no values could be held out to compare candidates on"
    candidates = len(scores.keys() - {CHOSEN, NETWORKS})
    counted = f"{forecasting} of {candidates} candidates {'is' if forecasting == 1 else 'are'} used"
    rounding = max(ROUNDING[0] * max(scores.values()), ROUNDING[1])
    return f"{_compared(scores[CHOSEN], scores.get(NAIVE), rounding)}; {counted}"


def _compared(chosen: float, naive: float | None, rounding: float) -> str:
    """How the choice compares; errors up to `rounding` are none."""
    if naive is None:
        return f"mean error {chosen:.3g} on held-out values"
    if naive <= rounding:
        if chosen <= rounding:
            return "exact on held-out values, as seasonal naive is"
        return f"mean error {chosen:.3g} on held-out values, where seasonal naive is exact"
    percent = round(100 * (1 - chosen / naive))
    if percent == 0:
        return "error the same as seasonal naive on held-out values"
    share = "over 99" if percent > 99 else f"{abs(percent):,}"
    return f"error {share} % {'below' if percent > 0 else 'above'} seasonal naive on held-out values"


def ranking(scores: dict[str, float], metric: str) -> list[str]:
    """The candidates and the choice with their mean losses, the best first, as lines of a table.

    Parameters
    ----------
    metric : the measure of the losses
    """
    if not scores:
        return []
    rows = [(f"{score:.3g}", name) for name, score in sorted(scores.items(), key=lambda item: item[1])]
    width = max(len(metric), *(len(score) for score, _ in rows))
    return [f"{metric.upper():>{width}}  on held-out values", *(f"{score:>{width}}  {name}" for score, name in rows)]
