"""A stop between two steps loses nothing: a resumed training ends with the same weights, bit for bit."""

import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecast.artifacts.checkpoints import Checkpoint
from forecast.models.shared.building import build
from forecast.models.shared.model import Shape
from forecast.reading.reading import read, read_as
from forecast.settings import TableSettings, TrainSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.synthetic import synthesize
from forecast.training import resume
from forecast.training.context import Progress, TrainingContext
from forecast.training.loop import Trained, train
from forecast.training.plan import Member, Plan
from forecast.training.resume import data_key, plan_key, restore
from forecast.training.state import TrainingState
from tests.training._batches import batch, draw

SHAPE = Shape(lookback=6, horizon=2, levels=(0.1, 0.5, 0.9))
KNOBS = {"model": "gru", "params": {"hidden_size": 4, "dropout": 0.3}}
SETTINGS = TrainSettings(**KNOBS, patience=2, learning_rate=0.002)
MEMBER = Member(lookback=6, batch_size=8, steps=40, refit_steps=8, validate_every=5, **KNOBS)


class Memory(dict[str, Checkpoint]):
    """Keeps states in memory, as they were: training goes on in the same arrays."""

    def read(self, name: str) -> Checkpoint | None:
        return self.get(name)

    def write(self, name: str, state: Checkpoint) -> None:
        self[name] = Checkpoint(
            state.facts, {key: array.copy() for key, array in state.arrays.items()}
        )


def fit(
    keep: Memory | None = None, stop: int | None = None, member: Member = MEMBER, **more: Any
) -> Trained:
    """Train; at the end of step `stop` comes a SIGINT."""

    def count(at: Progress) -> None:
        nonlocal stop
        stop = None if stop is None else stop - 1
        if stop == 0:
            signal.raise_signal(signal.SIGINT)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        held_out = [batch(16, -1), batch(5, -2)]
        context = TrainingContext(**{"on_step": count, "checkpoints": keep, **more})
        return train(build(MEMBER, SHAPE), draw, held_out, SETTINGS, member, context=context)


def assert_same(one: Trained, other: Trained) -> None:
    assert all(np.array_equal(value, other.weights[name]) for name, value in one.weights.items())
    assert np.array_equal(one.held_out, other.held_out)
    assert one.held_out.dtype == other.held_out.dtype
    assert (one.validation, one.cut, one.steps) == (other.validation, other.cut, other.steps)


@pytest.fixture(scope="module")
def whole() -> Trained:
    return fit()


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(stops=st.lists(st.integers(1, 39), min_size=1, max_size=3))
def test_wherever_it_is_stopped_training_ends_with_the_same_weights(
    whole: Trained, stops: list[int]
) -> None:
    keep = Memory()
    for stop in stops:  # counted from where the one before it ended
        with suppress(KeyboardInterrupt):
            fit(keep, stop)
        assert "member-0" in keep
    assert_same(fit(keep), whole)
    assert_same(fit(keep, stop=1), whole)  # ended already: no step is taken


def test_a_stop_in_the_refit_keeps_what_was_held_out(whole: Trained) -> None:
    assert len(whole.held_out) == 21
    keep = Memory()
    with pytest.raises(KeyboardInterrupt):
        fit(keep, stop=whole.steps - 3)
    assert keep["member-0"].facts["step"] > MEMBER.steps - MEMBER.refit_steps
    assert_same(fit(keep), whole)


def test_states_are_kept_while_training_goes_on(
    whole: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "INTERVAL", 0.0)
    monkeypatch.setattr(resume, "WRITING_SHARE", 1e9)
    keep = Memory()

    def killed(at: Progress) -> None:
        if at.step == 9:
            raise SystemError  # as if the process were gone, with no time to write

    with pytest.raises(SystemError):
        fit(keep, on_step=killed)
    assert keep["member-0"].facts["done"] == 8
    assert_same(fit(keep), whole)


