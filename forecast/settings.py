"""Declare every shared setting once: default, bounds, choices and help stand on one field."""

import math
import re
from collections.abc import Collection, Mapping
from itertools import permutations
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from forecast.errors import Setting, UsageError, did_you_mean
from forecast.registry import METRICS, default_baselines

# of an interval, in percent; the quantiles of forecasts end at the highest
LOWEST_LEVEL = 1
HIGHEST_LEVEL = 99
LOWEST_QUANTILE = (100 - HIGHEST_LEVEL) / 2  # in percent; the highest is as far from 100
INTERVALS = (80.0, 95.0)  # levels that forecasts, measures and the ledger have by default
MAX_SHARDS = 100_000
MAX_AHEAD = 10_000
# settings that a saved forecaster takes, too
AFTER_FIT = ("strict", "on_duplicate", "date_format", "unfinished")
# settings that name a table beside that of the series; a forecaster takes a newer one after its fit
SIDE_TABLES = ("events", "successors", "overrides")
_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}

# marks of settings, for help and for pipeline files
PATH_MARK = "the path of a file or folder; in a pipeline file it starts at the folder of that file"
FilePath = Annotated[str, PATH_MARK, Field(min_length=1)]
WHOLE_ITEMS = "a list whose items may contain commas; each is an option of its own"
Kind = TypeVar("Kind")
Facts = dict[str, Any]
"""Plain values by name, as JSON and TOML have them."""
SHOWN_FIRST = "a setting that help shows at once, not only with --help-all"
First = Annotated[Kind, SHOWN_FIRST]
Layout = Literal["long", "wide", "rows"]
Aggregate = Literal["sum", "mean", "last"]
PERIODS = ("day", "week", "month", "quarter", "year", "horizon")
ClockChange = Literal["earlier", "later", "error"]
OnDuplicate = Literal["error", "first", "last", "mean", "sum"]
MissingRows = Literal["zero", "unknown"]
Unfinished = Literal["warn", "keep", "leave out"]
DecimalMark = Literal[".", ","]
ScalingName = Literal["standard", "robust", "mean", "last", "none"]
TransformName = Literal["none", "log", "power"]
LossName = Literal["quantile", "mae", "mse", "huber"]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
EngineName = Literal["auto", "torch", "onnx"]
Point = Literal["median", "mean"]


def _as_many(given: object) -> object:
    """Take one name or number as a list of one, and None as an empty list."""
    if given is None:
        return ()
    given = given.tolist() if hasattr(given, "tolist") else given  # of numpy and pandas
    return (given,) if isinstance(given, str | int | float) else given


def names_in(given: object) -> object:
    """Take one text as the names or numbers that its commas part; else as `_as_many`."""
    if not isinstance(given, str):
        return _as_many(given)
    return tuple(name.strip() for name in given.split(",") if name.strip())


def _as_text(given: object) -> object:
    return str(given) if type(given) is int else given


Names = Annotated[tuple[str, ...], BeforeValidator(names_in)]
Seasons = Annotated[tuple[Annotated[int, Field(ge=2, le=100_000)], ...], BeforeValidator(names_in)]


def _check_level(level: float) -> float:
    if not LOWEST_LEVEL <= level <= HIGHEST_LEVEL:
        raise ValueError(f"intervals have levels of {LOWEST_LEVEL} to {HIGHEST_LEVEL} percent")
    return level


Level = Annotated[float, AfterValidator(_check_level)]
Levels = Annotated[tuple[Level, ...], BeforeValidator(names_in)]


def _check_quantiles(quantiles: tuple[float, ...]) -> tuple[float, ...]:
    highest = 100 - LOWEST_QUANTILE
    if not all(LOWEST_QUANTILE <= quantile <= highest for quantile in quantiles):
        raise ValueError(f"quantiles are {LOWEST_QUANTILE} to {highest} percent")
    if quantiles and max(quantiles) < 1:
        raise ValueError("quantiles are percent: 95 in the place of 0.95")
    shown = {float(f"{quantile:g}") for quantile in quantiles}
    if tuple(sorted(shown)) != quantiles:
        raise ValueError("quantiles ascend, and each comes once, with at most 6 digits")
    return quantiles


Quantiles = Annotated[
    tuple[float, ...], BeforeValidator(names_in), AfterValidator(_check_quantiles)
]


def interval_levels(level: float) -> tuple[float, float]:
    """The quantile levels of both ends of the central interval of `level` percent."""
    return (1 - level / 100) / 2, (1 + level / 100) / 2


