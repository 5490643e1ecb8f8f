"""Batches: what is held out is no target until it may be, every series is as likely, validation is in order."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from forecast.training.devices import on_device
from forecast.training.sampling import VALIDATION_BATCH, sampler, validation_batches
from forecast.training.split import Split
from forecast.windows.inputs import Inputs
from forecast.windows.windows import Batch, Windows
from tests._inputs import inputs_of

HORIZON, LOOKBACK, HELD_OUT = 2, 4, 5
LONG, SHORT = [float(n) for n in range(60)], [float(n) for n in range(100, 112)]


def windows_of(inputs: Inputs) -> Windows:
    return inputs.arrays.to(on_device(torch.device("cpu"))).cut(LOOKBACK, "standard")


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return inputs_of(LONG, SHORT)


@pytest.fixture(scope="module")
def split(inputs: Inputs) -> Split:
    end = np.asarray(inputs.panel.lengths)
    return Split(np.array([3, 3]), end - HELD_OUT, end, HORIZON, end - HELD_OUT)


def drawn(inputs: Inputs, split: Split, size: int, held_out_too: bool, seed: int = 0) -> Batch:
    return sampler(windows_of(inputs), split)(
        torch.Generator().manual_seed(seed), size, held_out_too
    )


def targets(batch: Batch) -> torch.Tensor:
    """The values that are targets, in the unit of the table, in the windows of the long series."""
    values = batch.location + batch.scale * batch.target
    return values[(batch.series == 0)[:, None] & (batch.target_mask > 0)]


def test_held_out_values_are_targets_only_where_everything_is(inputs: Inputs, split: Split) -> None:
    assert targets(drawn(inputs, split, 3000, False)).max() == pytest.approx(
        len(LONG) - HELD_OUT - 1
    )
    assert targets(drawn(inputs, split, 3000, True)).max() == pytest.approx(len(LONG) - 1)
    assert targets(drawn(inputs, split, 3000, True)).min() == pytest.approx(
        3
    )  # no window is drawn before `first`


def test_other_values_in_what_is_held_out_change_no_training_batch(
    inputs: Inputs, split: Split
) -> None:
    changed = inputs_of(
        [*LONG[:-HELD_OUT], *[1e6] * HELD_OUT], [*SHORT[:-HELD_OUT], *[-1e6] * HELD_OUT]
    )
    before, after = drawn(inputs, split, 200, False), drawn(changed, split, 200, False)
    for field in fields(Batch):
        assert torch.equal(getattr(before, field.name), getattr(after, field.name)), field.name


def test_a_short_series_is_drawn_as_often_as_a_long_one(inputs: Inputs, split: Split) -> None:
    share = (drawn(inputs, split, 4000, False).series == 1).float().mean()
    assert float(share) == pytest.approx(0.5, abs=0.05)


def test_a_series_without_a_window_is_never_drawn(inputs: Inputs, split: Split) -> None:
    short = replace(split, train_end=np.array([split.train_end[0], 1]))
    assert (drawn(inputs, short, 500, False).series == 0).all()
    assert (drawn(inputs, short, 500, True).series == 1).any()


def test_the_generator_alone_decides_what_is_drawn(inputs: Inputs, split: Split) -> None:
    assert torch.equal(drawn(inputs, split, 50, False).past, drawn(inputs, split, 50, False).past)
    assert not torch.equal(
        drawn(inputs, split, 50, False).past, drawn(inputs, split, 50, False, seed=1).past
    )


@pytest.mark.parametrize("count", [0, 1, VALIDATION_BATCH, VALIDATION_BATCH + 3])
def test_windows_that_validate_come_once_each_and_in_order(inputs: Inputs, count: int) -> None:
    position = np.arange(count) % 50 + 4
    batches = validation_batches(windows_of(inputs), (np.zeros(count, np.int64), position))
    assert [len(batch) for batch in batches] == [VALIDATION_BATCH] * (count // VALIDATION_BATCH) + [
        count % VALIDATION_BATCH
    ] * (count % VALIDATION_BATCH > 0)
    first = [batch.location[:, 0] + batch.scale[:, 0] * batch.target[:, 0] for batch in batches]
    np.testing.assert_allclose(torch.cat([*first, torch.zeros(0)]).numpy(), position, atol=1e-4)
