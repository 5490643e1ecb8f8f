"""Write a report as one page of HTML: a forecaster, its backtest, its job."""

import json
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecast.cli._console import say, say_next, steps_bar, style_options
from forecast.cli._help import OUTPUT, option, with_examples
from forecast.cli._options import Given, grouped, settings_options
from forecast.cli._store import Place, store_options, version_option
from forecast.durable import replace_file
from forecast.errors import BadData, NoInput
from forecast.settings import INTERVALS, STORE, OutputSettings, TableSettings, TextSettings, TrainSettings

if TYPE_CHECKING:
    from forecast.inference.predictor import Predictor
    from forecast.jobs.pipeline import Pipeline
    from forecast.report.content import Drawable
    from forecast.report.measured import Measured
    from forecast.report.nights import Nights
    from forecast.report.page import Page, Section

RUNS, DAYS = 30, 90  # of a job that a report shows


@dataclass(frozen=True)
class Files:
    """What a report reads beside the store, and where it goes."""

    backtest: str | None
    future: str | None
    output: str


@with_examples(
    "forecast report --output report.html",
    "forecast report job.toml --output job.html",
    "forecast report --artifact shops --backtest tests.json --output s.html",
)
@store_options
@version_option
@settings_options(single=dict.fromkeys(("device", "engine"), TrainSettings))
@grouped(
    "files",
    Files,
    option("--backtest", metavar="FILE", help="a .json file that `forecast backtest DATA --output FILE` wrote"),
    option("--future", metavar="FILE", help="table with the future values of known covariates"),
    option("--output", heading=OUTPUT, required=True, metavar="FILE", help="the .html file to write"),
)
@style_options
def command(place: Place, version: str | None, given: Given, files: Files) -> None:
    """Write a report on the live forecaster of a store as one page of HTML.

    JOB, a pipeline file, or --artifact names the store; the runs of a JOB are in the report. With --backtest and no
    store the report is on the backtest alone. The page needs no other file and no network.
    """
    given.of(TrainSettings)
    from forecast.artifacts.store import Store
    from forecast.jobs.output_guard import check_apart
    from forecast.jobs.pipeline import files_read
    from forecast.report.page import check_report, page_bytes

    check_report(files.output)
    read = {"the backtest": files.backtest, "the table of --future": files.future}
    check_apart(files.output, read | (files_read(place.pipeline) if place.pipeline else {}), place.store)
    measured = None if files.backtest is None else _measured(files.backtest)
    chosen = place.pipeline is not None or place.store != STORE.store or version is not None
    alone = measured is not None and not chosen and Store(place.store).empty
    saved = None if alone else Forecaster.of(place, version, given.of(TrainSettings))
    if saved is not None and measured is not None and not saved.has(measured):
        if chosen:
            cure = "name the store of the same series with --artifact, or leave one of the two out"
            raise BadData("has no series of this store", place=files.backtest, cure=cure)
        say(f"store    {place.store} has other series than {files.backtest}, and is left out")
        saved = None
    if saved is not None and measured is not None and measured.steps != saved.steps:
        say(f"{files.backtest} tests {measured.steps} steps, and the store forecasts {saved.steps}", "warning")
    replace_file(files.output, page_bytes(_page(place, files, measured, saved)))
    say(f"written  {files.output}")
    if measured is None and saved is not None:
        say_next("backtest", "DATA", *_fit_words(saved), "--output", "backtest.json")


