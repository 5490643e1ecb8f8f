"""A store of versions: whatever dies or breaks, a whole version is live, and nothing foreign is believed."""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from forecast.artifacts.format import Contents, artifact_hash, dump_manifest, encode
from forecast.artifacts.store import Store
from forecast.errors import (
    ArtifactRefused,
    Busy,
    CannotCreate,
    ForecastError,
    NoInput,
    StorageFailure,
    UsageError,
)

CALLS = "open mkdir write fsync fchmod close rename replace unlink rmdir ftruncate"


def contents(number=0):
    return Contents(
        config={"number": number},
        weights={"w": np.full(4, number, np.float32)},
        arrays={"observed": np.array([True, False])},
    )


def save(store, number=0, **options):
    with store.lock() as writer:
        return writer.save(contents(number), **options)


def number_of(store, version=None):
    return store.load(version)[0].config["number"]


def forge(store, contained, **changes):
    """Put a version that agrees with itself into the live place, as someone who means harm would."""
    version = "v-20300101T000000.000000Z-0123abcd"
    folder = store.path / version
    folder.mkdir(parents=True)
    for name, data in contained.items():
        (folder / name).write_bytes(data)
    manifest = json.loads(dump_manifest(contained, version, "2030-01-01T00:00:00+00:00")) | changes
    data = json.dumps(manifest).encode()
    (folder / "MANIFEST.json").write_bytes(data)
    (store.path / "CURRENT").write_text(f"{version} {hashlib.sha256(data).hexdigest()}\n")
    return folder


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "forecast-model")


def test_saved_version_is_live_and_comes_back(store):
    info = save(store, 7)
    found, loaded = store.load()
    assert loaded == info
    assert store.current() == info.id
    assert store.versions() == [info]
    assert found.config == {"number": 7}
    assert info.hash == artifact_hash(encode(contents(7)))


def test_equal_contents_have_equal_hashes_at_other_times(store):
    assert save(store, 1).hash == save(store, 1).hash
    assert save(store, 1).hash != save(store, 2).hash


def test_older_version_can_be_loaded_and_promoted(store):
    first, second = save(store, 1), save(store, 2)
    assert number_of(store) == 2
    assert number_of(store, first.id) == 1
    with store.lock() as writer:
        assert writer.promote(first.id) == first
    assert store.current() == first.id
    assert [version.id for version in store.versions()] == [first.id, second.id]


def test_version_can_be_saved_without_going_live(store):
    first = save(store, 1)
    second = save(store, 2, promote=False)
    assert store.current() == first.id
    assert number_of(store, second.id) == 2


def test_pruning_keeps_the_newest(store):
    ids = [save(store, number, keep=3).id for number in range(6)]
    assert [version.id for version in store.versions()] == ids[3:]


def test_pruning_spares_the_live_version_and_the_one_before_it(store):
    ids = [save(store, number).id for number in range(4)]
    with store.lock() as writer:
        writer.promote(ids[1])
    for number in (4, 5, 6):
        ids.append(save(store, number, keep=1, promote=False).id)
    assert [version.id for version in store.versions()] == [ids[0], ids[1], ids[6]]
    last = save(store, 7, keep=1).id
    assert [version.id for version in store.versions()] == [ids[1], ids[6], last]


def test_nothing_to_keep_is_a_usage_error(store):
    with pytest.raises(UsageError, match="keep=0"):
        save(store, keep=0)


def test_ids_sort_in_the_order_of_saving_even_if_the_clock_goes_back(store):
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ids = [save(store, number, created=noon - timedelta(hours=number)).id for number in range(3)]
    assert ids == sorted(ids)
    assert ids[0].startswith("v-20260301T120000.000000Z-")
    assert [version.created >= noon for version in store.versions()] == [True] * 3


