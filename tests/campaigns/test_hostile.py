"""A sample of the campaigns against hostile artifacts, random changes and random tables; each runs alone for longer."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast import Forecaster
from forecast.errors import ArtifactRefused
from workshop.campaigns import _fuzz_loader, _fuzz_table, tables
from workshop.campaigns._cases import all_cases
from workshop.campaigns._stores import Case
from workshop.campaigns._tables import Sample, samples
from workshop.campaigns.hostile import run, warm_up

ROOT = Path(__file__).parents[2]

LARGE = ("MB", "bomb", "20,000,000", "1 TB", "10,000,000", "100,000", "200,000")  # for the campaign
PARTS = 3  # of all cases, one in each gate
WATCHED = 12  # of so many cases one is run in a child of its own, with all that it does looked at

some = settings(
    max_examples=25,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def cases() -> list[Case]:
    return [case for case in all_cases() if not any(word in case.name for word in LARGE)]


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[pytest.mark.slow] if part else []) for part in range(PARTS)]
)
def test_no_hostile_artifact_is_believed(tmp_path: Path, part: int) -> None:
    believed = []
    for number, case in enumerate(cases()[part::PARTS]):
        place = tmp_path / str(number)
        case.write(place)
        try:
            Forecaster.load(str(place)).predict()
            believed += [] if case.harmless else [case.name]
        except ArtifactRefused:
            continue
    assert believed == []


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:This process.*fork"
)  # newer Pythons warn of forks beside threads
def test_hostile_artifacts_run_nothing_and_take_little(tmp_path: Path) -> None:
    warm_up(tmp_path / "warm")
    found = {}
    for number, case in enumerate(cases()[::WATCHED]):
        faults = run(case, tmp_path / str(number)).faults(case.harmless is not None)
        found.update({case.name: faults} if faults else {})
    assert found == {}


@pytest.mark.filterwarnings("ignore:This process.*fork")
def test_what_a_payload_does_is_seen(tmp_path: Path) -> None:
    def unpickle(place: Path) -> None:
        place.mkdir()

    class Careless(Forecaster):
        pass

    case = Case("a loader that believes", unpickle)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workshop.campaigns.hostile.Forecaster", Careless)
        patch.setattr(Careless, "load", staticmethod(lambda store: __import__("os").system("true")))
        outcome = run(case, tmp_path / "store")
    assert any(event.startswith("os.system") for event in outcome.events)
    assert outcome.faults(harmless=True)


@some
@given(st.binary(min_size=2, max_size=60), st.sampled_from([8, 9, 10, 11]))
def test_changed_artifacts_are_read_or_refused(tmp_path: Path, data: bytes, kind: int) -> None:
    _fuzz_loader.one(data + bytes([kind]), tmp_path)


@some
@given(st.data())
def test_changed_tables_are_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    text = bytearray(data.draw(st.sampled_from(_fuzz_table.seeds())))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    _fuzz_table.one(bytes(text), tmp_path)


@some
@given(samples())
def test_random_tables_are_forecast_or_refused(tmp_path: Path, sample: Sample) -> None:
    try:
        assert tables.faults(sample, tmp_path) == []
    finally:
        shutil.rmtree(tmp_path / "store", ignore_errors=True)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "workshop/campaigns/inputs").rglob("*.bin")), ids=lambda path: path.stem
)
def test_what_broke_once_breaks_no_more(tmp_path: Path, path: Path) -> None:
    target = _fuzz_loader if path.parent.name == "loader" else _fuzz_table
    target.one(path.read_bytes(), tmp_path)