def find_intervals(columns: Mapping[str, float]) -> dict[float, tuple[int, int]]:
    """The central intervals whose both ends are among columns of quantiles, by level in percent.

    `columns` are those of `OutputSettings.columns`; the ends are numbers of columns.
    """
    levels = list(columns.values())
    intervals = dict[float, tuple[int, int]]()
    for low, high in permutations(range(len(levels)), 2):
        if levels[low] < 0.5 and math.isclose(levels[low] + levels[high], 1):
            level = round(100 * (levels[high] - levels[low]), 6)
            intervals[level] = low, high
    return intervals


def steps_of_next(every: str) -> int | None:
    """The steps of a period such as "next 9", which begins after the origin; else None."""
    count = re.fullmatch("next ([1-9][0-9]{0,3})", every)  # at most as long as a horizon
    return None if count is None else int(count[1])


def _check_period(every: str) -> str:
    if every not in PERIODS and steps_of_next(every) is None:
        hint = did_you_mean(every, list(PERIODS))
        raise ValueError(f"a period is one of {', '.join(PERIODS)}, or such as 'next 9'{hint}")
    return every


Every = Annotated[str, AfterValidator(_check_period)]


class Heading(str):
    """Marks a setting: the purpose under which the help of a command lists it."""


Series = Annotated[tuple[str, ...], BeforeValidator(_as_many), WHOLE_ITEMS]
OnCalendar = Annotated[Kind, Heading("Calendar")]
OfRows = Annotated[Kind, Heading("Rows")]
Optimizing = Annotated[Kind, Heading("Optimizer")]
Training = Annotated[Kind, Heading("Training")]

PeriodNames = Annotated[tuple[Every, ...], BeforeValidator(_as_many), WHOLE_ITEMS]


def parse_duration(duration: str) -> float:
    """Seconds of a duration such as 90min, 36h, 2d or 1w; ValueError if the text is none."""
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|d|w)", duration.strip())
    if parts is None:
        raise ValueError(
            "a duration is written as a number and s, min, h, d or w, such as 36h or 2d"
        )
    return float(parts[1]) * _SECONDS[parts[2]]


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


Duration = Annotated[str, AfterValidator(_check_duration)]


def _check_ahead(text: str) -> str:
    return text if text.isdigit() and int(text) > 0 else _check_duration(text)


Ahead = Annotated[str, AfterValidator(_check_ahead)]
"""A duration, or a number of steps."""


class Stored(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True):
    """Frozen values, stored as JSON; unknown names and numbers that are not finite are refused."""


class SettingsGroup(Stored):
    """A frozen group of settings.

    A field with ``repr=False`` holds a secret: no message shows its value.
    """

    model_config = ConfigDict(validate_default=True)

    heading: ClassVar[str] = ""  # under which help lists those that have no `Heading`

    def __init_subclass__(cls, heading: str = "") -> None:
        cls.heading = heading or cls.heading

    @classmethod
    def check(
        cls,
        values: Mapping[str, object],
        where: str = "",
        hidden: Collection[str] = (),
        within: str | None = None,
    ) -> Self:
        """Build the group; a UsageError names a setting that is unknown or out of bounds.

        Its message begins with `where`, and shows no values of settings that are `hidden`. `within`
        is the name of the setting that has these entries, `params` for a model's hyperparameters.
        """
        for name, value in values.items():
            if name not in cls.model_fields:
                hint = did_you_mean(name, list(cls.model_fields))
                names = ", ".join(sorted(cls.model_fields)) or "none"
                raise UsageError(f"{where}unknown setting '{name}'{hint} (settings here: {names})")
            kind = cls.model_fields[name].annotation
            if isinstance(value, bool) and bool not in (kind, *get_args(kind)):
                raise UsageError(f"{where}{name} cannot be true or false")  # which would be 1 or 0
        try:
            return cls(**values)
        except ValidationError as error:
            problem = error.errors()[0]
        reason = problem["msg"].removeprefix("Value error, ")
        reason = reason[:1].lower() + reason[1:]
        if not problem["loc"]:
            raise UsageError(f"{where}{reason}")
        name = str(problem["loc"][0])
        value = problem["input"]
        setting: object = Setting(name, value)
        if within is not None:
            setting = Setting(within, {name: value})
        field = cls.model_fields.get(name)
        if name in hidden or (field is not None and not field.repr):
            setting = name
        raise UsageError(f"{where}{setting}: {reason}")


def find_settings(settings: SettingsGroup, mark: str) -> dict[str, str]:
    """The settings that are given and whose type, such as `FilePath`, has a mark; by name."""

    def has_mark(kind: Any) -> bool:
        return mark in getattr(kind, "__metadata__", ()) or any(map(has_mark, get_args(kind)))

    values = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if value is not None and (mark in field.metadata or has_mark(field.annotation)):
            values[name] = value
    return values


