"""Every shared knob, declared once: default, bounds, choices and help stand on one field."""

import math
import re
from collections.abc import Collection
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from forecast.errors import Setting, UsageError, Words, did_you_mean


def _as_many(given: object) -> object:
    """One name or number stands for a list of one, None for an empty one."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str | int | float) else given


def _as_text(given: object) -> object:
    """A whole number stands for its text."""
    return str(given) if type(given) is int else given


Names = Annotated[tuple[str, ...], BeforeValidator(_as_many)]
Seasons = Annotated[tuple[Annotated[int, Field(ge=2, le=100_000)], ...], BeforeValidator(_as_many)]
Levels = Annotated[tuple[Annotated[float, Field(ge=50, le=99)], ...], BeforeValidator(_as_many)]

FILE = (
    "the path of a file or folder"  # marks a setting: in a pipeline file a relative path starts at that file's folder
)
FilePath = Annotated[str, FILE]

Metric = Literal["mase", "rmsse", "mae", "rmse", "smape"]

_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def _check_duration(text: str) -> str:
    seconds_of(text)
    return text


Duration = Annotated[str, AfterValidator(_check_duration)]


def seconds_of(duration: str) -> float:
    """Seconds of a duration such as 90min, 36h, 2d or 1w.

    Raises
    ------
    ValueError
        If it is not written so.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|d|w)", duration.strip())
    if found is None:
        raise ValueError("a duration is written as a number and s, min, h, d or w, such as 36h or 2d")
    return float(found[1]) * _SECONDS[found[2]]


