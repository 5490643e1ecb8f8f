"""Checkpoints: what is read back is what was written, or nothing at all; a fit never fails for want of one."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast.artifacts.checkpoints import KEEP, Checkpoint, Checkpoints
from forecast.artifacts.store import RESUME, Store
from forecast.durable import TEMPORARY

STATE = Checkpoint(
    {"step": 3, "best": 0.1, "name": "ä", "none": None},
    {
        "weights": np.array([[1.5, -0.0], [np.inf, np.nan]], np.float32),
        "none": np.zeros((0, 3)),
        "one": np.int64([7]),
    },
)
DATA, PLAN = "d" * 64, "a" * 64


def written(root: Path, data: str = DATA, plan: str = PLAN) -> Path:
    """A checkpoint with one state; its file."""
    checkpoint = Checkpoints(root).open(data, plan)
    assert checkpoint is not None
    checkpoint.write("member-0", STATE)
    (file,) = root.glob(f"{data[:16]}-{plan[:16]}/*")
    return file


def read(root: Path, data: str = DATA, plan: str = PLAN) -> Checkpoint | None:
    checkpoint = Checkpoints(root, resume=True).open(data, plan)
    return None if checkpoint is None else checkpoint.read("member-0")


def test_a_state_comes_back_as_it_was_and_only_to_who_resumes(tmp_path: Path) -> None:
    root = tmp_path / "resume"
    assert read(root) is None
    assert not root.exists()
    written(root)
    found = read(root)
    assert found is not None
    assert found.facts == STATE.facts
    for name, array in STATE.arrays.items():
        assert found.arrays[name].dtype == array.dtype
        assert found.arrays[name].tobytes() == array.tobytes()
    anew = Checkpoints(root).open(DATA, PLAN)
    assert anew is not None
    assert anew.read("member-0") is None


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_state_is_not_used_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: float, bit: int, cut: bool
) -> None:
    file = written(tmp_path)
    data = bytearray(file.read_bytes())
    at = int(place * len(data))
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    file.write_bytes(data)
    caplog.clear()
    found = read(tmp_path)
    assert found is None
    assert "starts anew" in caplog.text


@pytest.mark.parametrize("place", ["", "folder", "file"])
def test_links_are_not_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    root = tmp_path / "root"
    file = written(root)
    moved = {"": root, "folder": file.parent, "file": file}[place]
    os.rename(moved, tmp_path / "elsewhere")
    moved.symlink_to(tmp_path / "elsewhere")
    assert read(root) is None
    assert "link" in caplog.text


def test_a_disk_that_takes_nothing_costs_the_checkpoint_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "resume"
    root.write_text("a file stands where the folder should be")
    checkpoint = Checkpoints(root).open(DATA, PLAN)
    assert checkpoint is not None
    for _ in range(3):
        checkpoint.write("member-0", STATE)
    assert caplog.text.count("no checkpoint can be written") == 1


def test_old_checkpoints_are_pruned_and_never_the_one_in_use(tmp_path: Path) -> None:
    for number in range(KEEP + 2):
        file = written(tmp_path, data=f"{number:064x}"[::-1])
        os.utime(file.parent, (number, number))
    kept = sorted(tmp_path.iterdir())
    oldest = kept[0]
    (oldest / TEMPORARY.replace("*", "0")).write_text("of a killed process")
    (tmp_path / "of the user").mkdir()
    assert len(kept) == KEEP
    assert read(tmp_path, data=oldest.name[:16]) is not None
    assert len(list(tmp_path.glob("*-*"))) == KEEP
    assert [path.name for path in oldest.iterdir()] == ["member-0"]
    assert (tmp_path / "of the user").exists()


def test_what_was_saved_needs_no_checkpoint(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.lock() as writer:
        other = writer.checkpoints().open("0" * 64, PLAN)
        checkpoints = writer.checkpoints()
        own = checkpoints.open(DATA, PLAN)
        assert own is not None
        assert other is not None
        own.write("plan", STATE)
        other.write("plan", STATE)
        checkpoints.discard()
        assert [path.name for path in (store.path / RESUME).iterdir()] == [
            f"{'0' * 16}-{PLAN[:16]}"
        ]
    with store.lock() as writer:
        checkpoints = writer.checkpoints()
        checkpoints.open("0" * 64, PLAN)
        checkpoints.discard()
    assert not (store.path / RESUME).exists()


@pytest.mark.parametrize(
    ("data", "plan", "said"),
    [
        (DATA, PLAN, "resume   from"),
        (DATA, "b" * 64, "other data, another plan"),
        ("c" * 64, PLAN, "other data"),
        (None, PLAN, "nothing to resume"),
    ],
)
def test_it_is_said_what_a_fit_goes_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: str | None, plan: str, said: str
) -> None:
    caplog.set_level("INFO", logger="forecast")
    if data is not None:
        written(tmp_path)
    caplog.clear()
    read(tmp_path, data or DATA, plan)
    assert said in caplog.text
