"""Batches of random numbers, and the core of a network as a function of arrays."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast.models.shared.building import build
from forecast.models.shared.exporting import UNREAD, compute, export, random_batch
from forecast.models.shared.model import Shape
from forecast.training.plan import Candidate

SHAPE = Shape(
    lookback=6, horizon=2, past=1, future=1, past_categories=(3,), future_categories=(3,), series=2, seasons=(3,),
    levels=(0.1, 0.5, 0.9),
)  # fmt: skip
GRU = Candidate(model="gru", params={"hidden_size": 4}, lookback=6)


def test_a_batch_is_the_same_for_a_seed_and_within_its_bounds() -> None:
    batch, again, other = (random_batch(SHAPE, 64, seed) for seed in (1, 1, 2))
    assert all(torch.equal(array, getattr(again, name)) for name, array in vars(batch).items())
    assert not torch.equal(batch.past, other.past)
    assert 0 < batch.mask.mean() < 1
    assert not batch.past[batch.mask == 0].any()
    assert (batch.scale > 0).all()
    assert batch.series.unique().tolist() == [-1, 0, 1]
    assert batch.past_codes.max() == 2


def test_a_batch_runs_through_a_network_of_its_shape() -> None:
    inputs, expected = compute(build(GRU, SHAPE), random_batch(SHAPE, 5, 0))
    assert expected.shape == (5, 2, 3)
    assert (np.diff(expected, axis=-1) >= 0).all()
    assert not inputs.keys() & UNREAD


def test_targets_and_scales_change_nothing_that_an_export_computes() -> None:
    network, batch = build(GRU, SHAPE), random_batch(SHAPE, 5, 0)
    _, before = compute(network, batch)
    _, after = compute(
        network, replace(batch, **{name: getattr(batch, name) + 7 for name in UNREAD})
    )
    np.testing.assert_array_equal(before, after)


def test_the_file_computes_what_the_network_does_for_any_number_of_windows() -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network = build(GRU, SHAPE)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1)
    session = runtime.InferenceSession(export(network, random_batch(SHAPE, 2, 0), 17))
    for rows in (1, 7):
        inputs, expected = compute(network, random_batch(SHAPE, rows, 3))
        (found,) = session.run(
            ["quantiles"], {one.name: inputs[one.name] for one in session.get_inputs()}
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
