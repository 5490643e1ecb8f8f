"""Names that `--model` takes: of networks, of baselines, and auto."""

from forecast.errors import UsageError, did_you_mean
from forecast.evaluation.baselines import AUTOMATIC, BASELINES
from forecast.models import model_names

AUTO = "auto"


def is_baseline(name: str) -> bool:
    """Whether a model's name is that of a baseline: nothing is trained then."""
    return name in BASELINES or name in AUTOMATIC


def check_model(name: str) -> None:
    """Refuse a model that there is none of.

    Raises
    ------
    UsageError
        With the nearest name.
    """
    known = [AUTO, *model_names(), *BASELINES, *AUTOMATIC]
    if name not in known:
        raise UsageError(f"unknown model '{name}'{did_you_mean(name, known)} (models: {', '.join(known)})")
