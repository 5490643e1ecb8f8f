"""Messages and progress; and what users wrote reaches a terminal as plain text, whatever it holds."""

import io
import json
import os
import re
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from shlex import split
from threading import Thread

import numpy as np
import pandas as pd
import pytest

from tests.cli._terminal import Shown, on_a_terminal
from tests.conftest import Run

QUICK = ("--steps", 6, "-p", "hidden_size=8", "--baselines", "last")
LINEAR = ("--model", "linear", "--steps", 2, "--members", 1, "--baselines", "last")

IDS = (
    "[/x]",
    "[link=http://evil]y[/link]",
    "\x1b[35;45mred",
    "\x1b]0;title\x07",
    "two\nlines",
    "\x9b35;45m",
    ":smile:",
)
SHOP, DAY, UNITS, NOTE = (
    "[link=http://evil]shop[/link]",
    "day\x1b[35;45m[/day]",
    "units\x1b]0;title\x07",
    "=a\nb\x9b1m",
)
WRITTEN = (
    "[/x]",
    "[link=http://evil]y[/link]",
    "\\x1b[35;45mred",
    "\\x1b]0;title\\x07",
    "two\\nlines",
    "\\x9b35;45m",
)
NAIVE = ["--model", "seasonal-naive", "--horizon", "7"]
HOSTILE = "[/x]\x1b]0;title\x07"