def test_no_store_says_fit_first_and_names_the_folder(store):
    for read in (store.load, store.versions, store.current):
        with pytest.raises(NoInput, match=r"forecast-model: .*`forecast fit` first"):
            read()
    assert not store.path.exists()


def test_empty_folder_says_fit_first(store):
    store.path.mkdir()
    with pytest.raises(NoInput, match="holds no forecaster yet; run `forecast fit` first"):
        store.load()
    assert store.versions() == []


@pytest.mark.parametrize("name", ["open", "listdir"])
def test_broken_disk_is_not_taken_for_a_missing_store(store, monkeypatch, name):
    version = save(store).id

    def fail(*arguments, **options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, name, fail)
    with pytest.raises(StorageFailure, match=r"forecast-model.*: Input/output error"):
        store.load(version)


@pytest.mark.parametrize("answer", [None, PermissionError("METADATA")])
def test_package_whose_record_cannot_be_read_does_not_stop_saving(store, monkeypatch, answer):
    def version(name):
        if answer is not None:
            raise answer
        return answer

    monkeypatch.setattr(metadata, "version", version)
    info = save(store)
    assert list(json.loads((store.path / info.id / "MANIFEST.json").read_bytes())["packages"]) == [
        "forecast",  # which knows its own version
        "python",
    ]


def test_unknown_version_is_answered_with_those_that_are_there(store):
    info = save(store)
    with pytest.raises(NoInput, match=info.id):
        store.load("v-20200101T000000.000000Z-00000000")


@pytest.mark.parametrize(
    "version",
    [
        "",
        "..",
        "../v-20200101T000000.000000Z-00000000",
        "v-20201301T000000.000000Z-00000000",
        "latest",
        "v-\n",
    ],
)
def test_argument_that_is_no_version_id_is_a_usage_error(store, version):
    save(store)
    with pytest.raises(UsageError, match="not a version id"):
        store.load(version)
    with store.lock() as writer, pytest.raises(UsageError, match="not a version id"):
        writer.promote(version)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "../../etc 0\n",
        "v-20260301T120000.000000Z-00000000\n",
        "latest " + "0" * 64 + "\n",
        "x" * 300,
    ],
)
def test_pointer_that_names_no_version_is_refused(store, text):
    save(store)
    (store.path / "CURRENT").write_text(text)
    with pytest.raises(ArtifactRefused, match="CURRENT"):
        store.load()


def test_pointer_to_a_version_that_is_gone_is_refused(store):
    info = save(store)
    shutil.rmtree(store.path / info.id)
    with pytest.raises(ArtifactRefused, match=f"{info.id}: is missing"):
        store.load()


def test_saving_mends_a_damaged_pointer_and_says_so(store, caplog):
    save(store, 1)
    (store.path / "CURRENT").write_bytes(b"\0" * 90)
    with caplog.at_level(logging.WARNING, "forecast"):
        save(store, 2)
    assert number_of(store) == 2
    assert "CURRENT" in caplog.text


def test_damaged_version_is_not_promoted(store):
    first = save(store, 1)
    second = save(store, 2)
    with (store.path / first.id / "weights.safetensors").open("ab") as file:
        file.write(b"\0")
    with store.lock() as writer, pytest.raises(ArtifactRefused, match=r"weights\.safetensors"):
        writer.promote(first.id)
    assert store.current() == second.id


def test_damaged_old_version_does_not_stop_saving(store):
    first = save(store, 1)
    (store.path / first.id / "MANIFEST.json").write_bytes(b"")
    save(store, 2)
    assert number_of(store) == 2
    with pytest.raises(ArtifactRefused, match=first.id):
        store.versions()


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST.json", "config.json", "weights.safetensors"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_ordinary_files_are_opened(store, tmp_path, name, kind):
    info = save(store)
    path = store.path / name if name == "CURRENT" else store.path / info.id / name
    path.rename(tmp_path / "elsewhere")
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(ArtifactRefused, match=re.escape(str(path))):
        store.load()