def _measured(path: str) -> "Measured":
    from forecast.report.measured import Measured

    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise NoInput(f"{path} cannot be opened: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        found = None
    return Measured.of(found, path)


def _page(place: Place, files: Files, measured: "Measured | None", saved: "Forecaster | None") -> "Page":
    from forecast.report.measured import coverage_section, error_section, verdict_of
    from forecast.report.nights import nights_section, nights_verdict, versions_section
    from forecast.report.page import Commands, Page, Section

    nights = None if place.pipeline is None else _nights(place, place.pipeline)
    verdicts = [] if measured is None else [verdict_of(measured)]
    sections: list[Section] = []
    if saved is not None:
        verdicts = verdicts or [saved.held_out()]
        sections += saved.read(files.future, measured)
    if measured is not None:
        sections += [error_section(measured), coverage_section(measured)]
    elif saved is not None:
        text = "No backtest was given. These lines make one, and a report that has its errors by step and by series."
        sections.append(Section("Errors in the past", (text, Commands(_with_backtest(saved, files.output)))))
    if saved is not None:
        sections += [*saved.models(), versions_section(saved.versions())]
    if nights is not None:
        verdicts.append(nights_verdict(nights))
        sections.append(nights_section(nights))
    sections.append(Section("How to repeat it", (Commands(_commands(place, files, saved)),)))
    verdict = ". ".join(text for text in verdicts if text) + "."
    name = place.pipeline.name if place.pipeline else Path(place.store).name if saved else files.backtest
    return Page(f"Forecast report: {place.shown(name or 'job')}", verdict, tuple(sections), _made())


@dataclass(frozen=True)
class Forecaster:
    """A saved forecaster that a report is on.

    Attributes
    ----------
    version : its id
    named : whether the user named it
    """

    place: Place
    version: str
    named: bool
    predictor: "Predictor"

    @classmethod
    def of(cls, place: Place, version: str | None, where: TrainSettings) -> "Forecaster":
        from forecast.artifacts.store import Store
        from forecast.inference.forecasting import load_predictor

        if place.pipeline is not None and Store(place.store).empty:
            ran = f"forecast run {place.pipeline.file or 'JOB.toml'}"
            raise NoInput(f"{place.shown(place.pipeline.name or 'job')} has not run yet; run `{ran}` first")
        own = version or Store(place.store).current()
        return cls(place, own, version is not None, load_predictor(place.store, own, where.device, where.engine))

    @property
    def steps(self) -> int:
        """The steps that it forecasts."""
        return self.predictor.fitted.config.horizon

    def has(self, measured: "Measured") -> bool:
        """Whether a backtest had one of its series."""
        return not measured.ids.isdisjoint(self.predictor.fitted.history.ids)

    def held_out(self) -> str:
        """How good it was on held-out values."""
        from forecast.ensemble.summary import verdict

        config = self.predictor.fitted.config
        text = verdict(config.scores, len(config.components))
        return text[0].upper() + text[1:]

    def read(self, future: str | None, measured: "Measured | None") -> "list[Section]":
        """What it read, and its forecasts."""
        from forecast.report.about import gaps_section, read_section
        from forecast.report.gallery import gallery_of
        from forecast.report.page import Section

        drawable, text = self._drawable(future)
        errors = {} if measured is None else measured.errors
        measure = "" if measured is None else "MASE"
        gallery = gallery_of(drawable, errors, measure, self._names(drawable))
        fitted = self.predictor.fitted
        return [read_section(fitted, self.version), gaps_section(fitted), Section("Forecasts", (text, gallery))]

    def models(self) -> "list[Section]":
        """Who forecasts, and what the forecasts rest on."""
        from forecast.report.about import importance_section, models_section

        history = self.predictor.fitted.history
        with steps_bar("importance", "inputs") as on_part:
            return [models_section(self.predictor), importance_section(self.predictor, history, on_part)]

    def versions(self) -> list[dict[str, Any]]:
        """The versions of its store, oldest first."""
        from forecast.jobs.administration import versions_of

        versions = versions_of(self.place.store, self.place.own_ledger())
        return [{**one, "note": self.place.shown(one["note"])} for one in versions]

    def _drawable(self, future: str | None) -> "tuple[Drawable, str]":
        """Its forecasts, and a sentence on them."""
        from forecast.inference.forecasting import forecast_table
        from forecast.reading.tidying import tidied
        from forecast.report.content import drawable_forecasts, drawable_history
        from forecast.tables.files import load_future

        fitted = self.predictor.fitted
        config = fitted.config
        if not self.named and future is None and (sent := self._sent()) is not None:
            return sent
        after = f"{config.train_end}, the last time at fit"
        after = "the last value of each series" if config.table.layout == "rows" else after
        text = f"Forecasts of {config.horizon} steps after {after}."
        if config.table.known and future is None:
            names = ", ".join(config.table.known)
            text = f"History only: forecasts need the future values of {names}; name their table with --future."
            return drawable_history(fitted), text
        later = None if future is None else tidied(load_future(future, config.table.reading))
        with steps_bar("forecasts", "series") as self.predictor.on_windows:
            forecasts = forecast_table(self.predictor, future=later, output=OutputSettings(levels=INTERVALS))
        return drawable_forecasts(forecasts, fitted, INTERVALS), text

    def _sent(self) -> "tuple[Drawable, str] | None":
        """The forecasts of the newest run of the job that the ledger has, and a sentence on them."""
        from forecast.jobs.administration import ledger_of
        from forecast.report.content import drawable_stored

        if self.place.pipeline is None:
            return None
        fitted, stored = self.predictor.fitted, ledger_of(self.place.pipeline).forecasts("9", 1)
        if not len(stored) or len(stored) != stored.step.max() * len(set(stored.series.tolist())):
            return None
        ids = [tuple(json.loads(text)) for text in stored.series.tolist()]
        drawable = drawable_stored(fitted, ids, stored.instant, stored.numbers)
        if not len(drawable.series):
            return None
        text = (
            f"Forecasts of the run as of {stored.as_of[0]}, beside the values up to {fitted.config.train_end} that the "
        )
        text += "version holds."
        if len(drawable.series) < len(fitted.history):
            text += f" The ledger holds those of {len(drawable.series):,} of {len(fitted.history):,} series."
        return drawable, text

    def _names(self, drawable: "Drawable") -> list[str]:
        """What forecasts each series."""
        from forecast.inference.summary import counted_models
        from forecast.panel.panel import series_index

        fitted = self.predictor.fitted
        names = fitted.ensemble.names(series_index(fitted.history.ids, drawable.ids))
        return list(map(counted_models, names))


def _nights(place: Place, pipeline: "Pipeline") -> "Nights":
    """The runs of a job and the scores of its forecasts, without secrets."""
    from forecast.jobs.administration import ledger_of, noted, status_of
    from forecast.report.nights import Nights

    ledger = ledger_of(pipeline)
    state = status_of(ledger, place.store, datetime.now(UTC), RUNS)
    runs = [{**run, "what": place.shown(noted(run))} for run in state.runs]
    days = [vars(day) for day in ledger.days(DAYS)]
    return Nights(place.shown(state.job), place.shown(state.said), runs, days)


def _with_backtest(saved: Forecaster, output: str) -> tuple[str, ...]:
    """The lines that make a report with a backtest."""
    test = ("backtest", "DATA", *_fit_words(saved), "--output", "backtest.json")
    report = ("report", *saved.place.words, "--backtest", "backtest.json", "--output", output)
    return _line(saved.place, test), _line(saved.place, report)


def _fit_words(saved: Forecaster) -> list[str]:
    """The settings of its fit that are not the defaults, as words of a command line."""
    fitted = saved.predictor.fitted
    table = TableSettings.check(fitted.config.table.knobs()).model_dump(exclude_defaults=True)
    reading = fitted.config.table.reading.model_dump(exclude_defaults=True)
    train = fitted.settings().model_dump(exclude_defaults=True) | fitted.run | {"horizon": fitted.config.horizon}
    params = train.pop("params", {})
    given = {
        name: tuple(map(str, value)) if isinstance(value, list | tuple) else value
        for name, value in {**table, **reading, **train}.items()
    }
    pairs = [word for name, value in params.items() for word in ("-p", f"{name}={json.dumps(value)}")]
    return [*Given(given).words(TableSettings, TextSettings, TrainSettings), *pairs]


def _commands(place: Place, files: Files, saved: Forecaster | None) -> tuple[str, ...]:
    """The commands that make the report and what it shows again."""
    read = [(f"--{name}", value) for name, value in (("backtest", files.backtest), ("future", files.future)) if value]
    words = place.words if saved is not None else ()
    if saved is not None and (saved.named or place.pipeline is None):
        words += ("--version", saved.version)
    again = ("report", *words, *(word for pair in read for word in pair), "--output", files.output)
    lines = [again]
    if saved is not None:
        version = ("--version", saved.version)
        inspect = ("inspect", *place.words, *version, "--json")
        if place.pipeline is not None:
            lines += [place.use, ("status", *place.words), inspect]
        else:
            future = ("--future", files.future or "FILE") if saved.predictor.fitted.config.table.known else ()
            lines.append(("fit", "DATA", *_fit_words(saved), *place.words))
            lines += [(*place.use, *version, *future), ("explain", *place.words, *version), inspect]
    return tuple(_line(place, line) for line in lines)


def _line(place: Place, words: Sequence[str]) -> str:
    """A command line, without secrets."""
    return shlex.join(("forecast", *map(place.shown, words)))


def _made() -> str:
    from importlib.metadata import version

    now = datetime.now(UTC).isoformat(" ", "minutes").removesuffix("+00:00")
    return f"Made by forecast {version('forecast')} with Python {platform.python_version()} at {now} UTC."
