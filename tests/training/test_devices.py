"""Where networks run: a device that exists and answers; memory that runs out is told from other failures."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forecast.errors import Unavailable
from forecast.training.devices import on_device, out_of_memory, pick_device, report_out_of_memory, threads


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
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        return moved(tensor, *how, **named)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", zeros)
    monkeypatch.setattr(torch.Tensor, "to", to)
    small = "--model", "segrnn", "--steps", "2", "-p", "hidden_size=4", "--no-guard", "--artifact", tmp_path / "store"
    assert forecast("fit", passengers, *small).code == 0
    assert len(forecast("predict", "--artifact", tmp_path / "store", "--engine", "torch").frame) == 18
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


def test_threads_are_as_before_after_a_failure_too() -> None:
    before = torch.get_num_threads()
    with threads(before + 2):
        assert torch.get_num_threads() == before + 2
        assert float(torch.tensor(1e-39) * 1) == 0.0  # denormal numbers count as zero meanwhile
    with pytest.raises(KeyError), threads(before + 2):
        raise KeyError
    assert torch.get_num_threads() == before
    assert float(torch.tensor(1e-39) * 1) > 0.0


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("cannot allocate memory"), False),
    ],
)
def test_memory_that_runs_out_is_told_from_other_failures(error: Exception, ran_out: bool) -> None:
    assert out_of_memory(error) == ran_out
    with pytest.raises(Unavailable if ran_out else type(error)), report_out_of_memory():
        raise error
