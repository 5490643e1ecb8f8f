"""What is asked of `fit` and of `forecast`, and what they answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from forecast.errors import Setting, UsageError
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Columns, ForecastPart, Forecasts
from forecast.panel.dated import normalise
from forecast.panel.infer import Reading, Source
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema
from forecast.settings import (
    Every,
    OutputSettings,
    SumSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)
from forecast.tables.reading import read_table
from forecast.tables.table import Table
from forecast.threads import OnPart
from forecast.totals.sums import Totals
from forecast.training.plan import OnStep

INFERRED = TableSettings()  # everything that can be inferred of a table is inferred
DEFAULT_OUTPUT = OutputSettings()


@dataclass(frozen=True)
class TableFile:
    """A table to be read: the path of a file or folder, a URI, ``-``, or ``synth:KIND``."""

    path: str
    text: TextSettings

    def load(self) -> Table:
        return normalise(read_table(self.path, self.text))


@dataclass(frozen=True)
class ReadPanel:
    """A table that has been read, without its rows."""

    panel: Panel  # with a horizon of future slots
    schema: Schema  # how the table was read
    name: str  # of the table, for messages


@dataclass(frozen=True)
class Fold:
    """The progress of a backtest: `done` of `folds` are finished, the last one by `model`."""

    done: int
    folds: int
    model: str


@dataclass(frozen=True)
class Callbacks:
    """Functions that are called with the progress of long work."""

    # called before training with lines on what was read and inferred
    on_read: Callable[[list[str]], None] | None = None
    # called after each fit of a backtest and its forecasts
    on_fold: Callable[[Fold], None] | None = None
    # called after each training step
    on_step: OnStep | None = None
    # called after each baseline with the number of baselines done and of all
    on_baseline: OnPart | None = None


NO_CALLBACKS = Callbacks()


@dataclass(frozen=True)
class FitRequest:
    """What a fit is made from, with which settings, and what is wanted beside the forecaster."""

    source: Table | TableFile | Reading | ReadPanel
    settings: TrainSettings

    # table settings, for a table that has not been read yet
    table: TableSettings = INFERRED
    future: Table | None = None  # more rows of columns known in advance
    reserved: tuple[str, ...] = ("forecast",)  # columns that the output will have
    periods: tuple[Every, ...] = ()  # a horizon that is not set reaches the ends of these

    lags: tuple[int, ...] | None = None  # the seasons in steps; default: inferred from the data
    earlier: Fitted | None = None  # `warm_start` continues its networks, if they fit
    started: float | None = None  # `time.monotonic()` at which the budget starts; default: now
    callbacks: Callbacks = NO_CALLBACKS

    sums: bool = True  # whether sums of the forecasts will be asked for
    saves: bool = True  # whether a budget has to last until a version is saved
    exports: bool = False  # whether networks are exported


@dataclass(frozen=True)
class FitTask:
    """A request whose table has been read: the input of the stages of a fit."""

    panel: Panel
    schema: Schema
    name: str
    request: FitRequest
    deadline: float | None = None  # `time.monotonic()` at which training must be over

    @property
    def settings(self) -> TrainSettings:
        return self.request.settings


@dataclass(frozen=True)
class ForecastRequest:
    """A question to a fitted forecaster: which series to forecast, and which tables to return."""

    source: Source | TableFile | ForecastPart | Panel | None = None  # default: series of the fit
    future: Table | None = None  # rows of columns known in advance
    origin: str | None = None  # time after which no value of the table is used
    horizon: int | None = None  # fewer steps than at fit
    output: OutputSettings = DEFAULT_OUTPUT
    sums: SumSettings | None = None
    paths: int | None = None  # number of sample paths of all series
    overrides: Any = None  # a table, frame or path of forecasts set by hand
    orders: Any = None  # a table, frame or path of items, see `order_columns`
    sheet: bool = False  # whether a sheet of overrides is wanted
    in_parts: bool = True  # whether a large file is forecast part by part

    # called with the grid position of the newest value before anything is forecast; may raise
    on_newest: Callable[[int], None] | None = None
    # chooses series of a table that is read as a whole by their index; default: all
    choose: Callable[[Panel], Integers] | None = None
    on_series: OnPart | None = None  # called with the number of series done and of all

    def check(self) -> None:
        """Refuse fields that exclude each other."""
        if self.overrides is not None and self.paths:
            problem = "paths are those of the model"
            raise UsageError(problem, setting=Setting("overrides"), cure="leave it out")
        if self.orders is not None and self.sums is not None:
            problem = "orders and sums are two tables"
            raise UsageError(problem, setting=Setting("orders"), cure="ask for one of them")


@dataclass(frozen=True)
class Forecast:
    """The answer to a `ForecastRequest`.

    The sums and skipped series of a large table are complete after the last of its parts.
    """

    fitted: Fitted
    name: str  # of the table, for messages
    parts: Iterable[Forecasts]  # of whole series each; a single one if the table is read as a whole
    totals: Totals | None = None  # the sums that were asked for
    paths: Iterable[Columns] = ()
    orders: Columns | None = None  # what to order, if that was asked
    sheet: Columns | None = None  # of overrides, if that was asked
    # why series get no forecast: ``{("store 7",): "missing"}``
    skipped: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all parts are forecast, so that sums and skipped series are complete."""
        return isinstance(self.parts, tuple)

    @property
    def whole(self) -> Forecasts:
        """The forecasts of a table that is read as a whole."""
        (forecasts,) = self.parts
        return forecasts
