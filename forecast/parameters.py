"""Parameters that the estimators share, with nested ones (``params__hidden_size``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypedDict

from sklearn.exceptions import NotFittedError

from forecast import settings as choices
from forecast.errors import ForecastError, Setting, UsageError
from forecast.inference.fitted import Fitted
from forecast.panel.dated import normalise
from forecast.registry import default_baselines
from forecast.settings import SIDE_TABLES, TableSettings, TrainSettings
from forecast.tables.reading import Data, table_from_frame
from forecast.tables.table import Table

Names = str | Sequence[str]
Levels = float | Sequence[float]  # in percent
Params = Mapping[str, object]  # hyperparameters of a model
SideTable = Data | str | tuple[object, ...]  # a table or its path, or its rows as they were read

BASELINES = default_baselines()
PREFIX = "params__"  # precedes the names of the entries of `params`


class NotFitted(ForecastError, NotFittedError, exit_code=66):
    """A method that needs a fitted forecaster was called before fit."""


class OutputParams(TypedDict, total=False):
    """The settings of the numbers that are forecast, as in `OutputSettings`."""

    levels: Levels | None
    quantiles: Levels
    point: choices.Point
    min: float | None
    max: float | None
    integer: bool


class NestedParams:
    """Mix-in before `BaseEstimator` for the entries of `params`."""

    params: Params | None

    def get_params(self, deep: bool = True) -> dict[str, object]:
        """Return constructor arguments; if `deep`, also entries of `params` as ``params__NAME``."""
        params: dict[str, object] = super().get_params(deep=False)  # type: ignore[misc]
        if deep and isinstance(self.params, Mapping):  # fit refuses anything else
            params.update({PREFIX + name: value for name, value in self.params.items()})
        return params

    def set_params(self, **params: object) -> Self:  # the signature is scikit-learn's
        """Set constructor arguments, or entries of `params` as ``params__NAME``."""
        flat = {}
        nested = {}
        for name, value in params.items():
            if name.startswith(PREFIX):
                nested[name.removeprefix(PREFIX)] = value
            else:
                flat[name] = value
        try:
            super().set_params(**flat)  # type: ignore[misc]
        except ValueError as error:
            raise UsageError(str(error)) from None
        if nested:
            self.params = {**(self.params or {}), **nested}
        return self


@dataclass(eq=False, repr=False)
class ForecasterParams(NestedParams):
    """The constructor of a `Forecaster`, its arguments as settings, and whether it is fitted."""

    fitted_: Fitted = field(init=False)

    model: str = "auto"
    params: Params | None = None
    horizon: int | None = None
    lookback: int | None = None
    scaling: choices.ScalingName | None = None
    transform: choices.TransformName = "none"
    loss: choices.LossName = "quantile"
    learning_rate: float = 0.004
    weight_decay: float = 0.01
    clip: float = 1.0
    batch_size: int | None = None
    patience: int = 8
    budget: float | None = None
    steps: int | None = None
    members: int | None = None
    jobs: int | None = None
    baselines: Names = BASELINES
    hierarchy: Names = ()
    guard: bool = True
    metric: str = "mase"
    warm_start: bool = False
    seed: int = 0
    device: choices.DeviceName = "auto"
    engine: choices.EngineName = "auto"
    layout: choices.Layout | None = None
    time: Names = ()
    id: Names = ()
    target: Names = ()
    freq: str | None = None
    aggregate: choices.Aggregate | None = None
    season: int | Sequence[int] = ()
    known: Names = ()
    past: Names = ()
    static: Names = ()
    categorical: Names = ()
    monotone: Names = ()
    holidays: str | None = None
    events: SideTable | None = None
    successors: SideTable | None = None
    overrides: SideTable | None = None
    date_format: str | None = None
    timezone: str | None = None
    dst: choices.ClockChange = "error"
    on_duplicate: choices.OnDuplicate = "error"
    max_missing: float = 0.5
    missing: choices.MissingRows = "unknown"
    unfinished: choices.Unfinished = "leave out"
    strict: bool = False

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fitted_")

    def _check_fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise NotFitted("this Forecaster is not fitted yet; call fit first")
        return self.fitted_

    def _refuse_y(self, y: object) -> None:
        """Refuse a `y`, which other estimators need: here the target is a column of X."""
        if y is not None:
            cure = f"leave it out, and name the column with {Setting('target')}"
            raise UsageError("what is forecast is a column of X", setting=Setting("y"), cure=cure)

    def _settings(self) -> tuple[TrainSettings, TableSettings]:
        training = self.get_params(deep=False)
        table = {name: training.pop(name) for name in TableSettings.model_fields}
        # tables in memory are taken as they are
        frames = {name: table.pop(name) for name in SIDE_TABLES if not isinstance(table[name], str)}
        settings = TableSettings.check(table).model_copy(update=frames)
        return TrainSettings.check(training), settings


def convert_table(data: Data) -> Table:
    """Convert what a user passes into a normalised table."""
    return normalise(table_from_frame(data))
