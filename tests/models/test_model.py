"""What every model takes from the seasons of its past: earlier values, and the unit of its errors."""

from dataclasses import replace

import torch
from torch import Tensor

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.settings import SettingsGroup
from forecast.windows.windows import Batch

LEVELS = (0.1, 0.5, 0.9)


class Silent(RecurrentModel):
    """A network that adds nothing of its own."""

    def forward(self, batch: Batch) -> Tensor:
        return torch.zeros(len(batch), self.shape.horizon, self.shape.outputs)


def silent(shape: Shape) -> Silent:
    return Silent(SettingsGroup(), shape)


def batch_of(past: Tensor, shape: Shape) -> Batch:
    rows = len(past)

    def nothing(*size: int) -> Tensor:
        return torch.zeros(rows, *size)

    codes = torch.zeros(rows, 0, dtype=torch.int64)
    return Batch(
        past=past,
        mask=torch.ones_like(past),
        past_covariates=nothing(shape.lookback, 0),
        future_covariates=nothing(shape.horizon, 0),
        static=nothing(0),
        series=torch.zeros(rows, dtype=torch.int64),
        past_codes=codes[:, None].expand(-1, shape.lookback, -1),
        future_codes=codes[:, None].expand(-1, shape.horizon, -1),
        static_codes=codes,
        seasonal=nothing(shape.horizon, len(shape.seasons)),
        target=nothing(shape.horizon),
        target_mask=torch.ones(rows, shape.horizon),
        weight=torch.ones(rows),
        location=nothing(1),
        scale=torch.ones(rows, 1),
    )


def test_the_newest_season_is_repeated_at_its_own_phase() -> None:
    shape = Shape(lookback=14, horizon=9, seasons=(4,), levels=LEVELS)
    network = silent(shape)
    past = torch.randn(2, 14, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.gates.zero_()[shape.recent_seasons - 1] = 1.0
        point = network.outputs(batch_of(past, shape))[..., 1]
    torch.testing.assert_close(point, past[:, -4:].repeat(1, 3)[:, :9])


def test_intervals_widen_with_the_error_of_repeating_a_season_not_with_the_range() -> None:
    shape = Shape(lookback=48, horizon=4, seasons=(4,), levels=LEVELS)
    wave = torch.tensor([3.0, -1.0, -3.0, 1.0]).repeat(12)
    noise = torch.randn(48, generator=torch.Generator().manual_seed(0))
    quantiles = silent(shape).outputs(batch_of(torch.stack([wave, wave + noise, 9 * wave]), shape))
    regular, noisy, large = (quantiles[..., -1] - quantiles[..., 0])[:, 0].tolist()
    assert noisy > 10 * regular
    assert abs(large - regular) < 1e-3 * regular


def test_missing_values_do_not_count_in_the_error_of_repeating_a_season() -> None:
    shape = Shape(lookback=12, horizon=3, seasons=(3,), levels=LEVELS)
    past = torch.tensor([[1.0, 2.0, 3.0] * 4])
    full = batch_of(past, shape)
    holed = replace(
        full, past=past.clone().index_fill_(1, torch.tensor([4]), 0.0), mask=full.mask.clone()
    )
    holed.mask[:, 4] = 0.0
    with torch.no_grad():
        whole, less = (silent(shape).outputs(batch)[0, 0].diff().sum() for batch in (full, holed))
    assert less < 1.5 * whole


def test_without_a_season_or_with_one_longer_than_the_past_nothing_is_repeated() -> None:
    for seasons in ((), (30,)):
        shape = Shape(lookback=10, horizon=3, seasons=seasons, levels=LEVELS)
        assert shape.recent_seasons == 0
        point = silent(shape).outputs(batch_of(torch.ones(2, 10), shape))[..., 1]
        assert point.tolist() == [[0.0] * 3] * 2
