"""How the ensemble compares with its candidates on held-out values: a sentence, and a table."""

from forecast.ensemble.ensemble import CHOSEN, NETWORKS

NAIVE = {"seasonal-naive": "seasonal naive", "last": "the last value"}  # the latter where there is no season
ROUNDING = 1e-9, 1e-12  # an error below this share of the largest one, or below this, is rounding


def verdict(scores: dict[str, float], forecasting: int) -> str:
    """In one sentence of at most 120 characters, how good an ensemble of so many candidates is, from their scores."""
    if not scores:
        return "no values could be held out to compare candidates on"
    candidates = len(scores.keys() - {CHOSEN, NETWORKS})
    counted = f"{forecasting} of {candidates} candidates {'is' if forecasting == 1 else 'are'} used"
    rounding = max(ROUNDING[0] * max(scores.values()), ROUNDING[1])
    return f"{_compared(scores, rounding)}; {counted}"


def _compared(scores: dict[str, float], rounding: float) -> str:
    """How the choice compares; errors up to `rounding` are none."""
    chosen, label = scores[CHOSEN], next((label for label in NAIVE if label in scores), None)
    if label is None:
        return f"mean error {chosen:.3g} on held-out values"
    naive, name = scores[label], NAIVE[label]
    if naive <= rounding:
        if chosen <= rounding:
            return f"exact on held-out values, as {name} is"
        return f"mean error {chosen:.3g} on held-out values, where {name} is exact"
    percent = round(100 * (1 - chosen / naive))
    if percent == 0:
        return f"error the same as {name} on held-out values"
    share = "over 99" if percent > 99 else f"{abs(percent):,}"
    return f"error {share} % {'below' if percent > 0 else 'above'} {name} on held-out values"


def ranking(scores: dict[str, float], metric: str) -> list[str]:
    """The candidates and the choice with their mean losses by a metric, the best first, as lines of a table."""
    if not scores:
        return []
    rows = [(f"{score:.3g}", name) for name, score in sorted(scores.items(), key=lambda item: item[1])]
    width = max(len(metric), *(len(score) for score, _ in rows))
    return [f"{metric.upper():>{width}}  on held-out values", *(f"{score:>{width}}  {name}" for score, name in rows)]
