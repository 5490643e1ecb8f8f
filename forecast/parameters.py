"""Shared by the scikit-learn-style estimators: knobs as ``params__hidden_size``, cross-validation in order of time."""

import sys
from typing import Any, Self

from sklearn.exceptions import NotFittedError

from forecast.errors import ForecastError, UsageError, WrongSplit

PREFIX = "params__"


class NotFitted(ForecastError, NotFittedError):
    """A method that needs a fitted forecaster was called before fit."""

    exit_code = 66


class NestedParams:
    """Mix-in before `sklearn.base.BaseEstimator`: reads and sets entries of the dictionary `params`."""

    params: dict[str, Any] | None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments; with `deep` also the entries of `params`, as ``params__NAME``."""
        knobs: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep and isinstance(self.params, dict):  # fit refuses anything else
            knobs.update({PREFIX + name: value for name, value in self.params.items()})
        return knobs

    def set_params(self, **params: Any) -> Self:  # the signature is scikit-learn's
        """Set constructor arguments, or entries of `params` as ``params__NAME``."""
        nested = {name.removeprefix(PREFIX): value for name, value in params.items() if name.startswith(PREFIX)}
        flat = {name: value for name, value in params.items() if not name.startswith(PREFIX)}
        try:
            super().set_params(**flat)  # type: ignore[misc]
        except ValueError as error:
            raise UsageError(str(error)) from None
        if nested:
            self.params = {**(self.params or {}), **nested}
        return self


def refuse_other_rows(others: int, horizon: int) -> None:
    """Stop a cross-validation of scikit-learn if test rows do not come after those of the fit.

    Outside a cross-validation a table may hold the past too.

    Parameters
    ----------
    others : number of such test rows
    horizon : of the forecaster
    """
    frame = sys._getframe() if others else None
    while frame is not None:
        if frame.f_globals.get("__name__") == "sklearn.model_selection._validation":
            raise WrongSplit(
                f"{others:,} of the rows to score do not come after those of the fit: forecasts are cross-validated in "
                f"the order of time; pass cv=RollingOrigin(windows=3, horizon={horizon}), from forecast"
            )
        frame = frame.f_back
