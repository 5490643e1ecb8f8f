"""Devices, threads, and memory that runs out."""

import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import split
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.engine.requests import Callbacks
from forecast.errors import Unavailable
from forecast.settings import TrainSettings
from forecast.tables.synthetic import synthesize
from forecast.training.devices import (
    on_device,
    one_thread,
    pick_device,
    report_out_of_memory,
)
from forecast.training.plan import Progress


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert pick_device("auto") == pick_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_the_machine_lacks_is_refused_with_a_way_out(name: str) -> None:
    with pytest.raises(Unavailable, match=f"device '{name}' is not available.*device='cpu'"):
        pick_device(name)


def test_a_gpu_that_does_not_answer_leaves_auto_the_cpu(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*size: int, device: torch.device) -> torch.Tensor:
        raise RuntimeError("the driver is too old\nand more lines")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", broken)
    assert pick_device("auto") == torch.device("cpu")
    assert "device 'cuda' does not answer (the driver is too old); the CPU is used" in caplog.text


def test_apples_gpu_which_has_no_numbers_of_64_bits_leaves_auto_the_cpu(
    forecast: Callable[..., Any], passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, moved = torch.zeros, torch.Tensor.to

    def zeros(*size: int, **how: Any) -> torch.Tensor:
        return made(*size, **{**how, "device": "cpu"})  # Apple's answers, at least in 32 bits

    def to(tensor: torch.Tensor, *how: Any, **named: Any) -> torch.Tensor:
        if torch.device("mps") in how and tensor.dtype == torch.float64:
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64"
            )
        return moved(tensor, *how, **named)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", zeros)
    monkeypatch.setattr(torch.Tensor, "to", to)
    small = (
        *split("--model segrnn --steps 2 -p hidden_size=4 --no-guard"),
        "--artifact",
        tmp_path / "store",
    )
    assert forecast("fit", passengers, *small).code == 0
    assert (
        len(forecast("predict", "--artifact", tmp_path / "store", "--engine", "torch").frame) == 18
    )
    refused = forecast("fit", passengers, *small, "--device", "mps")
    assert refused.code == 69
    assert (
        "device 'mps' is not available, as it has no numbers of 64 bits; pass --device cpu or --device auto"
        in refused.err
    )


def test_what_copies_arrays_can_be_pickled_and_takes_any_layout() -> None:
    copy = pickle.loads(pickle.dumps(on_device(torch.device("cpu"))))
    array = np.arange(6.0).reshape(2, 3).T[:, ::-1]
    assert copy(array).tolist() == array.tolist()


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    torch.set_flush_denormal(False)  # the first session of onnxruntime leaves it on
    yield
    torch.set_num_threads(before)
    torch.set_flush_denormal(False)


def flushed() -> bool:
    return float(torch.tensor(1e-39) * 1) == 0.0


@pytest.mark.usefixtures("three_threads")
def test_threads_are_as_before_after_a_failure_too() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        assert flushed()  # denormal numbers count as zero meanwhile
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 3
    assert not flushed()


@pytest.mark.usefixtures("three_threads")
def test_a_block_within_another_leaves_it_as_it_was() -> None:
    seen: list[tuple[int, bool]] = []

    def look(
        progress: Progress,
    ) -> None:  # within the block of all networks, each network has one of its own
        seen.append((torch.get_num_threads(), flushed()))

    model = Forecaster(**{**SETTINGS, "steps": 2, "members": 2}).fit(
        frame(), callbacks=Callbacks(on_step=look)
    )
    assert set(seen) == {(1, True)}
    assert (torch.get_num_threads(), flushed()) == (3, False)
    with one_thread():
        model.predict()
        assert (torch.get_num_threads(), flushed()) == (1, True)
    torch.set_flush_denormal(True)  # of the user's own process
    model.predict()
    assert flushed()


@pytest.mark.usefixtures("three_threads")
def test_fits_side_by_side_leave_the_threads_of_the_process_alone() -> None:
    first_trains, second_trains, first_is_done = Event(), Event(), Event()

    def first(progress: Progress) -> None:
        first_trains.set()
        assert second_trains.wait(60)

    def second(progress: Progress) -> None:
        second_trains.set()
        assert first_is_done.wait(60)
        assert torch.get_num_threads() == 1

    def fit(on_step: Callable[[Progress], None]) -> int:
        Forecaster(**{**SETTINGS, "steps": 2}).fit(frame(), callbacks=Callbacks(on_step=on_step))
        return torch.get_num_threads()

    with ThreadPoolExecutor(3) as pool:
        fits = [pool.submit(fit, first)]
        assert first_trains.wait(60)
        fits.append(pool.submit(fit, second))
        after = [fits[0].result()]
        first_is_done.set()
        after.append(fits[1].result())
        after.append(pool.submit(torch.get_num_threads).result())
    with ThreadPoolExecutor(1) as pool:
        assert [*after, pool.submit(torch.get_num_threads).result()] == [3, 3, 3, 3]


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA"), True),
        (
            RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
            ),
            True,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("cannot allocate memory"), False),
    ],
)
def test_memory_that_runs_out_is_told_from_other_failures(error: Exception, ran_out: bool) -> None:
    with pytest.raises(Unavailable if ran_out else type(error)), report_out_of_memory():
        raise error


SETTINGS = {
    "model": "gru",
    "params": {"hidden_size": 8},
    "steps": 40,
    "members": 1,
    "horizon": 7,
    "guard": False,
}


def frame() -> pd.DataFrame:
    return synthesize("seasonal", series=6, length=120, seed=1)


def test_all_that_training_gathers_lies_on_the_device_of_the_network() -> None:
    """What holds for the CPU here holds for a GPU: nothing is copied there in a step but the index of a batch."""
    import torch

    from forecast.training.fitting import Fitter
    from forecast.training.plan import Candidate

    made: list[Fitter] = []
    real = Fitter.prepare.__func__

    def spied(cls: type[Fitter], *parts: object) -> Fitter:
        made.append(real(cls, *parts))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitter, "prepare", classmethod(spied))
        Forecaster(**{**SETTINGS, "steps": 2}).fit(frame())
    fitter = made[0]
    arrays = {**vars(fitter.windows), **vars(fitter.windows.columns)}
    tensors = {name for name, value in arrays.items() if isinstance(value, torch.Tensor)}
    assert {"values", "observed", "spread", "known", "past", "static", "calendar"} <= tensors
    assert not [name for name, value in arrays.items() if isinstance(value, np.ndarray)]
    _, draw, validation = fitter.make_data(Candidate(model="gru", lookback=14))
    for batch in (draw(torch.Generator().manual_seed(0), 4, False), *validation):
        assert all(value.device == fitter.device for value in vars(batch).values())
    assert TrainSettings(device="cpu").device == fitter.device.type
