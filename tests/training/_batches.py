"""Small batches that a network can learn from: the target is the beginning of the past, backwards."""

import torch

from forecast.windows.windows import Batch


def batch(rows: int = 16, seed: int = 0, scale: float = 1.0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    past = torch.randn(rows, 6, generator=generator)
    none, codes = torch.zeros(rows, 6, 0), torch.zeros(rows, 6, 0, dtype=torch.long)
    return Batch(
        past=past,
        mask=torch.ones(rows, 6),
        past_covariates=none,
        future_covariates=none[:, :2],
        static=none[:, 0],
        series=codes[:, 0].sum(1),
        past_codes=codes,
        future_codes=codes[:, :2],
        static_codes=codes[:, 0],
        seasonal=none[:, :2],
        target=scale * past[:, :2].flip(1),
        target_mask=torch.ones(rows, 2),
        weight=torch.ones(rows),
        location=torch.zeros(rows, 1),
        scale=torch.ones(rows, 1),
    )


def draw(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
    return batch(size, int(torch.randint(1000, (1,), generator=generator)))