def test_a_cut_by_a_deadline_is_kept_with_the_member() -> None:
    keep = Memory()
    cut = fit(keep, deadline=0.0)
    assert cut.cut == 1
    assert_same(fit(keep), cut)
    assert_same(fit(member=MEMBER.model_copy(update={"cut": 1})), cut)


@pytest.mark.parametrize("changed", [{"steps": 50}, {"batch_size": 4}, {"cut": 3}])
@pytest.mark.parametrize("stop", [12, None])
def test_what_another_member_kept_is_not_used(
    changed: dict[str, int], stop: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    keep, other = Memory(), MEMBER.model_copy(update=changed)
    try:
        fit(keep, stop)
    except KeyboardInterrupt:
        assert stop is not None
    assert_same(fit(keep, member=other), fit(member=other))
    assert "belongs to another plan" in caplog.text


def test_what_was_kept_in_another_form_is_not_used() -> None:
    keep = Memory()
    with pytest.raises(KeyboardInterrupt):
        fit(keep, stop=36)
    network = build(MEMBER, SHAPE)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state, saved = TrainingState(network, SETTINGS, MEMBER, 0, 21), keep["member-0"]
    for broken in broken_states(saved):
        assert not restore(state, broken)
    assert not restore(TrainingState(network, SETTINGS, MEMBER, 0, 20), saved), (
        "other windows are held out"
    )
    assert (state.step, state.best) == (0, None)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert restore(state, saved)
    assert (state.step, state.finished) == (36, False)


def broken_states(state: Checkpoint) -> Iterator[Checkpoint]:
    """The state with one thing gone or of another form."""
    for name, array in state.arrays.items():
        less = {key: one for key, one in state.arrays.items() if key != name}
        yield replace(state, arrays=less)
        if array.size:
            yield replace(state, arrays={**less, name: array[:-1]})
        yield replace(state, arrays={**state.arrays, f"{name}-2": array})


def test_keys_follow_all_that_decides_a_fit_and_nothing_else() -> None:
    frame = synthesize("seasonal", series=2, length=60)
    schema = read(table_from_frame(frame, "t"), TableSettings()).schema

    def data(changed: dict[str, object]) -> str:
        frame_of = frame.copy()
        for column, value in changed.items():
            frame_of.loc[7, column] = value
        return data_key(read_as(table_from_frame(frame_of, "t"), schema, horizon=5).panel, schema)

    assert data({}) == data({})
    assert data({"value": frame["value"][7] + 0.25}) != data({})
    other = schema.model_copy(update={"season": (3,)})
    assert data_key(read_as(table_from_frame(frame, "t"), other, horizon=5).panel, other) != data(
        {}
    )
    member = Member(
        model="gru", lookback=4, batch_size=8, steps=5, refit_steps=0, validate_every=10
    )
    cpu = torch.device("cpu")
    keys = [
        plan_key(TrainSettings(), None, cpu),
        plan_key(TrainSettings(seed=1), None, cpu),
        plan_key(TrainSettings(steps=7), None, cpu),
        plan_key(TrainSettings(budget=7), None, cpu),
        plan_key(TrainSettings(params={"hidden_size": 4}), None, cpu),
        plan_key(TrainSettings(), Plan(members=(member,)), cpu),
        plan_key(TrainSettings(), None, torch.device("cuda")),
    ]
    assert len(set(keys)) == len(keys)
    assert plan_key(TrainSettings(jobs=2, device="cpu", plan="elsewhere"), None, cpu) == keys[0]


def test_what_is_ignored_stays_ignored_and_a_handler_that_returns_lets_training_go_on(
    whole: Trained,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep = Memory()
    assert_same(fit(keep, stop=5), whole)
    received: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append(number))
    assert_same(fit(Memory(), stop=5), whole)
    assert received == [signal.SIGINT]


def test_training_in_another_thread_leaves_signals_alone(whole: Trained) -> None:
    found: list[Trained] = []
    thread = threading.Thread(target=lambda: found.append(fit()))
    thread.start()
    thread.join()
    assert_same(found[0], whole)
