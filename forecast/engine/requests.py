"""What is asked of `fit` and of `forecast`, and what they answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from forecast.artifacts.checkpoints import Checkpoints
from forecast.errors import Setting, UsageError, Words
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Columns, ForecastOptions, Forecasts, Part
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.reading.dated import normalised
from forecast.reading.reading import Reading, Source
from forecast.settings import (
    Every,
    OutputSettings,
    SumSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)
from forecast.tables.reading import load_table
from forecast.tables.table import Table
from forecast.threads import OnPart
from forecast.totals.sums import Totals
from forecast.training.context import OnStep, Rehearsal

INFERRED = TableSettings()  # all that can be inferred of a table is
OUTPUT = OutputSettings()


@dataclass(frozen=True)
class TableFile:
    """A table to be read: the path of a file or folder, a URI, ``-``, or ``synth:KIND``."""

    path: str
    text: TextSettings

    def load(self) -> tuple[Table, dict[str, Any]]:
        """The table, and the table settings that come with a synthetic one."""
        table, defaults = load_table(self.path, self.text)
        return normalised(table), defaults


@dataclass(frozen=True)
class ReadPanel:
    """A table that has been read, without its rows."""

    panel: Panel  # with a horizon of future slots
    schema: Schema  # how the table was read
    name: str  # of the table, for messages


@dataclass(frozen=True)
class Fold:
    """Progress of a backtest: `done` of `folds` are over, the newest of them by `model`."""

    done: int
    folds: int
    model: str


@dataclass(frozen=True)
class Callbacks:
    """Functions that receive the progress of long work."""

    # what was read and inferred, as lines, before training
    on_read: Callable[[list[str]], None] | None = None
    # each fit of a backtest with its forecasts
    on_fold: Callable[[Fold], None] | None = None
    # each step of training
    on_step: OnStep | None = None
    # each baseline that is compared: how many are done, and all
    on_baseline: OnPart | None = None


NO_CALLBACKS = Callbacks()


@dataclass(frozen=True)
class FitRequest:
    """A fit: of what, how, from when on, and what beside the forecaster is wanted."""

    source: Table | TableFile | Reading | ReadPanel
    settings: TrainSettings

    # how a table that has not been read yet is read
    table: TableSettings = INFERRED
    future: Table | None = None  # more rows of columns known in advance
    events: Any = None  # a table or frame of events, in the place of the setting
    reserved: tuple[str, ...] = ("forecast",)  # columns that the output will have
    periods: tuple[Every, ...] = ()  # whose next ends a horizon that is not set shall reach

    lags: tuple[int, ...] | None = None  # the seasons that are seen; default those the data show
    earlier: Fitted | None = None  # whose networks `warm_start` continues, where they fit
    started: float | None = None  # `time.monotonic()` from which a budget counts; default now
    callbacks: Callbacks = NO_CALLBACKS
    checkpoints: Checkpoints | None = None  # where training writes what it can resume from

    sums: bool = True  # whether sums of the forecasts will be asked for
    saves: bool = True  # whether a budget has to last until a version is saved
    exports: bool = False  # whether networks are exported
    rehearsal: Rehearsal | None = None  # gets what would be trained; nothing is


@dataclass(frozen=True)
class FitTask:
    """A request whose table has been read, as the stages of a fit take it."""

    panel: Panel
    schema: Schema
    name: str
    request: FitRequest
    deadline: float | None = None  # `time.monotonic()` at which training must be over

    @property
    def settings(self) -> TrainSettings:
        return self.request.settings


@dataclass(frozen=True)
class FitResult:
    reading: Reading | ReadPanel  # what was fitted
    fitted: Fitted


@dataclass(frozen=True)
class ForecastRequest:
    """A question to a fitted forecaster: what comes after which series, and in which tables."""

    source: Source | TableFile | Part | Panel | None = None  # default the series of the fit
    future: Table | None = None  # rows of columns known in advance
    origin: str | None = None  # the time of a table after which no value is used
    horizon: int | None = None  # fewer steps than at fit
    output: OutputSettings = OUTPUT
    sums: SumSettings | None = None
    allocate: bool = False  # whether the medians of the series add up to the sums
    paths: int | None = None  # how many paths of all series
    in_parts: bool = True  # whether a large file is forecast part by part

    # gets the grid position of the newest value before anything is forecast; may raise
    on_newest: Callable[[int], None] | None = None
    # gets the panel of a table that is read as a whole, and may raise or choose series and widths
    on_panel: Callable[[Panel], ForecastOptions | None] | None = None
    on_series: OnPart | None = None  # how many series are forecast, and all

    def check(self) -> None:
        """Refuse questions that exclude each other."""
        if self.output.shard and (self.sums or self.paths):
            problem = "sums are of all series, and have intervals of their own"
            raise UsageError(problem, setting=Setting("shard"), cure="leave it out")
        if not self.allocate:
            return
        kinds = self.sums and max(1, len(self.sums.sum_by), len(self.sums.sum_every))
        if kinds != 1:
            raise UsageError(
                "series add up to one kind of sums",
                setting=Setting("allocate"),
                cure=Words("name one, and a file for them with ", Setting("totals")),
            )
        if self.output.point == "mean":
            raise UsageError(
                "means add up as they are", setting=Setting("allocate"), cure="leave it out"
            )


@dataclass(frozen=True)
class Forecast:
    """An answer.

    Of a large table, sums and skipped series are complete once its parts are used up.
    """

    fitted: Fitted
    name: str  # of the table, for messages
    parts: Iterable[Forecasts]  # of whole series; one of a table that is read as a whole
    totals: Totals | None = None  # the sums that were asked for
    paths: Iterable[Columns] = ()
    # why series get none: ``{("store 7",): "missing"}``
    skipped: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all is forecast, so that sums and skipped series are complete."""
        return isinstance(self.parts, tuple)

    @property
    def whole(self) -> Forecasts:
        """All forecasts, of a table that is read as a whole."""
        (forecasts,) = self.parts
        return forecasts
