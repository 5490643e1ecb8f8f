"""Checks that are files beside the pipeline file."""

import re
from pathlib import Path

import pytest

from tests.conftest import At, Run
from tests.jobs.a_job import Job

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "checks.md"


def write(
    job: Job, code: str, name: str = "capacity", limits: str = "warn = 0.9\nerror = 1"
) -> None:
    job.write(**{f"checks.own.{name}": f'path = "capacity.py"\n{limits}'})
    (job.folder / "capacity.py").write_text(code, encoding="utf-8")


def documented(capacity: int) -> str:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    code = next(block for block in blocks if "def check(" in block)
    return code.replace("5_000", f"{capacity}").replace("5,000", f"{capacity:,}")


@pytest.mark.parametrize(("capacity", "code"), [(1_000, 0), (130, 0), (50, 5)])
def test_a_file_of_the_user_warns_or_blocks_and_can_be_accepted(
    job: Job, forecast: Run, at: At, capacity: int, code: int
) -> None:
    write(job, documented(capacity))
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == code, ran.err
    assert job.output.exists() == (code == 0)
    assert ("capacity: " in ran.err) == (capacity < 1_000)
    assert 0 < job.record()["checks"]["capacity"]["share"] < 10
    if code:
        assert forecast("run", job.file, "--accept").code == 0
        assert job.record()["accepted"] == ["capacity"]
        assert job.output.exists()
    assert (
        "capacity" not in forecast("run", job.file, "--check", "--replay", 5).err
        or capacity < 1_000
    )


def test_a_number_without_a_text_is_named_by_its_file(job: Job, forecast: Run, at: At) -> None:
    write(job, "from forecast import Finding\ncheck = lambda tonight: Finding(1.5)")
    ran = forecast("run", job.file, "--as-of", at(150))
    assert (ran.code, "capacity: 1.5 is what capacity.py has found" in ran.err) == (5, True)


@pytest.mark.parametrize(
    ("code", "problem", "loads"),
    [
        ("def check(", "SyntaxError", False),
        ("import no_such_package", "no_such_package", False),
        ("Check = None", "KeyError: 'check'", False),
        ("check = lambda tonight: 1 / 0", "ZeroDivisionError", True),
        ("check = lambda tonight: 0.5", "it returns a Finding or None, and not 0.5", True),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_run(
    job: Job, forecast: Run, at: At, code: str, problem: str, loads: bool
) -> None:
    write(job, code)
    for more in ((), ("--check",)):
        ran = forecast("run", job.file, "--as-of", at(150), *more)
        assert ran.code == (0 if loads and more else 2), ran.err
        assert (str(job.folder / "capacity.py") in ran.err and problem in ran.err) == (
            ran.code == 2
        )
        assert "Traceback" not in ran.err
    assert not job.output.exists()


@pytest.mark.parametrize(
    ("name", "limits", "problem"),
    [
        ("group", "warn = 1\nerror = 1", "there is a check 'group' already"),
        ("mine", "warn = 2\nerror = 1", "warn 2 lies above error 1"),
        ("mine", "warn = 2\nerror = 3\nfile = 4", "[checks.own.mine] unknown key 'file'"),
        ("mine", "warn = 2", "error"),
    ],
)
def test_settings_of_a_file_are_checked(
    job: Job, forecast: Run, at: At, name: str, limits: str, problem: str
) -> None:
    write(job, documented(50), name, limits)
    ran = forecast("run", job.file, "--as-of", at(150))
    assert (ran.code, problem in ran.err) == (2, True), ran.err