class TextSettings(SettingsGroup, heading="File"):
    """How the bytes of a file become columns."""

    encoding: str | None = Field(
        default=None, description="text encoding; default UTF-8, or UTF-16 with a byte order mark"
    )
    delimiter: str | None = Field(
        default=None, description="column separator; default: comma, semicolon, tab or bar"
    )
    decimal: DecimalMark | None = Field(
        default=None, description="decimal mark; default: inferred from the numbers"
    )
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(
        default=None, description="thousands separator; default none"
    )
    sheet: Annotated[str | None, BeforeValidator(_as_text)] = Field(
        default=None,
        description="sheet of a workbook, by name or number; default: the first sheet with content",
    )
    header_row: int | None = Field(
        default=None, ge=1, description="row with the names of columns, from 1; default: found"
    )
    skip_rows: int | None = Field(
        default=None, ge=0, description="number of rows at the top to leave out; default none"
    )


UNFINISHED_FIELD: Unfinished = Field(
    default="leave out",
    description="what to do with values of a last period that is not over, or ends early: such "
    "as today's",
)


def holiday_columns(holidays: str | None) -> tuple[str, ...]:
    """The column with the holiday code of each series, as a tuple; empty without such a column."""
    _, colon, column = (holidays or "").partition(":")
    return (column,) if colon else ()


class TableSettings(SettingsGroup, heading="Columns"):
    """How the columns of a table become series on a calendar."""

    layout: Layout | None = Field(
        default=None, description="series in columns (wide), rows (rows) or by id (long)"
    )
    time: Names = Field(
        default=(),
        description="time column, or columns such as year,month; default: the column of times",
    )
    id: First[Names] = Field(
        default=(), description="id column(s) of a long table, comma-separated; default: inferred"
    )
    target: First[Names] = Field(
        default=(),
        description="target column, in a wide table those to forecast; default: inferred",
    )
    freq: First[OnCalendar[str | None]] = Field(
        default=None,
        description="frequency, e.g. h, 15min, D, B, W, MS, QS, YS, or 1 for numbered steps; "
        "default: inferred",
    )
    aggregate: OnCalendar[Aggregate | None] = Field(
        default=None, description="how rows of a finer table make one of --freq"
    )
    season: OnCalendar[Seasons] = Field(
        default=(), description="season length(s) in steps, as 24,168; default by frequency"
    )
    known: First[Names] = Field(
        default=(), description="covariates whose future values are known, comma-separated"
    )
    past: Names = Field(
        default=(),
        description="covariates known only up to the last observed time, comma-separated",
    )
    static: Names = Field(
        default=(), description="covariates with one value for each series, comma-separated"
    )
    categorical: Names = Field(
        default=(), description="covariates whose numbers are categories, comma-separated"
    )
    monotone: Names = Field(
        default=(),
        description="signs of what known columns do, as price:-,promo:+, which forecasts keep",
    )
    holidays: First[OnCalendar[str | None]] = Field(
        default=None,
        description="country code of holidays, or column:NAME (or DE:NAME for parts) for one a series",
    )
    events: First[OnCalendar[FilePath | None]] = Field(
        default=None,
        description="file of promotions, closed days, stock-outs: date (or start, end), name, "
        "kind, id columns",
    )
    successors: First[OnCalendar[FilePath | None]] = Field(
        default=None,
        description="file of series that start with another's past",
    )
    overrides: First[Annotated[FilePath | None, Heading("Forecasts")]] = Field(
        default=None,
        description="forecasts set by hand, for now and predict: file with id columns, time (or "
        "from, to), value, who, why",
    )
    date_format: OnCalendar[str | None] = Field(
        default=None,
        description="strptime format of the time column, e.g. %d/%m/%Y",
    )
    timezone: OnCalendar[str | None] = Field(
        default=None, description="zone of times without one, e.g. Europe/Berlin"
    )
    dst: OnCalendar[ClockChange] = Field(
        default="error", description="which time an hour means that clocks repeat or skip"
    )
    on_duplicate: OfRows[OnDuplicate] = Field(
        default="error", description="what to do with rows of the same series and time"
    )
    max_missing: OfRows[float] = Field(
        default=0.5, ge=0, le=1, description="series with a larger share missing are skipped"
    )
    missing: OfRows[MissingRows] = Field(
        default="unknown",
        description="what absent rows mean: unknown, or zero from a series' first row to the "
        "last time",
    )
    unfinished: OfRows[Unfinished] = UNFINISHED_FIELD
    strict: OfRows[bool] = Field(
        default=False,
        description="refuse titles and totals around a table, and levels moved tenfold",
    )


