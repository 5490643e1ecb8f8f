"""Errors carry what they name as fields, and each face writes them its own way."""

import ast
import logging
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData, Message, Setting, UsageError, as_argument, as_flag


@pytest.mark.parametrize(
    ("setting", "flag", "argument"),
    [
        (Setting("horizon"), "--horizon", "horizon="),
        (Setting("horizon", 30), "--horizon 30", "horizon=30"),
        (Setting("on_duplicate", "last"), "--on-duplicate last", "on_duplicate='last'"),
        (Setting("date_format", "%d/%m/%Y"), "--date-format '%d/%m/%Y'", "date_format='%d/%m/%Y'"),
        (Setting("thousands", " "), '--thousands " "', "thousands=' '"),
        (Setting("thousands", "'"), '--thousands "\'"', 'thousands="\'"'),
        (Setting("id", ("shop", "city")), "--id shop,city", "id=('shop', 'city')"),
        (Setting("guard", False), "--no-guard", "guard=False"),
        (Setting("warm_start", True), "--warm-start", "warm_start=True"),
        (Setting("params", {"layers": 2}), "-p layers=2", "params={'layers': 2}"),
        (Setting("artifact"), "--artifact", "store="),
    ],
)
def test_a_setting_is_written_as_the_face_spells_it(
    setting: Setting, flag: str, argument: str
) -> None:
    assert setting.render(as_flag) == flag
    assert setting.render(as_argument) == str(setting) == argument


def test_an_error_carries_setting_place_problem_and_cure() -> None:
    cure = f"pass a coarser {Setting('freq')} with {Setting('aggregate', 'sum')}"
    error = BadData("too many steps", place="sales.csv line 3", cure=cure)
    assert (
        str(error) == "sales.csv line 3: too many steps; pass a coarser freq= with aggregate='sum'"
    )
    assert (
        error.render(as_flag)
        == "sales.csv line 3: too many steps; pass a coarser --freq with --aggregate sum"
    )
    assert (error.place, error.problem, error.setting) == (
        "sales.csv line 3",
        "too many steps",
        None,
    )
    named = UsageError("at least 1 step", setting=Setting("horizon", 0))
    assert (str(named), named.render(as_flag)) == (
        "horizon=0: at least 1 step",
        "--horizon 0: at least 1 step",
    )
    again = pickle.loads(pickle.dumps(error))  # from another process
    assert again.render(as_flag) == error.render(as_flag)
    assert str(UsageError("plain")) == "plain"


def test_what_a_user_wrote_is_never_taken_for_a_setting() -> None:
    error = BadData("'--freq {freq} %s' is not a number", place="a %d.csv")
    assert error.render(as_flag) == str(error) == "a %d.csv: '--freq {freq} %s' is not a number"


def test_a_warning_names_flags_or_arguments() -> None:
    record = logging.LogRecord(
        "forecast", 30, "", 0, "%s: %d gaps; pass %s", ("50 %.csv", 3, Setting("freq")), None
    )
    assert Message.from_record(record).render(as_flag) == "50 %.csv: 3 gaps; pass --freq"
    assert record.getMessage() == "50 %.csv: 3 gaps; pass freq="


ROOMS = Path(__file__).parents[1] / "forecast"
FACES = {"cli", "jobs", "checks"}  # which name flags and keys themselves


def test_no_message_that_python_can_reach_names_a_flag() -> None:
    """A flag in a text of these rooms is a `Setting` that is missing."""
    found = []
    for path in ROOMS.rglob("*.py"):
        if path.relative_to(ROOMS).parts[0] in FACES or path.name in ("errors.py", "settings.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.search("--[a-z]", node.value)
            ):
                found.append(f"{path.relative_to(ROOMS)} line {node.lineno}: {node.value[:80]}")
    assert not found


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        ("info", "--known info"),
        (np.int64(3), "--known 3"),
        (float("-inf"), "--known -inf"),
        (("a", "b"), "--known a,b"),
        ("Preis in €", "--known 'Preis in €'"),
        ("1=2", "--known '1=2'"),
        (None, "--known"),
    ],
)
def test_any_value_of_a_setting_is_written_within_a_text(value: object, flag: str) -> None:
    error = BadData(f"pass {Setting('known', value)} too")
    assert error.render(as_flag) == f"pass {flag} too"
    assert str(error).startswith("pass known=")


def test_a_cell_of_a_table_is_no_setting() -> None:
    text = "'\ue000horizon=many\ue001' is no number"
    assert BadData(text).render(as_flag) == text


def test_python_is_told_arguments_in_errors_and_warnings(caplog: pytest.LogCaptureFixture) -> None:
    days = pd.date_range("2024-01-01", periods=20).repeat([2] + [1] * 19)
    twice = pd.DataFrame({"day": days.strftime("%Y-%m-%d"), "units": np.arange(21.0)})
    with pytest.raises(
        BadData, match=r", or on_duplicate='first' \(or last, mean, sum\)"
    ) as raised:
        Forecaster(model="last").fit(twice)
    assert "--" not in str(raised.value)
    assert raised.value.cure
    assert "column 'day'" in str(raised.value.place)
    with pytest.raises(
        UsageError,
        match=r"^horizon=30: this forecaster was fitted for 2; fit again with horizon=30$",
    ):
        Forecaster(model="last", horizon=2, on_duplicate="sum", layout="wide").fit(twice).predict(
            horizon=30
        )
    assert "settled by on_duplicate='sum'" in caplog.text
    assert "--" not in caplog.text
