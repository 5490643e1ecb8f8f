"""What the scikit-learn-style estimators share: knobs of the model reached as ``params__hidden_size``."""

from typing import Any, Self

from forecast.errors import UsageError

PREFIX = "params__"


class NestedParams:
    """Mix-in before `sklearn.base.BaseEstimator`: reads and sets entries of the dictionary `params`."""

    params: dict[str, Any] | None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments; with `deep` also the entries of `params`, as ``params__NAME``."""
        found: dict[str, Any] = super().get_params(deep=False)  # type: ignore[misc]
        if deep and isinstance(self.params, dict):  # anything else waits for fit, which refuses it
            found.update({PREFIX + name: value for name, value in self.params.items()})
        return found

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
