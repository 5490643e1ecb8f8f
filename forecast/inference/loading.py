"""Read the fitted forecaster of a version, and say in lines what forecasts."""

from collections import Counter

import numpy as np

from forecast.artifacts.store import Store
from forecast.ensemble.summary import ranking, verdict
from forecast.errors import ArtifactRefused, UsageError
from forecast.inference.contents import from_contents
from forecast.inference.fitted import Fitted
from forecast.inference.quantiles import Engine


def load_fitted(store: str, version: str | None = None) -> Fitted:
    """The fitted forecaster of the live version of a store, or of another version; nothing in it can run code.

    Raises
    ------
    NoInput
        If there is none.
    ArtifactRefused
        If it is damaged, unsafe or too new.
    """
    contents, info = Store(store).load(version)
    try:
        return from_contents(contents)
    except (ArtifactRefused, UsageError, RuntimeError) as error:
        raise refused_version(f"{store}/{info.id}", error) from None


def load_engine(store: str, version: str | None = None, device: str = "auto") -> Engine:
    """The forecaster of the live version of a store, or of another version, ready to forecast; raises as `load_fitted`.

    Parameters
    ----------
    device : where its networks run, by its name in the settings
    """
    fitted = load_fitted(store, version)
    try:
        return Engine(fitted, device)
    except (ArtifactRefused, UsageError, RuntimeError) as error:
        raise refused_version(f"{store}/{version or Store(store).current()}", error) from None


def refused_version(place: str, error: Exception) -> ArtifactRefused:
    """The error of a version that holds no forecaster that can be used."""
    reason = str(error).split("\n")[0]
    return ArtifactRefused(f"{place}: {reason}")


def models_of(fitted: Fitted) -> list[str]:
    """What forecasts each series of the fit."""
    return fitted.mixture.names(np.arange(1, len(fitted.mixture.shares)))


def describe_fit(fitted: Fitted) -> list[str]:
    """What forecasts, and how it compares with seasonal naive on held-out values, as lines."""
    counts, series = Counter(models_of(fitted)), len(fitted.history)
    names = [name if count == series else f"{name} for {count:,} series" for name, count in counts.most_common()]
    sentence = verdict(fitted.config.scores, len(fitted.config.components))
    return [f"model    {', '.join(names)}", f"guard    {sentence}"]


def ranking_of(fitted: Fitted) -> list[str]:
    """The mean losses of all candidates on held-out values, the best first, as lines of a table."""
    return ranking(fitted.config.scores, fitted.settings().metric)