def table(days: int) -> pd.DataFrame:
    day = np.tile(np.arange(days), len(IDS))
    return pd.DataFrame(
        {
            SHOP: np.repeat(IDS, days),
            DAY: (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d"),
            UNITS: 50 + day % 7 + 0.25 * (day % 3) + np.repeat(np.arange(len(IDS)), days),
            NOTE: "\x1b[35;45mnote",
        }
    )


def folder_of(place: Path) -> Path:
    """A table of hostile names, a longer one, one without some series, and a job with a series that stays away."""
    table(90).to_csv(place / "sales.csv", index=False)
    table(97).to_csv(place / "later.csv", index=False)
    table(97)[lambda frame: frame[SHOP] == "[/x]"].to_csv(place / "few.csv", index=False)
    wide = table(90).pivot(index=DAY, columns=SHOP, values=UNITS).reset_index()
    wide.to_csv(place / "wide.csv", index=False)
    table(97)[lambda frame: (frame[SHOP] != IDS[3]) | (frame[DAY] < "2024-01-20")].to_csv(
        place / "job.csv", index=False
    )
    quoted = json.dumps(HOSTILE)
    (place / "job.toml").write_text(
        f"""name = {quoted}
store = "store"
[source]
path = "job.csv"
[train]
model = "seasonal-naive"
horizon = 7
[checks]
require_all = true
warn_after = "5d"
[sink]
path = "out.csv"
"""
    )
    (place / "broken.toml").write_text(f'[source]\n{quoted} = 1\n[sink]\npath = "out.csv"\n')
    return place


COMMANDS: list[tuple[int, list[str]]] = [
    (0, ["inspect", "sales.csv"]),
    (0, ["inspect", "sales.csv", "--json", "--quiet"]),
    (0, ["inspect", "wide.csv"]),
    (0, ["fit", "sales.csv", "--artifact", "fitted", *NAIVE]),
    (
        0,
        [*split("fit sales.csv --artifact fitted"), *NAIVE, *split("--log-format json --season 3")],
    ),
    (0, ["inspect", "--artifact", "fitted"]),
    (0, ["inspect", "--artifact", "fitted", "--json"]),
    (0, ["predict", "--artifact", "fitted", "--explain"]),
    (3, ["predict", "few.csv", "--artifact", "fitted", "--require-all"]),
    (3, ["predict", "few.csv", "--artifact", "fitted", "--require-all", "--log-format", "json"]),
    (0, ["predict", "--artifact", "fitted", "--output", "forecasts.csv"]),
    (0, ["plot", "--artifact", "fitted", "--count", "7"]),
    (2, ["plot", "--artifact", "fitted", "--series", HOSTILE]),
    (0, ["report", "--artifact", "fitted", "--output", "report.html"]),
    (0, ["score", "forecasts.csv", "later.csv", "--by", "series"]),
    (0, ["score", "forecasts.csv", "later.csv", "--json"]),
    (3, ["score", "forecasts.csv", "few.csv", "--by", "series"]),
    (0, ["backtest", "sales.csv", *NAIVE, "--windows", "2", "--by", "series"]),
    (0, ["backtest", "wide.csv", *NAIVE, "--windows", "2", "--by", "series"]),
    (0, ["backtest", "sales.csv", *NAIVE, "--windows", "2", "--json"]),
    (0, ["backtest", "sales.csv", *NAIVE, "--model", "last", "--windows", "2", "--sum-by", "all"]),
    (3, ["run", "job.toml", "--as-of", "2024-04-06T20:00:00+00:00"]),
    (3, ["run", "job.toml", "--as-of", "2024-04-06T20:00:00+00:00", "--json"]),
    (0, ["run", "job.toml", "--check"]),
    (3, ["status", "job.toml"]),
    (3, ["status", "--artifact", "store", "--json"]),
    (0, ["versions", "--artifact", "store"]),
    (0, ["versions", "--artifact", "store", "--json"]),
    (2, ["run", "broken.toml"]),
    (65, ["inspect", "sales.csv", "--target", HOSTILE]),
    (66, ["fit", f"{HOSTILE}.csv"]),
    (66, ["status", f"{HOSTILE}.toml"]),
    (66, ["inspect", "--artifact", HOSTILE]),
    (2, ["predict", "--artifact", "fitted", "--version", HOSTILE]),
    (2, ["models", HOSTILE]),
    (2, ["synth", HOSTILE]),
    (2, [HOSTILE]),
    (2, ["predict", "--levels", HOSTILE]),
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """Every command that shows users' text, on a terminal."""
    return on_a_terminal(
        [words for _, words in COMMANDS], folder_of(tmp_path_factory.mktemp("hostile"))
    )


def test_no_text_of_a_user_is_an_escape_sequence_or_markup_on_a_terminal(shown: Shown) -> None:
    for place, (code, words) in enumerate(COMMANDS):
        text = shown.of(place)
        assert shown.codes[place] == code, (words, text)
        assert not re.search("\x1b\\]|\x1b\\[35;45m|[\x07\x80-\x9f]", text), (words, text)
        assert "this is a bug" not in text, words
    assert "\x1b]" not in shown.text


@pytest.mark.parametrize("command", ["predict", "backtest", "score"])
def test_ids_in_brackets_are_shown_in_full_on_a_terminal(shown: Shown, command: str) -> None:
    place = next(
        i
        for i, (_, words) in enumerate(COMMANDS)
        if words[0] == command and words[-1] in ("series", "--explain")
    )
    text = shown.of(place)
    assert [one for one in (*WRITTEN, ":smile:") if one not in text] == []
    assert "[link=http://evil]shop[/link]" in text


def test_status_shows_text_in_brackets_and_the_names_that_were_left_out(shown: Shown) -> None:
    place = next(i for i, (_, words) in enumerate(COMMANDS) if words[0] == "status")
    assert "job      [/x]\\x1b]0;title\\x07: " in shown.of(place)
    assert "left out: \\x1b]0;title\\x07" in shown.of(place)


def test_json_on_a_terminal_is_exact(shown: Shown) -> None:
    place = next(
        i
        for i, (_, words) in enumerate(COMMANDS)
        if words[:2] == ["inspect", "sales.csv"] and "--json" in words
    )
    table = json.loads(shown.of(place))["table"]
    assert (table["ids"], table["time"], table["target"], table["ignored"]) == (
        [SHOP],
        DAY,
        UNITS,
        [NOTE],
    )


def test_a_pipe_gets_ids_and_names_exactly(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of(tmp_path))
    assert forecast("fit", "sales.csv", "--artifact", "fitted", *NAIVE).code == 0
    found = pd.read_csv(
        io.StringIO(forecast("predict", "--artifact", "fitted").out), dtype={SHOP: str}
    )
    assert list(dict.fromkeys(found[SHOP])) == list(IDS)
    assert list(found.columns)[:2] == [SHOP, DAY]
    by_series = forecast("backtest", "sales.csv", *NAIVE, "--windows", 2, "--by", "series").out
    assert set(pd.read_csv(io.StringIO(by_series), dtype={SHOP: str})[SHOP]) == set(IDS)


def test_excel_safe_covers_names_of_columns_in_files_and_leaves_a_database_alone(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = (
        table(60).rename(columns={SHOP: "=shop", DAY: "@day", UNITS: "+units"}).drop(columns=NOTE)
    )
    frame.replace({"=shop": {"[/x]": "=1+1"}}).to_csv("sales.csv", index=False)
    assert forecast("fit", "sales.csv", "--artifact", "fitted", *NAIVE).code == 0
    out = forecast("predict", "--artifact", "fitted", "--excel-safe", "--horizon", 1).out
    assert out.startswith("'=shop,'@day,forecast,lo_80,")
    assert "\n'=1+1,2024-03-01," in out
    assert forecast("predict", "--artifact", "fitted").out.startswith("=shop,@day,forecast,")
    earlier = ("--origin", "2024-02-20", "--horizon", 1, "--output", "made.csv")
    assert forecast("predict", "sales.csv", "--artifact", "fitted", *earlier).code == 0
    tested = ("backtest", "sales.csv", *NAIVE, *split("--windows 1 --by series --forecasts f.csv"))
    for words in (tested, ("score", "made.csv", "sales.csv", "--by", "series")):
        assert forecast(*words).out.startswith("=shop,model,skill,")
        assert "\n=1+1," in forecast(*words).out
        safe = forecast(*words, "--excel-safe").out
        assert safe.startswith("'=shop,model,skill,")
        assert "\n'=1+1," in safe
    assert Path("f.csv").read_text().startswith("'=shop,origin,'@day,actual,")
    assert "\n'=1+1,2024-" in Path("f.csv").read_text()
    Path("job.toml").write_text(
        'store = "store"\n[source]\npath = "sales.csv"\n[train]\nmodel = "seasonal-naive"\nhorizon = 1\n[output]\n'
        'excel_safe = true\n[sink]\npath = "out.csv"\nurl = "sqlite:///out.db"\ntable = "forecasts"\n'
    )
    assert (
        f"and writes to {tmp_path}/out.csv and the table forecasts\n"
        in forecast("run", "job.toml", "--check").err
    )
    assert (
        f" series to {tmp_path}/out.csv and the table forecasts\n"
        in forecast("run", "job.toml").err
    )
    assert Path("out.csv").read_text().startswith("'=shop,'@day,forecast,lo_80,")
    with closing(sqlite3.connect("out.db")) as connection, connection:
        rows = connection.execute('SELECT DISTINCT "=shop" FROM forecasts').fetchall()
        assert ("=1+1",) in rows
        assert len(connection.execute('SELECT "@day" FROM forecasts').fetchall()) == len(IDS)
    connection.close()


def test_require_all_names_series_that_had_ended_at_fit(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    frame = table(90).rename(columns={SHOP: "shop", DAY: "day", UNITS: "units"}).drop(columns=NOTE)
    frame = frame[frame["shop"].isin(["[/x]", ":smile:"])].replace(
        {"[/x]": "north", ":smile:": "south"}
    )
    frame[(frame["shop"] == "north") | (frame["day"] < "2024-01-20")].to_csv(
        "sales.csv", index=False
    )
    assert forecast("fit", "sales.csv", "--artifact", "fitted", *NAIVE).code == 0
    for words in (
        ("predict", "--artifact", "fitted"),
        ("predict", "sales.csv", "--artifact", "fitted"),
    ):
        assert forecast(*words).code == 0
        strict = forecast(*words, "--require-all")
        assert strict.code == 3
        assert strict.err.splitlines()[-1] == "warning: 1 series got no forecast: south"
        assert set(strict.frame["shop"]) == {"north"}


@pytest.mark.parametrize("columns", [pytest.param(1, marks=pytest.mark.slow), 40])
def test_a_narrow_terminal_breaks_lines_and_loses_no_number(
    columns: int, passengers: Path, tmp_path: Path
) -> None:
    command = ["backtest", str(passengers), "--model", "last", "--horizon", "3", "--windows", "2"]
    shown = on_a_terminal([command], tmp_path, columns)
    assert shown.codes == [0]
    assert "…" not in shown.text.partition("origins")[2]
    assert len(re.findall(r"\d\.\d+", shown.text.partition("origins")[2])) >= 14


def test_quiet_and_json_messages(forecast: Run, passengers: Path, tmp_path: Path) -> None:
    assert forecast("fit", passengers, "--artifact", tmp_path / "a", *QUICK, "--quiet").err == ""
    told = forecast(
        "fit", passengers, "--artifact", tmp_path / "a", *QUICK, "--log-format", "json"
    ).err
    assert {json.loads(line)["level"] for line in told.splitlines()} == {"info"}
    failed = forecast(
        "fit", tmp_path / "none.csv", "--artifact", tmp_path / "a", "--log-format", "json"
    )
    assert json.loads(failed.err)["exit_code"] == failed.code == 66


def test_a_terminal_sees_a_progress_bar(
    forecast: Run, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pty

    leader, follower = pty.openpty()
    shown = b""

    def read() -> None:
        nonlocal shown
        with suppress(OSError):  # the other end is closed
            while piece := os.read(leader, 4096):
                shown += piece

    reader = Thread(target=read)
    reader.start()
    with open(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert forecast("fit", passengers, "--artifact", tmp_path / "s", *LINEAR).code == 0
        monkeypatch.undo()
    reader.join()
    os.close(leader)
    assert b"training" in shown
    assert b"loss" in shown
    assert b"saved" in shown
