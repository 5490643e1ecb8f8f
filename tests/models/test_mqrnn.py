"""Forecasts from the steps of the past: what they see, what they are trained on."""

from dataclasses import replace

import pytest
import torch

from forecast.models.shared.building import build
from forecast.models.shared.model import Shape
from forecast.settings import TrainSettings
from forecast.windows.windows import Batch

SHAPE = Shape(
    lookback=20, horizon=6, past=3, future=2, past_categories=(3, 4), future_categories=(3,), seasons=(4, 12),
    levels=(0.1, 0.5, 0.9),
)  # fmt: skip
BACK = torch.tensor([3, 2, 0])  # of segments of 4: after 8, 12 and 20 steps


def any_batch(rows: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(rows, *size, generator=generator)

    def codes(steps: int, columns: int) -> torch.Tensor:
        return torch.randint(0, 3, (rows, steps, columns), generator=generator)

    return Batch(
        past=normal(20), mask=torch.ones(rows, 20), past_covariates=normal(20, 3), future_covariates=normal(6, 2),
        static=normal(0), series=torch.zeros(rows, dtype=torch.long), past_codes=codes(20, 2),
        future_codes=codes(6, 1), static_codes=codes(1, 0)[:, 0], seasonal=normal(6, 2), target=normal(6),
        target_mask=torch.ones(rows, 6), weight=torch.ones(rows), location=torch.zeros(rows, 1),
        scale=torch.ones(rows, 1),
    )  # fmt: skip


def from_forks(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """[batch, forks, horizon, levels]"""
    return model.from_forks(batch, BACK)[0].unflatten(0, (len(batch), len(BACK)))


def network(**params: object) -> torch.nn.Module:
    made = build(
        TrainSettings(model="mqrnn", params={"hidden_size": 8, "segment": 4, **params}), SHAPE
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for (
            weights
        ) in made.parameters():  # heads start from zero, which hides what comes before them
            weights += 0.3 * torch.randn(weights.shape, generator=generator)
    return made


def test_a_fork_sees_no_value_after_its_step() -> None:
    model, batch = network(), any_batch()
    later = replace(
        batch,
        past=torch.cat([batch.past[:, :12], any_batch(seed=1).past[:, 12:]], 1),
        seasonal=any_batch(seed=1).seasonal,
        target=any_batch(seed=1).target,
    )
    before, after = from_forks(model, batch), from_forks(model, later)
    torch.testing.assert_close(before[:, :2], after[:, :2], rtol=0, atol=0)
    assert not torch.equal(before[:, 2], after[:, 2])


def test_a_fork_sees_the_known_columns_of_the_steps_that_it_forecasts() -> None:
    model, batch = network(), any_batch()
    for name, width in (("past_covariates", 2), ("past_codes", 1)):
        old = getattr(batch, name)
        new = torch.cat([old[:, :16], (old[:, 16:] + 1) % 3], 1)
        new[..., width:] = old[..., width:]
        changed = from_forks(model, replace(batch, **{name: new}))
        same = (changed == from_forks(model, batch)).flatten(2).all(-1)  # [batch, forks]
        assert same[:, 0].all(), "steps 8 to 13 do not reach the change"
        assert not same[:, 1].any(), "steps 12 to 17 do"


def test_the_newest_fork_is_the_forecast() -> None:
    model, batch = network(), any_batch()
    effects = model._prepare(batch)[1]
    assert effects.abs().min() > 0
    torch.testing.assert_close(
        from_forks(model, batch)[:, -1] + effects[..., None], model.outputs(batch)
    )


def test_forks_have_quantiles_that_do_not_cross() -> None:
    assert (from_forks(network(), any_batch()).diff(dim=-1) >= 0).all()


def test_missing_values_are_no_targets_of_forks() -> None:
    model, batch = network().train(), any_batch()
    hidden = replace(
        batch,
        target_mask=torch.zeros(3, 6),
        mask=torch.ones(3, 20).index_fill(1, torch.arange(10, 20), 0),
    )
    torch.manual_seed(0)
    assert model.loss(hidden).item() == pytest.approx(0.0, abs=1e-6), (
        "all forks start in the newer half"
    )


@pytest.mark.parametrize("forks", [1, 2, 100])
def test_any_number_of_forks_trains(forks: int) -> None:
    model = network(forks=forks).train()
    model.loss(any_batch()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_validation_counts_the_forecast_alone() -> None:
    model, batch = network().eval(), any_batch()
    error = batch.target[..., None] - model.outputs(batch)
    each = torch.maximum(model.levels * error, (model.levels - 1) * error)
    expected = (error[..., 1].abs() + (each[..., 0] + each[..., 2]) / 2).mean()
    torch.testing.assert_close(model.loss(batch), expected)