class TrainSettings(SettingsGroup, heading="Model"):
    """What is trained, how, and for how long."""

    model: First[str] = Field(
        default="auto",
        description="auto (compares several, combines the best), a model or a baseline",
    )
    params: dict[str, Any] | None = Field(
        default=None, description="hyperparameters of the model; see `forecast models NAME`"
    )
    horizon: First[int | None] = Field(
        default=None, ge=1, le=MAX_AHEAD, description="steps to forecast; default by frequency"
    )
    lookback: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="steps a forecast looks back; default by horizon",
    )
    scaling: ScalingName | None = Field(
        default=None,
        description="how each window is scaled by its own past; default standard, or chosen on "
        "held-out values",
    )
    transform: TransformName = Field(
        default="none", description="transform of the target before scaling; power is Box-Cox"
    )
    loss: Optimizing[LossName] = Field(default="quantile", description="loss of the point forecast")
    learning_rate: Optimizing[float] = Field(
        default=0.004, gt=0, le=1, description="peak learning rate, after warm-up"
    )
    weight_decay: Optimizing[float] = Field(
        default=0.01, ge=0, le=1, description="weight decay of AdamW"
    )
    clip: Optimizing[float] = Field(default=1.0, gt=0, description="maximum norm of the gradient")
    batch_size: Optimizing[int | None] = Field(
        default=None, ge=1, le=65_536, description="windows a step; default by the data"
    )
    patience: Optimizing[int] = Field(
        default=8, ge=1, le=1_000_000, description="validations without gain that end training"
    )
    budget: First[Training[float | None]] = Field(
        default=None, gt=0, description="seconds for all, from reading to saving"
    )
    steps: Training[int | None] = Field(
        default=None, ge=1, le=1_000_000_000, description="training steps; default by the data"
    )
    members: Training[int | None] = Field(
        default=None,
        ge=1,
        le=64,
        description="networks of a kind, whose median is the forecast; default by the data",
    )
    jobs: Training[int | None] = Field(
        default=None,
        ge=1,
        description="networks, fits of a backtest or shards side by side; default by cores if "
        "faster",
    )
    baselines: Names = Field(
        default_factory=default_baselines,
        description="baselines to combine with; default: quick ones of `forecast models`",
    )
    hierarchy: Series = Field(
        default=(),
        description="train on the sums by these id columns, comma-separated, or of all series, "
        "too, and make forecasts "
        "agree with theirs if that lowers errors: columns or all; may be given several times",
    )
    guard: bool = Field(
        default=True,
        description="give baselines a share where their errors on held-out values justify it",
    )
    metric: str = Field(
        default="mase",
        description=f"error measure by which models are compared: {', '.join(METRICS)}, or that of "
        "another package",
    )
    warm_start: Training[bool] = Field(
        default=False, description="start from the networks of the live version or previous fit"
    )
    seed: Training[int] = Field(
        default=0, ge=0, lt=2**31, description="seed of every random choice"
    )
    device: Training[DeviceName] = Field(default="auto", description="where networks run")
    engine: Training[EngineName] = Field(
        default="auto", description="what runs networks; auto: onnx if installed and exported"
    )


class ClusterSettings(SettingsGroup, heading="Machines"):
    """Where parallel work runs, and how a large table is divided."""

    cluster: str | None = Field(
        default=None, description="ray://HOST:PORT, ray://auto (this machine) or dask://HOST:PORT"
    )
    shards: int | None = Field(
        default=None,
        ge=1,
        le=MAX_SHARDS,
        description="forecast the table in parts, a file each; default 16 with --cluster",
    )


class BacktestSettings(SettingsGroup, heading="Origins"):
    """From which origins in the past a backtest forecasts."""

    windows: First[int | None] = Field(
        default=None, ge=1, le=1000, description="origins; default 8, fewer for a short table"
    )
    step: First[int | None] = Field(
        default=None, ge=1, description="steps between two origins; default the horizon"
    )
    refit: First[bool] = Field(
        default=False,
        description="fit at each origin; default one fit, at the oldest, for all of them",
    )


class CheckSettings(SettingsGroup, heading="Checks"):
    """Checks of a table before anything is forecast from it."""

    warn_after: Duration | None = Field(
        default=None, description="warn if the newest value is this old, such as 36h or 2d"
    )
    error_after: First[Duration | None] = Field(
        default=None, description="exit with 4 if the newest value is this old, as 3d"
    )
    require_all: First[bool] = Field(
        default=False, description="exit with 3 if a series of the fit is missing or has ended"
    )


