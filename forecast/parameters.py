"""Shared by the scikit-learn-style estimators: nested settings (``params__hidden_size``), names of other libraries."""

import sys
from typing import Any, Self

from sklearn.exceptions import NotFittedError

from forecast.errors import ForecastError, UsageError, WrongSplit
from forecast.settings import ALIASES

PREFIX = "params__"


class NotFitted(ForecastError, NotFittedError):
    """A method that needs a fitted forecaster was called before fit."""

    exit_code = 66


class NestedParams:
    """Mix-in before `sklearn.base.BaseEstimator`: entries of the dictionary `params`, and the names of `ALIASES`.

    A constructor also takes aliases, which are None by default; the setting alone is an attribute and a parameter.
    """

    params: dict[str, Any] | None

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return [name for name in super()._get_param_names() if name not in ALIASES]  # type: ignore[misc]

    def _store(self, arguments: dict[str, Any]) -> None:
        """Keep the arguments of the constructor as attributes."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])
        for alias, name in ALIASES.items():
            if arguments.get(alias) is not None:
                setattr(self, name, arguments[alias])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments; with `deep` also the entries of `params`, as ``params__NAME``."""
        params: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep and isinstance(self.params, dict):  # fit refuses anything else
            params.update({PREFIX + name: value for name, value in self.params.items()})
        return params

    def set_params(self, **params: Any) -> Self:  # the signature is scikit-learn's
        """Set constructor arguments, or entries of `params` as ``params__NAME``."""
        nested = {name.removeprefix(PREFIX): value for name, value in params.items() if name.startswith(PREFIX)}
        flat = {ALIASES.get(name, name): value for name, value in params.items() if not name.startswith(PREFIX)}
        try:
            super().set_params(**flat)  # type: ignore[misc]
        except ValueError as error:
            raise UsageError(str(error)) from None
        if nested:
            self.params = {**(self.params or {}), **nested}
        return self


def refuse_other_rows(others: int, horizon: int) -> None:
    """Stop a cross-validation of scikit-learn in which `others` test rows do not come after those of the fit.

    Outside a cross-validation a table may hold the past too.
    """
    frame = sys._getframe() if others else None
    while frame is not None:
        if frame.f_globals.get("__name__") == "sklearn.model_selection._validation":
            raise WrongSplit(
                f"{others:,} of the rows to score do not come after those of the fit: forecasts are cross-validated in "
                f"the order of time; pass cv=RollingOrigin(windows=3, horizon={horizon}), from forecast"
            )
        frame = frame.f_back