def test_version_folder_that_is_a_link_is_refused(store, tmp_path):
    info = save(store)
    (store.path / info.id).rename(tmp_path / "elsewhere")
    (store.path / info.id).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactRefused, match=info.id):
        store.load()


def test_link_in_place_of_the_pointer_is_not_written_through(store, tmp_path):
    info = save(store)
    (tmp_path / "victim").write_text("precious")
    (store.path / "CURRENT").unlink()
    (store.path / "CURRENT").symlink_to(tmp_path / "victim")
    with (
        store.lock() as writer,
        pytest.raises(ArtifactRefused, match="CURRENT: is a symbolic link"),
    ):
        writer.promote(info.id)
    assert (tmp_path / "victim").read_text() == "precious"


def test_store_itself_may_be_reached_through_a_link(store, tmp_path):
    info = save(store)
    (tmp_path / "link").symlink_to(store.path)
    assert Store(tmp_path / "link").load()[1] == info


def test_forged_store_that_agrees_with_itself_is_parsed_strictly(store):
    forge(store, encode(contents()) | {"config.json": b"\x80\x04cposix\nsystem\n."})
    with pytest.raises(ArtifactRefused, match=r"config\.json: cannot be trusted"):
        store.load()


def test_store_of_0_1_0_is_refused_with_the_way_out():
    old = Store(Path(__file__).parent / "store_0_1_0")
    for read in (old.load, old.versions):
        with pytest.raises(ArtifactRefused, match="was made by an older forecast; move the store"):
            read()


