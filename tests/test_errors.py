"""Errors carry what they name as fields, and each face writes them its own way."""

import logging
import pickle

import pytest

from forecast.errors import BadData, Setting, UsageError, Words, as_argument, as_flag, message_of


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
def test_a_setting_is_written_as_the_face_spells_it(setting: Setting, flag: str, argument: str) -> None:
    assert setting.told(as_flag) == flag
    assert setting.told(as_argument) == str(setting) == argument


def test_an_error_carries_setting_place_problem_and_cure() -> None:
    cure = Words("pass a coarser ", Setting("freq"), " with ", Setting("aggregate", "sum"))
    error = BadData("too many steps", place="sales.csv line 3", cure=cure)
    assert str(error) == "sales.csv line 3: too many steps; pass a coarser freq= with aggregate='sum'"
    assert error.told(as_flag) == "sales.csv line 3: too many steps; pass a coarser --freq with --aggregate sum"
    assert (error.place, error.problem, error.setting) == ("sales.csv line 3", "too many steps", None)
    named = UsageError("at least 1 step", setting=Setting("horizon", 0))
    assert (str(named), named.told(as_flag)) == ("horizon=0: at least 1 step", "--horizon 0: at least 1 step")
    again = pickle.loads(pickle.dumps(error))  # from another process
    assert again.told(as_flag) == error.told(as_flag)
    assert str(UsageError("plain")) == "plain"


def test_what_a_user_wrote_is_never_taken_for_a_setting() -> None:
    error = BadData("'--freq {freq} %s' is not a number", place="a %d.csv")
    assert error.told(as_flag) == str(error) == "a %d.csv: '--freq {freq} %s' is not a number"


def test_a_warning_names_flags_or_arguments() -> None:
    record = logging.LogRecord("forecast", 30, "", 0, "%s: %d gaps; pass %s", ("50 %.csv", 3, Setting("freq")), None)
    assert message_of(record, as_flag) == "50 %.csv: 3 gaps; pass --freq"
    assert record.getMessage() == "50 %.csv: 3 gaps; pass freq="