class Knobs(BaseModel):
    """A frozen group of knobs; a wrong value or name is a `UsageError` that says how to mend it.

    A field with ``repr=False`` holds a secret: no message shows its value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @classmethod
    def check(
        cls, values: dict[str, Any], where: str = "", hidden: Collection[str] = (), within: str | None = None
    ) -> Self:
        """Build the group from `values`.

        Parameters
        ----------
        where : begins the message of an error
        hidden : names whose values no message may show, beside those of secret fields
        within : the setting whose entries these are, `params` for a model's own knobs

        Raises
        ------
        UsageError
            If a name is unknown (with the nearest known one) or a value is out of bounds.
        """
        for name in values:
            if name not in cls.model_fields:
                hint = did_you_mean(name, list(cls.model_fields))
                known = ", ".join(sorted(cls.model_fields)) or "none"
                raise UsageError(f"{where}unknown setting '{name}'{hint} (settings here: {known})")
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name, value = str(first["loc"][0]) if first["loc"] else "", first["input"]
            secret = name in hidden or (name in cls.model_fields and not cls.model_fields[name].repr)
            setting = Setting(name, value) if within is None else Setting(within, {name: value})
            place = Words(name if secret else setting, ": ") if name else ""
            reason = first["msg"].removeprefix("Value error, ")
            reason = reason[:1].lower() + reason[1:]
            raise UsageError(Words(where, place, reason)) from None


def marked(settings: Knobs, mark: str) -> dict[str, str]:
    """The settings that are given and whose type, such as `FilePath`, has a mark; by name."""

    def has_mark(kind: Any) -> bool:
        return mark in getattr(kind, "__metadata__", ()) or any(map(has_mark, get_args(kind)))

    fields = type(settings).model_fields.items()
    names = [name for name, field in fields if mark in field.metadata or has_mark(field.annotation)]
    return {name: value for name in names if (value := getattr(settings, name)) is not None}


class TextSettings(Knobs):
    """How the bytes of a file become columns."""

    encoding: str | None = Field(None, description="text encoding; default UTF-8, or UTF-16 by its mark")
    delimiter: str | None = Field(
        None, description="column separator; default: comma, semicolon, tab or bar, whichever the lines agree on"
    )
    decimal: Literal[".", ","] | None = Field(None, description="decimal mark; default: read off the numbers")
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(None, description="thousands separator; default none")
    sheet: Annotated[str | None, BeforeValidator(_as_text)] = Field(
        None, description="sheet of a workbook, by name or number; default: the first that is not empty"
    )


class TableSettings(Knobs):
    """How columns of a table become series on a calendar."""

    layout: Literal["long", "wide", "rows"] | None = Field(
        None,
        description="long: ids and one target; wide: no ids, a series in each column; rows: a series in each row; "
        "default: inferred",
    )
    time: Names = Field(
        (),
        description="time column, or columns such as year,month or date,hour; default: what reads as times all the way",
    )
    id: Names = Field((), description="id column(s) of a long table, comma-separated; default: inferred")
    target: Names = Field((), description="target column; in a wide table the columns to forecast; default: inferred")
    freq: str | None = Field(
        None, description="step of the calendar, e.g. h, 15min, D, B, W, MS, QS, YS, or 1 for steps"
    )
    aggregate: Literal["sum", "mean", "last"] | None = Field(None, description="how a finer table is brought to --freq")
    season: Seasons = Field(
        (), description="season length(s) in steps, comma-separated; default: by frequency, confirmed by the data"
    )
    known: Names = Field((), description="columns known in advance, comma-separated")
    past: Names = Field((), description="columns known up to the origin only, comma-separated")
    static: Names = Field((), description="columns fixed per series, comma-separated")
    categorical: Names = Field(
        (), description="covariates that are categories even if they look like numbers, comma-separated"
    )
    holidays: str | None = Field(None, description="country code whose public holidays become a known column")
    date_format: str | None = Field(
        None, description="strptime format of the time column, e.g. %d/%m/%Y, or spreadsheet for its day numbers"
    )
    timezone: str | None = Field(None, description="IANA zone of times written without one, e.g. Europe/Berlin")
    dst: Literal["earlier", "later", "error"] = Field(
        "error", description="which instant a clock-change hour means when it comes twice or not at all"
    )
    on_duplicate: Literal["error", "first", "last", "mean", "sum"] = Field(
        "error", description="what to do with several rows for one series and time"
    )
    max_missing: float = Field(
        0.5, ge=0, le=1, description="a series with a larger share of missing targets is skipped"
    )
    missing: Literal["zero", "unknown"] = Field(
        "unknown",
        description="what absent rows mean: unknown, or zero from a series' first row to the table's last time",
    )
    strict: bool = Field(False, description="treat a 10x move in level as an error")


class TrainSettings(Knobs):
    """What is trained, on what, for how long."""

    model: str = Field(
        "auto",
        description="auto, which tries some and mixes what wins, or a model or baseline; `forecast models` lists them",
    )
    params: dict[str, Any] | None = Field(None, description="the model's own knobs; `forecast models NAME` lists them")
    horizon: int | None = Field(None, ge=1, le=10_000, description="steps to forecast; default by frequency")
    lookback: int | None = Field(
        None, ge=1, le=100_000, description="steps of the past a forecast looks at; default by horizon and season"
    )
    scaling: Literal["standard", "robust", "mean", "last", "none"] | None = Field(
        None, description="how each window is scaled by its own past; default standard, or what held-out values prefer"
    )
    transform: Literal["none", "log", "power"] = Field(
        "none", description="transform of the target before scaling; power is Box-Cox with a fitted exponent"
    )
    loss: Literal["quantile", "mae", "mse", "huber"] = Field("quantile", description="loss of the point forecast")
    optimizer: Literal["adamw", "adam"] = Field("adamw", description="optimizer")
    learning_rate: float = Field(0.002, gt=0, le=1, description="peak learning rate, after warm-up")
    weight_decay: float = Field(0.01, ge=0, le=1, description="weight decay of adamw")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    batch_size: int | None = Field(None, ge=1, le=65_536, description="windows a step; default by the data")
    patience: int = Field(8, ge=1, le=1_000_000, description="validations without gain before training stops")
    budget: float | None = Field(None, gt=0, description="seconds for everything from reading to the saved version")
    steps: int | None = Field(None, ge=1, le=1_000_000_000, description="training steps; default by the data")
    plan: FilePath | None = Field(
        None, description="repeat the plan in this file (an artifact's config.json or its folder)"
    )
    members: int | None = Field(
        None,
        ge=1,
        le=64,
        description="networks of one kind, whose median is its forecast; default as many as there is time for",
    )
    jobs: int | None = Field(
        None,
        ge=1,
        description="networks trained side by side, by default one a core where it pays; or fits of a backtest",
    )
    baselines: Names = Field(
        (
            "last",
            "seasonal-naive",
            "drift",
            "seasonal-drift",
            "mean",
            "seasonal-mean",
            "theta",
            "auto-theta",
            "holt-winters",
            "autoregression",
        ),
        description="what the network is compared and mixed with, comma-separated; ets needs the extra stats",
    )
    guard: bool = Field(
        True,
        description="let a baseline, or a blend, forecast where the network does not clearly win on held-out values",
    )
    metric: Metric = Field("mase", description="measure by which the guard compares")
    warm_start: bool = Field(
        False, description="go on from the networks of the live version, or of the fit before, in fewer steps"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of every random choice")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where the network runs")


class BacktestSettings(Knobs):
    """From which points of the past a backtest forecasts."""

    windows: int | None = Field(
        None, ge=1, le=1000, description="origins; default 8, or as many as leave half of the steps to the first fit"
    )
    step: int | None = Field(None, ge=1, description="steps between two origins; default one horizon")
    refit: bool = Field(False, description="fit at each origin; default one fit at the oldest, frozen for the others")


class CheckSettings(Knobs):
    """What must hold of tonight's table before it is forecast from."""

    warn_after: Duration | None = Field(
        None, description="age of the newest value, such as 36h or 2d, from which on a warning is given"
    )
    error_after: Duration | None = Field(
        None,
        description="age of the newest value, such as 3d, from which on nothing is forecast: exit 4",
    )
    require_all: bool = Field(
        False, description="exit with 3 where a series of the fit is not in the table, or has ended"
    )


class OutputSettings(Knobs):
    """What a table of forecasts holds."""

    levels: Levels = Field((80.0, 95.0), description="interval levels in percent, 50 to 99, comma-separated")
    point: Literal["median", "mean"] = Field("median", description="what the column forecast holds")
    min: float | None = Field(
        None,
        description="lower bound of every number put out, -inf for none; default 0 for a series without values below 0",
        allow_inf_nan=True,
    )
    max: float | None = Field(None, description="upper bound of every number put out")
    joint: bool = Field(False, description="widen the intervals so that the share of whole paths inside is as stated")
    integer: bool = Field(False, description="round every number put out to a whole one")
    explain: bool = Field(False, description="add the columns model and status")
    excel_safe: bool = Field(
        False, description="put ' before ids and column names that a spreadsheet would run as a formula"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and not self.min < math.inf:  # NaN too
            raise ValueError(f"min {self.min:g}: a lower bound is a number, or -inf for none")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min lies above max")
        return self