def test_manifest_cannot_name_a_file_elsewhere(store, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    entry = {"size": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
    forge(store, encode(contents()), files={"../../secret": entry})
    with pytest.raises(ArtifactRefused, match=r"MANIFEST\.json"):
        store.load()


def test_version_under_the_name_of_another_is_refused(store):
    first, second = save(store, 1), save(store, 2)
    shutil.rmtree(store.path / first.id)
    shutil.copytree(store.path / second.id, store.path / first.id)
    with pytest.raises(ArtifactRefused, match=r"MANIFEST\.json: belongs to version"):
        store.load(first.id)


def test_newer_format_names_the_forecast_that_is_needed(store):
    forge(store, encode(contents()), format=99, needs=">=3.0")
    with pytest.raises(ArtifactRefused, match=r"format 99.* needs forecast>=3\.0"):
        store.load()


def test_file_larger_than_the_manifest_says_is_not_read(store):
    info = save(store)
    with (store.path / info.id / "arrays.safetensors").open("r+b") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(ArtifactRefused, match=r"arrays\.safetensors: has 1,099,511,627,776 bytes"):
        store.load()


def test_reader_looks_again_when_a_version_vanishes(store, monkeypatch):
    first = save(store, 1)
    system_open = os.open

    def prune_first(path, *arguments, **options):
        if os.fspath(path).endswith(f"{first.id}{os.sep}MANIFEST.json"):
            monkeypatch.setattr(os, "open", system_open)
            for number in (2, 3, 4):
                save(store, number, keep=1)
        return system_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", prune_first)
    assert number_of(store) == 4
    assert first.id not in [version.id for version in store.versions()]


def test_readers_never_meet_half_a_version_while_another_thread_writes(store):
    save(store, 0)
    writer = threading.Thread(
        target=lambda: [save(store, number, keep=1) for number in range(1, 12)]
    )
    writer.start()
    seen = []
    while writer.is_alive():
        found, _ = store.load()
        assert found.weights["w"].tolist() == [found.config["number"]] * 4
        seen.append(found.config["number"])
    writer.join()
    assert seen == sorted(seen)
    assert number_of(store) == 11


def test_second_writer_is_busy_and_readers_are_not(store):
    save(store, 1)
    with store.lock():
        with pytest.raises(Busy, match=f"process {os.getpid()} on"), store.lock():
            pass
        assert number_of(store) == 1


def test_second_writer_may_wait(store):
    save(store, 1)
    entered = threading.Event()

    def hold():
        with store.lock():
            entered.set()
            time.sleep(0.2)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    with store.lock(wait=10) as writer:
        writer.save(contents(2))
    holder.join()
    assert number_of(store) == 2


def test_folder_with_other_files_is_not_made_a_store(tmp_path):
    (tmp_path / "thesis.doc").write_bytes(b"")
    (tmp_path / ".lock").write_bytes(b"")
    with pytest.raises(CannotCreate, match=r"'thesis\.doc'.*store="), Store(tmp_path).lock():
        pass
    assert sorted(os.listdir(tmp_path)) == [".lock", "thesis.doc"]


def test_file_in_the_place_of_the_store_is_named(tmp_path):
    (tmp_path / "model").write_bytes(b"")
    with (
        pytest.raises(CannotCreate, match="model: cannot be used as a folder"),
        Store(tmp_path / "model").lock(),
    ):
        pass
    with pytest.raises(NoInput, match="model: no forecaster can be read here"):
        Store(tmp_path / "model").load()


def test_leftovers_are_swept(store):
    save(store)
    (store.path / ".forecast-0123.tmp").mkdir()
    (store.path / ".forecast-0123.tmp" / "config.json").write_bytes(b"1")
    (store.path / ".forecast-4567.tmp").write_bytes(b"1")
    (store.path / "notes.txt").write_bytes(b"mine")
    with store.lock():
        pass
    left = {name for name in os.listdir(store.path) if not name.startswith("v-")}
    assert left == {".lock", "CURRENT", "notes.txt"}


def test_link_among_the_leftovers_is_removed_and_not_followed(store, tmp_path):
    save(store)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    (store.path / ".forecast-89ab.tmp").symlink_to(tmp_path / "photos")
    save(store)
    assert (tmp_path / "photos" / "cat.jpg").exists()
    assert not (store.path / ".forecast-89ab.tmp").is_symlink()


@pytest.mark.parametrize(("code", "first"), [(errno.ENOSPC, 1), (errno.EIO, 2), (errno.EACCES, 3)])
def test_error_at_any_call_leaves_the_old_version_or_the_new_one_live(store, code, first):
    for number in range(3):
        save(store, number)
    live, hits = 2, []
    for number in range(first, 1000, 3):
        open_files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        with pytest.MonkeyPatch.context() as patch:
            hit = fail_at(patch, number, code)
            error = error_of(lambda next_number=live + 1: save(store, next_number, keep=2))
        if error is not None:
            assert isinstance(
                error,
                StorageFailure | NoInput | CannotCreate if code == errno.EACCES else StorageFailure,
            )
            assert str(store.path) in str(error)
        assert number_of(store) in (live, live + 1)
        live = number_of(store)
        for version in store.versions():
            store.load(version.id)
        if open_files:
            assert len(os.listdir("/proc/self/fd")) == open_files
        if not hit:
            break
        hits += hit
    assert len(hits) > 40 / 3
    save(store, live + 1, keep=2)
    assert not list(store.path.glob(".forecast-*"))


def error_of(call):
    """The error of ours that `call` ends with, or None; any other error passes."""
    try:
        call()
    except ForecastError as error:
        return error
    return None


def fail_at(patch, number, code):
    """Make the n-th call into the system fail; the list returned names it once it has."""
    left, hit = [number], []

    def wrap(name, function):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                hit.append(name)
                if name == "close":
                    function(*arguments, **options)
                raise OSError(code, os.strerror(code))
            return function(*arguments, **options)

        return call

    for name in CALLS.split():
        patch.setattr(os, name, wrap(name, getattr(os, name)))
    return hit


def test_store_needs_neither_torch_nor_pandas():
    code = "import sys, forecast.artifacts.store; print({'torch', 'pandas'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == "set()\n"