class OutputSettings(SettingsGroup, heading="Forecasts"):
    """What a table of forecasts contains."""

    levels: First[Levels] = Field(
        default=INTERVALS, description="levels in percent, 1 to 99, comma-separated"
    )
    quantiles: First[Quantiles] = Field(
        default=(),
        description="in place of intervals the columns p10,p50,p90 and so on, in percent, 0.5 to "
        "99.5, ascending",
    )
    point: Point = Field(default="median", description="which number the column forecast contains")
    min: float | None = Field(
        default=None,
        description="lower bound of all forecasts, -inf for none; default 0 for a series "
        "without values below 0",
        allow_inf_nan=True,
    )
    max: float | None = Field(default=None, description="upper bound of all forecasts")
    integer: First[bool] = Field(default=False, description="round all forecasts to whole numbers")
    explain: bool = Field(default=False, description="add the columns model and status")
    excel_safe: bool = Field(
        default=False, description="put ' before names that a spreadsheet would take for a formula"
    )

    @property
    def columns(self) -> dict[str, float]:
        """The columns of quantiles, with their levels: ``{"lo_80": 0.1, "hi_80": 0.9}``."""
        columns = dict[str, float]()
        for level in self.levels:
            columns[f"lo_{level:g}"], columns[f"hi_{level:g}"] = interval_levels(level)
        return columns | {f"p{quantile:g}": quantile / 100 for quantile in self.quantiles}

    @property
    def usual(self) -> Self:
        """The same output with the intervals that the ledger keeps."""
        return self.model_copy(update={"levels": INTERVALS, "quantiles": ()})

    @model_validator(mode="before")
    @classmethod
    def _quantiles_or_levels(cls, values: dict[str, Any]) -> dict[str, Any]:
        if not names_in(given := values.get("quantiles")):
            if isinstance(given, str):
                raise ValueError("quantiles are blank: name some, such as 10,50,90")
            return values
        if names_in(values.get("levels")):
            raise ValueError("quantiles stand in the place of intervals; leave out levels")
        return values | {"levels": ()}

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and not self.min < math.inf:  # NaN too
            raise ValueError(f"min {self.min:g}: a lower bound is a number, or -inf for none")
        if self.min is None or self.max is None:
            return self
        if self.min > self.max:
            raise ValueError("min lies above max")
        holds_no_whole_number = math.isfinite(self.min) and math.ceil(self.min) > math.floor(
            self.max
        )
        if self.integer and holds_no_whole_number:
            problem = f"no whole number lies between min {self.min:g} and max {self.max:g}"
            raise ValueError(f"{problem}; leave out integer, or move one")
        return self


class SumSettings(SettingsGroup, heading="Sums"):
    """Sums of forecasts over groups of series and over time."""

    sum_by: First[Series] = Field(
        default=(),
        description="sum over series alike in these id or static columns, or over all; may be "
        "given several times",
    )
    sum_every: First[PeriodNames] = Field(
        default=(),
        description="sum over time: day, week, month, quarter, year, horizon, or such as 'next 9' "
        "for the first 9 steps; may be given several times",
    )


class PictureSettings(SettingsGroup, heading="Picture"):
    """Which series a picture shows, and how much of their past."""

    series: First[Series] = Field(
        default=(), description="a series to draw, such as EWR/UA; may be given several times"
    )
    count: First[int] = Field(
        default=6,
        ge=1,
        le=100,
        description="series to draw if none is named: the worst, or the first",
    )
    history: First[int | None] = Field(
        default=None,
        ge=1,
        le=100_000,
        description="steps of the past to draw; default 3 horizons, and 2 seasons at least",
    )


class LagSettings(SettingsGroup, heading="Accuracy at a lag"):
    """Scores of the forecasts that were made a given time ahead."""

    lag: First[Ahead | None] = Field(
        default=None,
        description="score the forecasts that were made so long before, such as 3w, or a number of "
        "steps",
    )
    lag_over: First[Ahead | None] = Field(
        default=None,
        description="with a lag: of times that are no older than this; default all in the ledger",
    )


class StoreSettings(SettingsGroup, heading="Store"):
    """Where versions are saved, and how many."""

    store: First[FilePath] = Field(
        default="forecast-model", description="folder of the saved versions"
    )
    keep: int = Field(default=5, ge=1, description="number of versions that stay in the store")
    wait: float = Field(
        default=0.0, ge=0, description="seconds to wait while another process holds the store"
    )


DEFAULT_STORE = StoreSettings.model_construct()
"""The defaults of a store."""
